"""The fidelity benchmark in one picture: model calls against LPIPS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.instruments.numbers import OURS, Row
from otcache_core.drawing.canvas import INK, MARGIN, Axes, Canvas, Colour, Key, log_ticks, tint

OURS_COLOUR: Colour = (0, 114, 178)
COLOURS: tuple[Colour, ...] = (
    (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (120, 94, 40),
    (110, 110, 110),
)  # fmt: skip
DASHES: tuple[tuple[int, ...], ...] = ((), (9, 5), (3, 4))
WIDTH, HEIGHT = 1100, 760


def lines_of(rows: Sequence[Row], most: int = 10) -> dict[str, list[Row]]:
    """Rows by contestant, ours first, then the best by mean logarithm of LPIPS; ours once only."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        if row["contestant"] == OURS or not row["contestant"].startswith(OURS):
            grouped.setdefault(row["contestant"], []).append(row)
    level = {
        name: np.mean([np.log(max(row["lpips"], 1e-6)) for row in listed])
        for name, listed in grouped.items()
        if len(listed) > 2
    }
    ranked = sorted(level, key=lambda name: (name != OURS, level[name]))
    return {name: sorted(grouped[name], key=lambda r: r["calls"]) for name in ranked[:most]}


def draw_pareto(rows: Sequence[Row], path: Path) -> None:
    """Writes the picture.

    Args:
        rows: The record's results.
        path: A PNG file.
    """
    lines = lines_of(rows)
    canvas = Canvas(WIDTH, HEIGHT)
    styles = {
        name: (OURS_COLOUR, ())
        if name == OURS
        else (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)])
        for i, name in enumerate(lines)
    }
    keys = [Key(name, "line", colour, dash) for name, (colour, dash) in styles.items()]
    top = canvas.header("LPIPS to the full run by model calls, of 50 steps (lower is better)", keys)
    points = [row for listed in lines.values() for row in listed]
    low = 0.8 * min(max(row["lpips_low"], 1e-5) for row in points)
    high = 1.2 * max(row["lpips"] for row in points)
    calls = [row["calls"] for row in points]
    box = (80, top + 24, WIDTH - MARGIN, HEIGHT - MARGIN - 22)
    axes = Axes(canvas, box, (min(calls) - 0.5, max(calls) + 0.5), (low, high), log=True)
    axes.frame("model calls", sorted({row["budget"] for row in points}), "LPIPS",
               log_ticks(low, high))  # fmt: skip
    for name, listed in reversed(lines.items()):
        colour, dash = styles[name]
        if name == OURS:
            for row in listed:  # its interval
                ends = [
                    axes.place(row["calls"], max(row[f"lpips_{e}"], low)) for e in ("low", "high")
                ]
                canvas.line(ends, tint(colour, 0.5), 4)
        where = [axes.place(row["calls"], row["lpips"]) for row in listed]
        canvas.line(where, colour, 3.5 if name == OURS else 1.8, dash)
        for x, y in where:
            canvas.marker(x, y, "disc", INK if name == OURS else colour, 5 if name == OURS else 3.5)
    Image.fromarray(canvas.finish()).save(path, optimize=True)
