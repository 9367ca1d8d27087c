"""Contestants that are a schedule of the pack's own, with one of its estimators."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.contestant import Bench, Configured
from benchmarks.models.sampled import STEPS


def by_schedule(bench: Bench, schedule: Any) -> Configured:
    """The model with a schedule."""
    model = bench.host.module("nodes.sampling.host").apply_schedule(
        bench.model, schedule, quiet=True
    )
    gains = " ".join(f"{gain:g}" for gain in schedule.slope_gain)
    steps = " ".join(map(str, schedule.computed_steps))
    note = f"computed steps {steps}"
    return Configured(
        model, note=note + (f"; gains {gains}" if set(schedule.slope_gain) != {1.0} else "")
    )


def with_steps(
    bench: Bench, computed_steps: tuple[int, ...], estimator: str, **more: Any
) -> Configured:
    """The model with given computed steps."""
    schedule = bench.host.core("documents.schedule").Schedule(
        STEPS, computed_steps, estimator, **more
    )
    return by_schedule(bench, schedule)
