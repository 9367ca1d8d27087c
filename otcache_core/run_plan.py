"""Fits a schedule to the sampling run at hand, and finds the step that an evaluation belongs to."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from .schedule import Schedule
from .transport import retime

SIGMA_TOLERANCE = 1e-4
"""Relative difference under which two noise levels are the same."""


LEAST_STEPS = 10
"""Steps of the shortest run that is worth caching; see docs/compatibility.md."""

TOO_SHORT = (
    "Caching is off: this run has {steps} steps, and below {least} plain sampling with fewer "
    "steps is as good. Models made for few steps gain nothing from caching."
)

NEARLY_HIGHEST = 0.95
"""Share of the highest level from which on a run counts as begun at the top."""


@dataclass(frozen=True)
class Plan:
    """The schedule of one run, and what to tell the user of how it came to be."""

    schedule: Schedule
    note: str = ""


def same_sigma(a: float, b: float) -> bool:
    """Whether two noise levels are equal up to rounding in the host's casts."""
    return abs(a - b) <= SIGMA_TOLERANCE * max(abs(a), abs(b), SIGMA_TOLERANCE)


def _first_not_above(sigma: float, sigmas: Sequence[float]) -> int:
    return bisect_left(sigmas, -sigma, key=lambda level: -level)


def step_of_sigma(sigma: float, sigmas: Sequence[float]) -> int:
    """The step that an evaluation at ``sigma`` belongs to.

    A step reaches from its own level down to, but not including, the next one; evaluations that a
    sampler makes in between belong to it as well.

    Args:
        sigma: Noise level of the evaluation.
        sigmas: The run's ``steps + 1`` noise levels, never rising.

    Returns:
        A step index from 0 to ``steps - 1``.
    """
    last = len(sigmas) - 2
    below = _first_not_above(sigma, sigmas)
    # Levels of long runs can be closer to each other than rounding may be: the nearest counts.
    near = [i for i in (below - 1, below) if 0 <= i <= last and same_sigma(sigmas[i], sigma)]
    if near:
        return _first_not_above(
            min((sigmas[i] for i in near), key=lambda s: abs(s - sigma)), sigmas
        )
    return min(max(below - 1, 0), last)


def fit_to_run(schedule: Schedule, sigmas: Sequence[float], highest: float = math.inf) -> Plan:
    """The schedule for one run: as it is, a part of it, placed again, or none.

    A run of as many steps takes the schedule as it is. A run over a part of the very sigmas that
    the schedule was made for (split sigmas, start and end steps, two experts) takes that part; its
    first and last step are computed in any case. Over other sigmas, a run that begins at the
    highest level and stops early is the schedule's beginning, and one that begins lower and goes to
    the end is its end. Any other run takes the schedule's curve over its own steps, with the same
    budget; a run too short for that computes every step.

    Args:
        schedule: The schedule that the user made.
        sigmas: The run's noise levels, at least 2.
        highest: The level at which the model's full runs begin, where it is known.
    """
    steps = len(sigmas) - 1
    offset = _find_part(schedule.sigmas, sigmas) if steps < schedule.steps else None
    if offset is not None:
        return Plan(_part(schedule, offset, steps))
    offset = _aligned_part(schedule, sigmas, highest)
    if offset is not None:
        first, last = offset, offset + steps - 1
        note = f"Taken for steps {first} to {last} of the schedule's {schedule.steps}."
        return Plan(_part(schedule, offset, steps), note)
    if steps < LEAST_STEPS:
        return Plan(Schedule.full(steps), TOO_SHORT.format(steps=steps, least=LEAST_STEPS))
    if steps == schedule.steps:
        return Plan(schedule)
    fitted = retime(schedule, steps)
    note = f"The schedule is for {schedule.steps} steps and was fitted to this run's {steps}."
    return Plan(fitted, note)


def _aligned_part(schedule: Schedule, sigmas: Sequence[float], highest: float) -> int | None:
    """Where a run over unknown levels stands in the schedule by its ends, or ``None``."""
    steps = len(sigmas) - 1
    if steps >= schedule.steps or not math.isfinite(highest):
        return None
    begins, ends = sigmas[0] >= NEARLY_HIGHEST * highest, sigmas[-1] == 0.0
    if begins and not ends:
        return 0
    if ends and not begins:
        return schedule.steps - steps
    return None


def _find_part(whole: Sequence[float] | None, part: Sequence[float]) -> int | None:
    """Where ``part`` begins in ``whole``, or ``None`` if it is no run of it."""
    if whole is None or len(part) > len(whole):
        return None
    # A run may leave the part by its end, to 0: KSampler (Advanced) without leftover noise does.
    levels = part[:-1] if part[-1] == 0.0 else part
    for offset in range(len(whole) - len(part) + 1):
        window = whole[offset : offset + len(levels)]
        if all(same_sigma(a, b) for a, b in zip(window, levels, strict=True)):
            return offset
    return None


def _part(schedule: Schedule, offset: int, steps: int) -> Schedule:
    """Steps ``offset`` to ``offset + steps - 1`` of a schedule, as a schedule of their own."""
    look_back = dict(zip(schedule.computed_steps, schedule.look_back, strict=False))
    gains = dict(zip(schedule.computed_steps, schedule.slope_gain, strict=False))
    inside = [t - offset for t in schedule.computed_steps if offset <= t < offset + steps]
    nodes = tuple(sorted({0, steps - 1, *inside}))
    edges = [t + offset for t in nodes[:-1]]
    return Schedule(
        steps,
        nodes,
        schedule.estimator,
        tuple(look_back.get(t, 1) for t in edges),
        slope_gain=tuple(gains.get(t, 1.0) for t in edges),
    )
