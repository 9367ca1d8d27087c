"""Means, intervals and comparisons of the fidelity benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]

RESAMPLES = 4000
CONFIDENCE = 0.95
OURS = "OTCache"


def by_prompt(values: Sequence[float], seeds: int) -> NDArray[np.float64]:
    """Means over a prompt's seeds, ``(prompts,)``: pictures of one prompt are not independent."""
    means: NDArray[np.float64] = np.asarray(values, dtype=float).reshape(seeds, -1).mean(axis=0)
    return means


def _resamples(prompts: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, prompts, (RESAMPLES, prompts))


def _bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, (tail, 100 - tail))
    return float(low), float(high)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Bootstrap interval of the mean over prompts."""
    return _bounds(values[_resamples(len(values))].mean(axis=1))


def ratio_interval(
    ours: NDArray[np.float64], theirs: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Ratio of two means with its bootstrap interval, both resampled by the same prompts."""
    chosen = _resamples(len(ours))
    ratios = ours[chosen].mean(axis=1) / np.maximum(theirs[chosen].mean(axis=1), 1e-12)
    return (float(ours.mean() / max(theirs.mean(), 1e-12)), *_bounds(ratios))


def rounded_ratio(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """As a record has it: the ratio of a mean loss to another, and its bounds."""
    return [round(part, 4) for part in ratio_interval(np.array(ours), np.array(theirs))]


def row_of(name: str, budget: int, line: Row, lines: dict[str, Any], seeds: int) -> Row:
    """One row of the record.

    Args:
        name: The contestant.
        budget: The model calls that were asked for.
        line: Its values by picture.
        lines: All measurements by ``"contestant @ budget"``, ours among them where it was measured.
        seeds: Pictures of each prompt.
    """
    lpips = by_prompt(line["lpips"], seeds)
    low, high = interval(lpips)
    row = {
        "contestant": name,
        "budget": budget,
        "calls": round(float(np.mean(line["calls"])), 2),
        "lpips": round(float(lpips.mean()), 6),
        "lpips_low": round(low, 6),
        "lpips_high": round(high, 6),
        "lpips_median": round(float(np.median(line["lpips"])), 6),
        "psnr": round(float(np.mean(line["psnr"])), 3),
        "ssim": round(float(np.mean(line["ssim"])), 5),
        "seconds": round(float(line["seconds"]), 4),
        "note": line["note"],
    }
    ours = lines.get(f"{OURS} @ {budget}")
    if ours is not None and name != OURS:
        row["ours_over"] = rounded_ratio(by_prompt(ours["lpips"], seeds).tolist(), lpips.tolist())
    return row


def worse(before: Sequence[Row], now: Sequence[Row]) -> list[str]:
    """What got worse beyond the interval of the last record, in words."""
    known = {(row["contestant"], row["budget"]): row for row in before}
    found = []
    for row in now:
        old = known.get((row["contestant"], row["budget"]))
        if old is not None and row["lpips"] > old["lpips_high"]:
            found.append(
                f"{row['contestant']} at {row['budget']} calls got worse: "
                f"LPIPS {row['lpips']:.5f}, but the last record has {old['lpips']:.5f}, "
                f"at most {old['lpips_high']:.5f}"
            )
    return found
