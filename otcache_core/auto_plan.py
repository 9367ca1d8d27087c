"""A plan for a run that nobody described: how many calls, and at which steps of which grid.

Nothing is known of the model, so each run teaches itself (``run_time.adaptive``). An anchor that
was calibrated on the very model brings its steps and its estimator instead.
"""
# Not in the paper, whose schedules are predicted from an anchor for a known step count.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .documents.anchor import Anchor
from .documents.schedule import Schedule
from .run_time.fine_grid import FineGrid
from .run_time.run_plan import NEARLY_HIGHEST, alike, place_by_levels
from .transport import predict_schedule

FEWEST_STEPS = 12
"""Whole runs of fewer steps are left alone: models made for them were trained on those levels."""

FEWEST_OF_PART = 9
"""Likewise for a part of a run, such as that of one of two experts; such models take up to 8."""

SHARE = 0.8
"""Calls for each of the sampler's own steps unless a number is asked for."""

FEWEST_CALLS = 4

FEW_CALLS, MANY_CALLS = 12, 20
"""Up to the one the preset's own evenness serves, from the other on ``EVENER`` does."""

EVENER = 0.75
"""How far the steps of many calls move to even spacing: most of what fewer calls need early is
there by then. Tried on 24 pictures of each of seven models; ``nox -s bench -- auto`` is with it."""


def is_whole(sigmas: Sequence[float], highest: float) -> bool:
    """Whether a run goes from the model's highest level down to no noise."""
    return sigmas[0] >= NEARLY_HIGHEST * highest and sigmas[-1] == 0.0


def least_steps(whole: bool) -> int:
    """Steps that a run, or a part of one, must have to be worth caching."""
    return FEWEST_STEPS if whole else FEWEST_OF_PART


def calls_for(own_steps: int, asked: int) -> int:
    """Model calls of a run whose sampler has ``own_steps`` steps.

    Args:
        own_steps: At least 1.
        asked: The number of calls, or 0 for ``SHARE``.
    """
    return max(asked or math.ceil(SHARE * own_steps), FEWEST_CALLS)


def teaching_itself(generic: Anchor, grid: FineGrid, calls: int) -> Schedule:
    """The schedule of a run that teaches itself.

    Args:
        generic: The preset whose steps serve as a guess, with what the model's earlier runs have
            taught, if any.
        grid: The run's levels.
        calls: Model calls; at most the grid's steps are taken.
    """
    if calls >= grid.steps:
        return Schedule.full(grid.steps)
    preset = _evener(generic, calls)
    guess = predict_schedule(preset, calls, steps=grid.steps, below_anchor=True).schedule
    return replace(guess, sigmas=grid.sigmas)


def _evener(generic: Anchor, calls: int) -> Anchor:
    """The preset with steps that are the more evenly spaced the more calls there are."""
    learned = generic.learned_in_runs
    if learned is None:
        return generic
    ends = [math.log(FEW_CALLS), math.log(MANY_CALLS)]
    evenness = float(np.interp(math.log(calls), ends, [learned.evenness, EVENER]))
    return replace(generic, learned_in_runs=replace(learned, evenness=evenness))


def calibrated(anchor: Anchor, grid: FineGrid, calls: int) -> Schedule | None:
    """The schedule that an anchor has for a whole run, or ``None`` if it has none for so few calls.

    Args:
        anchor: Calibrated on the run's model.
        grid: The levels of a run from the highest one to 0.
        calls: Model calls; at most the grid's steps are taken.
    """
    if calls >= grid.steps:
        return Schedule.full(grid.steps)
    if calls < anchor.anchor.budget:
        return None
    schedule = predict_schedule(anchor, calls, steps=grid.steps).schedule
    made_for = anchor.sampling.sigmas
    if made_for is not None and not alike(made_for, grid.sigmas):
        schedule = place_by_levels(schedule, made_for, grid.sigmas)
    return replace(schedule, sigmas=grid.sigmas)
