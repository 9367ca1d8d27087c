"""Fits a schedule to the sampling run at hand, and finds the step that an evaluation belongs to."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..documents.schedule import Schedule
from ..message import Message
from ..projection import project_to_steps
from ..transport import retime, warping_curve, with_edges_of

SIGMA_TOLERANCE = 1e-4
"""Relative difference under which two noise levels are the same."""


LEAST_STEPS = 10
"""Steps of the shortest run that is worth caching; see docs/compatibility.md."""

WORTH_STEPS = 15
"""Steps from which on there is enough to skip."""

OTHER_LEVELS = Message(
    "other_levels",
    "The run's noise levels are not those of the calibration (another scheduler or shift): its "
    "model calls were kept at the calibrated noise levels.",
)

ALIKE = 0.1
"""Relative difference up to which noise levels at the same share of a run are alike."""

NEARLY_HIGHEST = 0.95
"""Share of the highest level from which on a run counts as begun at the top."""


@dataclass(frozen=True)
class Plan:
    """The schedule of one run, and what to tell the user of how it came to be."""

    schedule: Schedule
    note: str = ""


def too_short(steps: int, least: int) -> Message:
    """What to tell of a run that is left alone because of its few steps."""
    return Message(
        "too_short",
        "Caching is off: this run has {steps} steps, and below {least} plain sampling with fewer "
        "steps is as good. Models made for few steps gain nothing from caching.",
        steps=steps,
        least=least,
    )


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
    budget: at the calibrated noise levels where those are known and the run begins like them but
    goes on differently, else at the same shares of the run. A schedule that was made for whatever
    steps the run has is made for those first. A run too short computes every step.

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
        note = Message(
            "taken_as_part", "Taken for steps {first} to {last} of the schedule's {steps}.",
            first=offset, last=offset + steps - 1, steps=schedule.steps,
        )  # fmt: skip
        return Plan(_part(schedule, offset, steps), note)
    if steps < LEAST_STEPS:
        return Plan(Schedule.full(steps), too_short(steps, LEAST_STEPS))
    if schedule.of_steps is not None and steps != schedule.steps:
        return fit_to_run(schedule.of_steps(steps), sigmas, highest)
    made_for = schedule.sigmas if schedule.origin is None else schedule.origin.sigmas
    if made_for is not None and _begins_with(made_for, sigmas) and not alike(made_for, sigmas):
        return Plan(place_by_levels(schedule, made_for, sigmas), OTHER_LEVELS)
    if steps == schedule.steps:
        return Plan(schedule)
    fitted = retime(schedule, steps)
    note = Message(
        "fitted", "The schedule is for {made_for} steps and was fitted to this run's {steps}.",
        made_for=schedule.steps, steps=steps,
    )  # fmt: skip
    return Plan(fitted, "" if fitted.is_full else note)


def _begins_with(made_for: Sequence[float], sigmas: Sequence[float]) -> bool:
    """Whether two runs begin at about the same level: measured, a run that begins lower does not
    gain from being placed by level.
    """
    return sigmas[0] >= NEARLY_HIGHEST * made_for[0]


def alike(made_for: Sequence[float], sigmas: Sequence[float]) -> bool:
    """Whether two runs, of any step counts, are at about the same noise level all along."""
    # The last levels before 0 differ by step count alone.
    shares = np.linspace(0.0, 1.0, len(sigmas))[: max(int(0.9 * len(sigmas)), 1)]
    levels = np.asarray(sigmas)[: len(shares)]
    expected = np.interp(shares * (len(made_for) - 1), np.arange(len(made_for)), made_for)
    return bool(np.all(np.abs(levels - expected) <= ALIKE * np.maximum(levels, expected)))


def place_by_levels(
    schedule: Schedule, made_for: Sequence[float], sigmas: Sequence[float]
) -> Schedule:
    """The schedule's computed steps at the noise levels they were made for, in another run.

    The curve of a schedule says how far a run is done; with the levels it was made for, at which
    noise levels the model runs. A run that begins lower takes the rest of the curve, with the same
    budget.

    Args:
        schedule: A schedule of any step count.
        made_for: Noise levels of the run that the curve was found on.
        sigmas: The new run's noise levels, never rising.
    """
    steps = len(sigmas) - 1
    budget = min(max(schedule.budget, 2), steps)
    if steps < 2:
        return Schedule.full(steps)
    done = warping_curve(schedule.computed_steps, schedule.steps)
    levels = np.interp(done * (len(made_for) - 2), np.arange(len(made_for)), made_for)
    progress = np.linspace(0.0, 1.0, len(done))
    begin = float(np.interp(-sigmas[0], -levels, progress))
    wanted = np.interp(np.linspace(begin, 1.0, budget), progress, levels)
    positions = np.interp(-wanted, -np.asarray(sigmas), np.arange(len(sigmas)))
    positions[0] = 0.0
    if schedule.tail == 0:
        positions[-1] = steps - 1
    return with_edges_of(schedule, steps, project_to_steps(np.clip(positions, 0.0, steps - 1)))


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
    # A part may end within an edge, which drifts by as much less.
    rates = [d / gap for d, gap in zip(schedule.drift, schedule.gaps, strict=True)]
    own = (schedule.slope_gain, schedule.foretold, schedule.bend)
    parts = zip(schedule.look_back, *own, rates, strict=True)
    known = dict(zip(schedule.computed_steps, parts, strict=False))
    inside = [t - offset for t in schedule.computed_steps if offset <= t < offset + steps]
    # A part that ends before the schedule does has no step of its own to come to.
    last = {steps - 1} if offset + steps <= schedule.computed_steps[-1] else set()
    nodes = tuple(sorted({0, *inside, *last}))
    edges = [known.get(t + offset, (1, 1.0, 0.0, 0.0, 0.0)) for t in nodes[:-1]]
    gaps = [end - t for t, end in pairwise(nodes)]
    return Schedule(
        *(steps, nodes, schedule.estimator, tuple(look_back for look_back, *_ in edges)),
        slope_gain=tuple(gain for _, gain, *_ in edges),
        drift=tuple(rate * gap for (*_, rate), gap in zip(edges, gaps, strict=True)),
        foretold=tuple(share for _, _, share, *_ in edges),
        bend=tuple(bend for *_, bend, _ in edges),
        steadiness=schedule.steadiness,
    )
