"""The ablations in one picture: how soon searches find their best, and what starts lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.pages.fidelity_plot import COLOURS, OURS_COLOUR
from otcache_core.drawing.canvas import (
    INK,
    MARGIN,
    MUTED,
    Axes,
    Box,
    Canvas,
    Colour,
    Key,
    padded,
    ticks,
    tint,
)

STARTS: dict[str, Colour] = {
    "MeanCache": COLOURS[0], "uniform": OURS_COLOUR, "random": COLOURS[1],
}  # fmt: skip
"""Where a search starts, and its colour."""
RANKS: dict[int, tuple[int, ...]] = {1: (), 3: (9, 5), 5: (3, 4)}
"""How many of the best, and the dashes of their line."""
WIDTH, ROW, GUTTER = 1240, 270, 100

Points = list[tuple[float, float]]


def distribution(values: Sequence[float], low: float, high: float) -> Points:
    """The share of values up to each, as the corners of a stair from ``low`` to ``high``."""
    points = [(low, 0.0)]
    for done, value in enumerate(sorted(values), 1):
        points += [(value, points[-1][1]), (value, done / len(values))]
    return [*points, (high, 1.0)]


def _stairs(axes: Axes, points: Points) -> Points:
    return [axes.place(x, y) for x, y in points]


def _trials(canvas: Canvas, box: Box, found_at: Sequence[Sequence[int]], most: int) -> None:
    """By which trial all of the best few were found: the share of searches."""
    axes = Axes(canvas, box, (0, most), (0.0, 1.0))
    axes.frame("trials", ticks(0, most, 5), "share of pairs", (0, 0.25, 0.5, 0.75, 1))
    for count, dash in RANKS.items():
        latest = [max(of[:count]) for of in found_at]
        canvas.line(_stairs(axes, distribution(latest, 0, most)), INK, 2, dash)


def _boxes(canvas: Canvas, box: Box, losses: Mapping[str, Sequence[float]]) -> None:
    """Quartiles in a box, the rest as whiskers, the mean as a disc."""
    low, high = padded([x for listed in losses.values() for x in listed], log=False)
    axes = Axes(canvas, box, (0, len(losses)), (low, high))
    axes.frame("", (), "LPIPS of the best 5", ticks(low, high, 4))
    for place, (name, listed) in enumerate(losses.items()):
        colour = STARTS[name]
        least, first, middle, third, most = np.quantile(listed, (0, 0.25, 0.5, 0.75, 1))
        (x, top), (_, bottom) = (axes.place(place + 0.5, y) for y in (third, first))
        canvas.line([axes.place(place + 0.5, y) for y in (least, most)], colour, 1.5)
        canvas.rectangle((int(x) - 30, int(top), int(x) + 30, int(bottom)), tint(colour, 0.45))
        level = axes.place(0, middle)[1]
        canvas.line([(int(x) - 30, level), (int(x) + 30, level)], colour, 3)
        canvas.marker(*axes.place(place + 0.5, float(np.mean(listed))), "disc", INK, 4)
        canvas.text(x, box[3] + 8, name, 12, MUTED, "ma")


def _closeness(canvas: Canvas, box: Box, losses: Mapping[str, Sequence[float]]) -> None:
    """The share of found schedules up to each closeness."""
    near = {name: [1.0 - x for x in listed] for name, listed in losses.items()}
    every = [x for listed in near.values() for x in listed]
    margin = 0.05 * (max(every) - min(every)) or 0.01
    low, high = min(every) - margin, max(every) + margin
    axes = Axes(canvas, box, (low, high), (0.0, 1.0))
    axes.frame("1 - LPIPS", (), "share of schedules", (0, 0.25, 0.5, 0.75, 1))
    for tick in ticks(low, high, 4):
        canvas.text(axes.place(tick, 0)[0], box[3] + 8, f"{tick:.3g}", 12, MUTED, "ma")
    for name, listed in near.items():
        canvas.line(_stairs(axes, distribution(listed, low, high)), STARTS[name], 2.2)


def draw_ablations(models: Mapping[str, Any], path: Path) -> None:
    """Writes the picture: a row of three plots for each model.

    Args:
        models: The sections of the record, each with its searches.
        path: A PNG file.
    """
    keys = [
        Key("the best found" if n == 1 else f"all of the best {n} found", "line", INK, dash)
        for n, dash in RANKS.items()
    ]
    keys += [Key(f"started from {name}", "line", colour) for name, colour in STARTS.items()]
    canvas = Canvas(WIDTH, 100 + ROW * len(models))
    top = canvas.header("Searches by prompt and seed at 8 calls of 50 steps", keys)
    width = (WIDTH - MARGIN) // 3
    for row, (name, section) in enumerate(models.items()):
        begin = top + row * ROW
        canvas.text(MARGIN, begin, name, 16, INK)
        boxes = [
            (i * width + GUTTER, begin + 54, (i + 1) * width - MARGIN, begin + ROW - 30)
            for i in range(3)
        ]
        searches = section["searches"]
        losses = {of: [x for best in searches[of]["best"] for x in best] for of in STARTS}
        start = next(iter(STARTS))
        most = max(searches[start]["trials"])
        _trials(canvas, boxes[0], searches[start]["found_at"], most)
        _boxes(canvas, boxes[1], losses)
        _closeness(canvas, boxes[2], losses)
    Image.fromarray(canvas.finish()).save(path, optimize=True)
