"""What the demo measured: its runs, their report and table, their pictures."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from otcache_core.drawing.contact_sheet import contact_sheet
from scripts.workflows.demo import STEPS

BUSY = 0.25
"""Spread of the full run's times, as a share of their median, above which they say little."""


@dataclass
class Run:
    """One way of sampling, and what it measured prompt by prompt."""

    name: str
    steps: int
    nfe: int
    seconds: list[float] = field(default_factory=list)
    lpips: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether this is the run that the others are compared with."""
        return self.nfe == STEPS

    @property
    def has_schedule(self) -> bool:
        """Whether it skips steps."""
        return self.nfe < self.steps


def middle_mean(values: Sequence[float]) -> float:
    """Mean without the smallest and the largest value, where three or more are left."""
    return statistics.mean(sorted(values)[1:-1] if len(values) > 4 else values)


def summary(run: Run, full: Run) -> dict[str, Any]:
    """A run's line of the report."""
    seconds = middle_mean(run.seconds)
    return {
        "name": run.name,
        "steps": run.steps,
        "nfe": run.nfe,
        "seconds": round(seconds, 4),
        "speedup": round(middle_mean(full.seconds) / seconds, 3),
        "lpips": 0.0 if run.is_full else round(statistics.mean(run.lpips), 5),
        "psnr": round(statistics.mean(run.psnr), 3) if run.psnr else None,
        "ssim": 1.0 if run.is_full else round(statistics.mean(run.ssim), 5),
    }


def spread(values: Sequence[float]) -> float:
    """Distance between the quartiles as a share of the median; 0 for fewer than four values."""
    if len(values) < 4:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / middle


def as_table(lines: Sequence[dict[str, Any]]) -> str:
    """The report's lines for a terminal."""
    text = f"{'run':<12}{'steps':>6}{'nfe':>5}{'seconds':>9}{'speedup':>9}"
    rows = [text + f"{'LPIPS':>8}{'SSIM':>8}{'PSNR dB':>9}"]
    for line in lines:
        psnr = "same" if line["psnr"] is None else f"{line['psnr']:.2f}"
        row = f"{line['name']:<12}{line['steps']:>6}{line['nfe']:>5}{line['seconds']:>9.3f}"
        row += f"{line['speedup']:>8.2f}x{line['lpips']:>8.4f}{line['ssim']:>8.4f}{psnr:>9}"
        rows.append(row)
    return "\n".join(rows)


def sheet_of(rows: Sequence[tuple[str, Sequence[bytes]]], prompts: Sequence[str]) -> Image.Image:
    """Pictures from PNG on one sheet: rows by name, a column a prompt."""
    pixels = [
        (name, [np.asarray(Image.open(io.BytesIO(p)).convert("RGB")) for p in pictures])
        for name, pictures in rows
    ]
    labels = [text.removeprefix("a ") for text in prompts]
    return Image.fromarray(contact_sheet(rows=pixels, columns=labels, scale=3))


def save_pictures(folder: Path, runs: Sequence[Run], prompts: Sequence[str]) -> None:
    """Writes every picture, `full/00.png` and so on, and all of them on one sheet."""
    rows = []
    for run in runs:
        place = folder / run.name
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob("[0-9][0-9].png"):
            old.unlink()
        for index, picture in enumerate(run.pictures):
            (place / f"{index:02}.png").write_bytes(picture)
        rows.append((f"{run.name}: {run.nfe} model calls", run.pictures))
    sheet_of(rows, prompts).save(folder / "contact_sheet.png")
