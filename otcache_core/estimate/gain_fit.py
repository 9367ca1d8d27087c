"""The gains of a schedule's slopes, fitted so that cached runs come to where full runs come.

First edge by edge, in their order, each in the run that the gains before it make, so that an edge
sees the errors it will meet and takes back what it can of them. Where an edge ends is linear in its
gain, so two probes tell all of it. With a memo of model calls this costs as many as one run of the
schedule on each prompt, and the run that judges the schedule finds them remembered.

Then, where the budget is worth more calls, all gains together: the best end of an edge is not the
best for the run, since the model mends some of what an edge leaves missing, and some not.
"""
# Not in the paper, which repeats the average velocity; measured by ``nox -s bench -- fidelity``.

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..documents.schedule import MAX_SLOPE_GAIN
from ..gaps import Candidate, candidate

PROBE = 0.1
"""How far a gain is moved to see what it changes."""

MOST_REFINEMENTS = 4
"""Steps of the search for all gains together."""

State: TypeAlias = NDArray[np.float32]
Vector: TypeAlias = NDArray[np.float64]

Arrive = Callable[[Candidate, int, int], State]
"""(candidate, prompt, step) -> elements of the latent when the run arrives at that step."""

FullStates = Callable[[int], State]
"""Prompt -> the same elements of its full run before each step, ``(T + 1, elements)``."""


def fit_gains(of: Candidate, prompts: Iterable[int], arrive: Arrive, full: FullStates) -> Candidate:
    """The candidate's steps with fitted gains.

    Args:
        of: Its steps count; gains of edges that skip nothing stay 1.
        prompts: The prompts to fit on.
        arrive: Runs the model.
        full: What the full runs left.
    """
    fitted, listed = candidate(of.computed_steps), list(prompts)
    for edge, (step, end) in enumerate(pairwise(of.computed_steps)):
        if edge == 0 or end == step + 1:  # no slope before it, or nothing to skip
            continue
        held, sloped = (_with_gain(fitted, edge, gain) for gain in (0.0, 1.0))
        moved, missing = [], []
        for prompt in listed:
            start = arrive(held, prompt, end)
            moved.append(arrive(sloped, prompt, end) - start)
            missing.append(full(prompt)[end] - start)
        fitted = _with_gain(fitted, edge, best_gain(moved, missing))
    return fitted


def refine_gains(
    of: Candidate, prompts: Iterable[int], arrive: Arrive, full: FullStates
) -> Candidate:
    """The candidate with gains that bring runs closest to the full ones at the last computed step.

    Args:
        of: Steps, and the gains to begin with.
        prompts: The prompts to fit on.
        arrive: Runs the model.
        full: What the full runs left.
    """
    from scipy.optimize import least_squares

    nodes, listed = of.computed_steps, list(prompts)
    edges = [e for e, (step, end) in enumerate(pairwise(nodes)) if e > 0 and end > step + 1]
    if not edges:
        return of

    def ends(gains: Vector) -> Vector:
        """Where each prompt's run comes to, ``(prompts, elements)``."""
        every = list(of.slope_gain)
        for edge, gain in zip(edges, gains, strict=True):
            every[edge] = float(gain)
        tried = Candidate(nodes, tuple(every))  # between the values of the grid
        states = [arrive(tried, prompt, nodes[-1]) for prompt in listed]
        return np.stack(states).astype(np.float64)

    begin = np.array([of.slope_gain[edge] for edge in edges])
    wanted = np.stack([full(prompt)[nodes[-1]] for prompt in listed]).astype(np.float64)
    missing = np.linalg.norm(ends(begin) - wanted, axis=1)
    if not np.isfinite(missing).all():
        return of
    # A prompt whose picture tips over misses by far and must not decide for the others.
    weights = 1.0 / np.sqrt(missing + 0.3 * np.median(missing) + 1e-12)

    def residuals(gains: Vector) -> Vector:
        weighted: Vector = (ends(gains) - wanted) * weights[:, None]
        return weighted.ravel()

    def slopes(gains: Vector) -> Vector:
        here, columns = ends(gains), []
        for edge in range(len(gains)):
            probe = gains.copy()
            probe[edge] += PROBE if probe[edge] + PROBE <= MAX_SLOPE_GAIN else -PROBE
            columns.append((ends(probe) - here) / (probe[edge] - gains[edge]))
        matrix: Vector = np.stack([(c * weights[:, None]).ravel() for c in columns], axis=1)
        return matrix

    found: Any = least_squares(
        *(residuals, begin, slopes, (0.0, MAX_SLOPE_GAIN), "dogbox"), max_nfev=MOST_REFINEMENTS
    )
    gains = dict(zip(edges, found.x.tolist(), strict=True))
    return candidate(nodes, [gains.get(e, gain) for e, gain in enumerate(of.slope_gain)])


def _with_gain(of: Candidate, edge: int, gain: float) -> Candidate:
    gains = list(of.slope_gain)
    gains[edge] = gain
    return candidate(of.computed_steps, gains)


def best_gain(moved: list[State], missing: list[State]) -> float:
    """The gain that brings most prompts closest to their full runs.

    Each prompt's own best gain is a projection; their median is not led astray by a prompt whose
    picture tips over.

    Args:
        moved: What a gain of 1 changes at the edge's end, by prompt.
        missing: What a gain of 0 leaves missing there, by prompt.
    """
    sizes = [float(np.vdot(m, m)) for m in moved]
    gains = [
        float(np.vdot(step, rest)) / size
        for step, rest, size in zip(moved, missing, sizes, strict=True)
        if size > 0.0
    ]
    return min(max(float(np.median(gains)), 0.0), MAX_SLOPE_GAIN) if gains else 1.0
