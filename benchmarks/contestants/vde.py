"""VDE's estimate, re-implemented: the velocity along the state and across it.

A velocity is a multiple of the state and a part orthogonal to it. At a skipped step both sizes,
relative to the state's, go on along the line through the last two computed steps; the orthogonal
direction stays that of the last. VDE itself computes some steps at the beginning, the last one, and
every n-th between them; how many at the beginning is tuned on calibration prompts.
"""
# Source: VDE (arXiv 2605.23381), whose time is a flow's; here it is sigma, for every model.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from benchmarks.contestants.answering import Evaluate, Run, answering
from benchmarks.contestants.contestant import ON_OURS, Bench, Configured, Contestant
from benchmarks.contestants.tuning import calibration_loss
from benchmarks.instruments.kept import Kept

WARM_UPS = (1, 2, 3, 4, 6)
"""Computed steps at the beginning that are tried."""

VDE = "VDE (our re-implementation)"
VDE_ON_OURS = f"VDE's estimate {ON_OURS}"


@dataclass(frozen=True)
class Parts:
    """A velocity, split.

    Attributes:
        along: The part along the state, in states, ``(N, 1, ...)``.
        across: Size of the rest over that of the state, ``(N, 1, ...)``.
        direction: Of the rest, of length 1, as the state.
    """

    along: torch.Tensor
    across: torch.Tensor
    direction: torch.Tensor


def _size(x: torch.Tensor) -> torch.Tensor:
    """Length of each picture's latent, ``(N, 1, ...)``."""
    return x.square().sum(dim=tuple(range(1, x.ndim)), keepdim=True).sqrt()


def split(velocity: torch.Tensor, x: torch.Tensor) -> Parts:
    """Splits a velocity by the state it belongs to."""
    length = _size(x)
    along = (velocity * x).sum(dim=tuple(range(1, x.ndim)), keepdim=True) / length.square()
    rest = velocity - along * x
    across = _size(rest)
    return Parts(along, across / length, rest / across.clamp(min=1e-12))


def join(parts: Parts, x: torch.Tensor) -> torch.Tensor:
    """The velocity of a state from its parts."""
    return parts.along * x + parts.across * _size(x) * parts.direction


def onward(last: Parts, before: Parts | None, share: float) -> Parts:
    """The parts further on along a line.

    Args:
        last: At the last computed step.
        before: At the one before, or None where there is none.
        share: How far to go, in distances of the two.
    """
    if before is None:
        return last
    return Parts(
        last.along + share * (last.along - before.along),
        last.across + share * (last.across - before.across),
        last.direction,
    )


def by_parts(bench: Bench, computed_steps: Iterable[int]) -> Configured:
    """The model with the steps between the computed ones estimated part by part."""
    computed, sigmas = frozenset(computed_steps), bench.sigmas
    core = bench.host.core("run_time.velocity")

    def new_run() -> Run:
        known: list[tuple[float, Parts]] = []

        def run(step: int, x: torch.Tensor, evaluate: Evaluate) -> torch.Tensor:
            sigma = sigmas[step]
            if step in computed:
                denoised = evaluate()
                parts = split(core.velocity_from_denoised(x, denoised, sigma), x)
                known[:] = [*known[-1:], (sigma, parts)]
                return denoised
            at, last = known[-1]
            share = (sigma - at) / (at - known[0][0]) if len(known) > 1 else 0.0
            parts = onward(last, known[0][1] if len(known) > 1 else None, share)
            found: torch.Tensor = core.denoised_from_velocity(x, join(parts, x), sigma)
            return found

        return run

    return Configured(answering(bench, new_run))


def own_steps(calls: int, warm_up: int, steps: int) -> tuple[int, ...]:
    """Computed steps: some at the beginning, the last one, the others evenly between."""
    left = calls - warm_up
    first = warm_up - 1
    rest = (first + round((steps - 1 - first) * i / left) for i in range(1, left + 1))
    return (*range(warm_up), *rest)


def _own(bench: Bench, calls: int) -> Configured:
    steps = len(bench.sigmas) - 1
    kept = Kept(bench.work / f"vde-{calls}.json")
    if "warm up" not in kept.lines:
        losses = {
            warm_up: calibration_loss(bench, by_parts(bench, own_steps(calls, warm_up, steps)))
            for warm_up in WARM_UPS
            if warm_up < calls - 1
        }
        kept.put("warm up", min(losses, key=lambda warm_up: losses[warm_up]))
    warm_up = kept.lines["warm up"]
    computed = own_steps(calls, warm_up, steps)
    note = f"{warm_up} at the beginning: computed steps {' '.join(map(str, computed))}"
    return replace(by_parts(bench, computed), note=note)


def _on_our_steps(bench: Bench, calls: int) -> Configured:
    return by_parts(bench, bench.our_steps(calls))


CONTESTANTS: dict[str, Contestant] = {VDE: _own, VDE_ON_OURS: _on_our_steps}
