"""Settings of block caches that reach the asked model-call equivalents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.contestants.blocks import BlockCache, is_flux, with_block_cache
from benchmarks.contestants.contestant import Bench, Configured, Contestant, refuse
from benchmarks.contestants.tuning import TOLERANCE, calibration_loss, tune

SUFFIX = " (our re-implementation)"


def with_cache(bench: Bench, make: Callable[[], BlockCache], note: str) -> Configured:
    """The bench's model under a block cache."""
    model, work = with_block_cache(bench.model, make)
    return Configured(model, note=note, work=work)


def for_flux(name: str, contestant: Contestant) -> dict[str, Contestant]:
    """The contestant by its full name, left out where the model is not of the FLUX class."""

    def guarded(bench: Bench, calls: int) -> Configured | None:
        if is_flux(bench.model):
            return contestant(bench, calls)
        refuse(name, calls, "it is written for blocks of the FLUX class.")
        return None

    return {name + SUFFIX: guarded}


def by_threshold(
    bench: Bench,
    name: str,
    calls: int,
    make: Callable[[float], BlockCache],
    bounds: tuple[float, float],
) -> Configured | None:
    """A cache that decides for itself, at the threshold that reaches the asked equivalents.

    Args:
        bench: What it is made from.
        name: The cache's name, with all that its threshold depends on.
        calls: Mean equivalents asked for.
        make: A new state at a threshold.
        bounds: Least and greatest threshold; the greater, the fewer equivalents.
    """

    def configure(threshold: float) -> Configured:
        return with_cache(bench, lambda: make(threshold), "")

    found = tune(bench, name, calls, configure, bounds)
    if found.calls > calls + 2 * TOLERANCE:
        refuse(name, calls, f"it needs {found.calls:.1f} equivalents at its greatest threshold.")
        return None
    note = f"{name}, threshold {found.setting:.4g}: {found.calls:.1f} equivalents"
    return replace(configure(found.setting), note=f"{note} on calibration prompts")


def best_of(bench: Bench, made: list[Configured]) -> Configured | None:
    """The one that does best on calibration prompts, with the others in its note."""
    if len(made) < 2:
        return made[0] if made else None
    losses = [calibration_loss(bench, how) for how in made]
    order = sorted(range(len(made)), key=losses.__getitem__)
    notes = [f"{made[i].note}: LPIPS {losses[i]:.4f} on calibration prompts" for i in order]
    return replace(made[order[0]], note="; ".join(notes))


def even_steps(steps: int, count: int, warm_up: int = 1) -> tuple[int, ...]:
    """Computed steps: the first ones, then at even gaps, rounded down.

    Args:
        steps: The sampler's steps.
        count: How many of them are computed, at least ``warm_up``.
        warm_up: How many at the start are computed without a gap.
    """
    first = warm_up - 1
    gaps = count - first
    return (*range(first), *(first + i * (steps - first) // gaps for i in range(gaps)))
