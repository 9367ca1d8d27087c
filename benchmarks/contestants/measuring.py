"""Measures contestants on held-out prompts, picture by picture."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from benchmarks.contestants.contestant import Bench, Configured, Contestant, sample
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import Row, row_of
from benchmarks.models.sampled import STEPS, SampledModel

logger = logging.getLogger("otcache")


class JudgingBench(Bench, Protocol):
    """What contestants are made from, and what judges them.

    Attributes:
        name: The model's.
        held_out: The model on prompts that nothing was tuned on.
    """

    name: str
    held_out: SampledModel


def measure(bench: JudgingBench, how: Configured) -> dict[str, Any]:
    """What one contestant reaches, picture by picture."""
    perceptual, model = bench.host.core("measures.perceptual"), bench.held_out
    every = list(range(len(model.texts)))
    start = time.perf_counter()
    latents, calls = sample(model, how, every)
    seconds = time.perf_counter() - start
    pictures = model.pictures(latents)
    return {
        "calls": calls,
        "seconds": seconds / len(every),
        "lpips": model.compare(model.lpips, pictures, every).tolist(),
        "psnr": model.compare(perceptual.psnr, pictures, every).clamp(max=99.0).tolist(),
        "ssim": model.compare(perceptual.ssim, pictures, every).tolist(),
        "note": how.note,
    }


def key_of(name: str, budget: int) -> str:
    """Under which a measurement is kept."""
    return f"{name} @ {budget}"


def measure_missing(
    bench: JudgingBench, contestants: Mapping[str, Contestant], kept: Kept, budget: int
) -> None:
    """Measures what is not kept yet at one budget."""
    for name, contestant in contestants.items():
        key = key_of(name, budget)
        if key in kept.lines:
            continue
        start = time.perf_counter()
        how = contestant(bench, budget)
        line = None if how is None else measure(bench, how)
        kept.put(key, line)
        mean = "left out" if line is None else f"{np.mean(line['lpips']):.5f}"
        seconds = time.perf_counter() - start
        logger.warning("%6.1f s  %-9s %-70s %s", seconds, bench.name, key, mean)


def rows_of(
    contestants: Iterable[str], lines: Mapping[str, Any], budgets: Iterable[int], seeds: int
) -> list[Row]:
    """A row for each contestant and budget that was measured.

    But none for a cache that found nothing to skip: that is the full run, and at no budget.

    Args:
        contestants: Names.
        lines: Measurements by ``key_of``.
        budgets: The model calls that were asked for.
        seeds: Pictures of each prompt.
    """
    measured = [
        (name, budget, lines[key_of(name, budget)]) for budget in budgets for name in contestants
    ]
    return [
        row_of(name, budget, line, lines, seeds)
        for name, budget, line in measured
        if line is not None and min(line["calls"]) < STEPS
    ]
