"""A plan for a run that nobody described: how many calls, and at which steps of which grid.

Nothing is known of the model, so each run teaches itself (``run_time.adaptive``). An anchor that
was calibrated on the very model brings its steps and its estimator instead: where calibration has
judged the very schedule, at the very noise levels.
"""
# Not in the paper, whose schedules are predicted from an anchor for a known step count.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .documents.anchor import Anchor
from .documents.facts import LearnedInRuns
from .documents.schedule import MAX_STEPS, Schedule
from .pace import pace_of, placed_by_pace
from .projection import project_to_steps
from .run_time.edge import GOES_ON
from .run_time.fine_grid import FineGrid, finer, own_grid, through
from .run_time.run_plan import NEARLY_HIGHEST, alike, place_by_levels, same_sigma
from .transport import Curve, predict_schedule

FEWEST_STEPS = 12
"""Whole runs of fewer steps are left alone: models made for them were trained on those levels."""

FEWEST_OF_PART = 9
"""Likewise for a part of a run, such as that of one of two experts; such models take up to 8."""

SHARE_STEPS = (16, 20, 25, 30, 40)
"""Steps of a sampler for which shares of calls were measured; others lie between."""

EULER_SHARES = (0.8, 0.8, 0.9, 0.9, 0.8)
"""Calls for each of the sampler's own steps unless a number is asked for: as many as bring the
picture as close to the converged one as all of the own steps, on the models that were measured.
Around 25 Euler steps become good on hard models, where 20 calls have 1.35 of their distance on
`latent-hard`."""

HIGHER_ORDER_SHARES = (0.9, 0.8, 0.8, 0.8, 0.8)
"""Likewise behind a sampler of higher order: 13 calls behind 16 steps were not enough for `video`
between easy and hard guidance."""

UNEVEN_EULER_SHARES = (1.0, 1.0, 1.0, 1.0, 0.9)
"""Likewise behind Euler and a scheduler of another pace: nine tenths were not enough behind `beta`,
for flow models at guidance between easy and hard and above."""

UNEVEN_HIGHER_ORDER_SHARES = (0.9, 0.9, 0.9, 0.9, 0.9)
"""Likewise behind one of higher order and a scheduler of another pace."""
# Figures of all four: docs/method.md, and the records of ``nox -s bench -- auto``, ``schedulers``.

STEADY_FROM, STEADY = 0.05, 0.15
"""From the one steadiness to the other a model comes to go straight on."""

STEADY_SHARE, STEADY_CALLS = 0.6, 12
"""The share of such a model behind Euler, and its fewest calls: on four of them the picture is
closer to the converged one than all of 16 to 50 own steps (``nox -s bench -- auto``, worst .92).
With 10 calls `demo` is farther than 16 steps are. Samplers of higher order are closer by
themselves, and their share stays."""

FEWEST_CALLS = 4

FEW_CALLS, MANY_CALLS = 12, 16
"""Up to the one the preset's own evenness serves, from the other on ``EVENER`` does."""

EVENER = 0.6
"""How far the steps of many calls move to even spacing: most of what fewer calls need early is
there by then. Tried at 0.5, 0.6 and 0.75 on seven models; ``nox -s bench -- auto`` is with it."""

EVENER_OF_ALL = 0.8
"""Likewise of as many calls as the sampler has steps, behind a scheduler of another pace: nearer to
the sampler's own places, of which such a run has enough."""

FIRST_SHORTER, EARLY_CALLS = 1.0 / 3.0, 6
"""From ``FEW_CALLS`` on, the share of the first edge that it is shorter by, and how many calls come
earlier for it. It has no slope to follow, so that it leaves most missing, unless steps are cut
finer since slopes go on: then it is put back. Figures: docs/method.md."""

FINER_FROM = 16
"""Calls from which on finer steps pay in runs that teach themselves: with fewer, what estimates
miss is more than what steps do. `video` at 11 and `unet` at 15 are closer on the coarser grid."""

LEAST_PROMPTS = 6
"""Prompts of a calibration that serves more calls than ``FEW_CALLS``."""
# With fewer, 16 calls of `unet-hard` are up to five times as far as runs that teach themselves.


def is_whole(sigmas: Sequence[float], highest: float) -> bool:
    """Whether a run goes from the model's highest level down to no noise."""
    return sigmas[0] >= NEARLY_HIGHEST * highest and sigmas[-1] == 0.0


def least_steps(whole: bool) -> int:
    """Steps that a run, or a part of one, must have to be worth caching."""
    return FEWEST_STEPS if whole else FEWEST_OF_PART


def calls_for(
    own_steps: int,
    asked: int,
    *,
    higher_order: bool = False,
    even: bool = True,
    steadiness: float | None = None,
) -> int:
    """Model calls of a run whose sampler has ``own_steps`` steps.

    Args:
        own_steps: At least 1.
        asked: The number of calls, or 0 for a share of the steps.
        higher_order: Whether the sampler is of higher order than Euler.
        even: Whether the scheduler's levels fall evenly in the model's time, see ``pace_of``; true
            for runs over the sampler's own steps, than which nothing is closer.
        steadiness: Of the model, ``LearnedInRuns.believed``; ``None`` if it is not known.
    """
    if higher_order:
        shares = HIGHER_ORDER_SHARES if even else UNEVEN_HIGHER_ORDER_SHARES
    else:
        shares = EULER_SHARES if even else UNEVEN_EULER_SHARES
    share = float(np.interp(own_steps, SHARE_STEPS, shares))
    if not higher_order:
        least = min(max(STEADY_SHARE, STEADY_CALLS / own_steps), share)
        share = float(np.interp(steadiness or 0.0, (STEADY_FROM, STEADY), (share, least)))
    return max(asked or math.ceil(round(share * own_steps, 6)), FEWEST_CALLS)


@dataclass(frozen=True)
class GridPlan:
    """A run's levels, and which of its steps run the model."""

    grid: FineGrid
    schedule: Schedule


def teaching_itself(
    generic: Anchor,
    grid: FineGrid,
    calls: int,
    *,
    lowest: float = 0.0,
    table: Sequence[float] = (),
) -> GridPlan:
    """A run that teaches itself.

    Args:
        generic: The preset whose steps serve as a guess, with what the model's earlier runs have
            taught, if any.
        grid: The run's levels, which are made finer where slopes are known to go on.
        calls: Model calls; at most the grid's steps are taken.
        lowest: As for ``fine_grid``.
        table: The levels that the model was trained on, as for ``pace_of``; none if not known.
    """
    if calls >= grid.steps:
        return GridPlan(grid, Schedule.full(grid.steps))
    pace = pace_of(grid.sigmas, table)
    all_of_them = pace is not None and calls >= len(grid.own) - 1
    guess = _guess(generic, calls, EVENER_OF_ALL if all_of_them else EVENER)
    if pace is None or guess.learned_in_runs is None:
        schedule = predict_schedule(guess, calls, steps=grid.steps, below_anchor=True).schedule
        if grid.is_fine and calls >= FEW_CALLS and not _finer_pays(guess, calls):
            schedule = _begun_early(schedule)
        planned = GridPlan(grid, replace(schedule, sigmas=grid.sigmas))
    else:
        planned = _at_its_pace(guess, guess.learned_in_runs, grid, calls, pace, lowest)
    return _finer_if_steady(guess, planned.grid, planned.schedule, lowest)


def _begun_early(schedule: Schedule) -> Schedule:
    """A schedule of more than ``EARLY_CALLS`` with a shorter first edge."""
    first, *others = schedule.computed_steps
    shorter = round(FIRST_SHORTER * others[0]) if others[0] > 2 else 0
    early = [step - shorter for step in others[:EARLY_CALLS]]
    return replace(schedule, computed_steps=(first, *early, *others[EARLY_CALLS:]))


def _at_its_pace(
    guess: Anchor, learned: LearnedInRuns, grid: FineGrid, calls: int, pace: Curve, lowest: float
) -> GridPlan:
    """A run whose levels fall at a pace of their own."""
    # Predicted for so many steps that rounding does not count.
    raw = replace(guess, learned_in_runs=replace(learned, evenness=0.0))
    meant = predict_schedule(raw, calls, steps=MAX_STEPS, below_anchor=True).schedule
    places = placed_by_pace(meant, pace, learned.evenness)
    if grid.is_fine:
        grid, computed = through(grid, places.tolist(), lowest)
    else:
        computed = project_to_steps(places)
    placed = replace(meant, steps=grid.steps, computed_steps=computed, sigmas=grid.sigmas)
    return GridPlan(grid, placed)


def _finer_if_steady(anchor: Anchor, grid: FineGrid, schedule: Schedule, lowest: float) -> GridPlan:
    """An adaptive schedule, its fine grid cut further if the model's slopes are known to go on."""
    pays = grid.is_fine and _finer_pays(anchor, schedule.budget)
    if not (pays and schedule.estimator == "adaptive"):
        return GridPlan(grid, schedule)
    return GridPlan(*finer(grid, schedule, range(grid.steps), lowest))


def _finer_pays(anchor: Anchor, calls: int) -> bool:
    """Whether so many calls are closer on finer steps: if the model's slopes are known to go on."""
    known = anchor.learned_in_runs
    steady = known is not None and known.believed is not None and known.believed > 0.0
    return steady and calls >= FINER_FROM


def _guess(generic: Anchor, calls: int, evener: float) -> Anchor:
    """The preset, with the steps of many calls spaced more evenly: ``evener`` of the way."""
    learned = generic.learned_in_runs
    if learned is None:
        return generic
    ends = [math.log(FEW_CALLS), math.log(MANY_CALLS)]
    evenness = float(np.interp(math.log(calls), ends, [learned.evenness, evener]))
    return replace(generic, learned_in_runs=replace(learned, evenness=evenness))


def tells_enough(anchor: Anchor, grid: FineGrid, calls: int) -> bool:
    """Whether an anchor's coefficients are of prompts enough for so many calls on a fine grid.

    Those of few prompts are better than none at few calls; at many, a run tells itself more.
    """
    few = 0 < anchor.calibration.prompts < LEAST_PROMPTS
    return not (few and grid.is_fine and calls > FEW_CALLS)


def calibrated(
    anchor: Anchor, grid: FineGrid, calls: int, *, lowest: float = 0.0
) -> GridPlan | None:
    """The run that an anchor has for a whole one, or ``None`` if it has none for so few calls.

    Args:
        anchor: Calibrated on the run's model.
        grid: The levels of a run from the highest one to 0.
        calls: Model calls; at most the grid's steps are taken.
        lowest: As for ``fine_grid``.
    """
    if calls >= grid.steps:
        return GridPlan(grid, Schedule.full(grid.steps))
    if calls < anchor.anchor.budget:
        return None
    judged = _as_judged(anchor, grid, calls)
    if judged is not None and judged.sigmas is not None:
        levels, steps = own_grid(judged.sigmas), _steps_that_go_on(judged)
        cut, schedule = finer(levels, judged, steps, lowest)
        own = [grid.sigmas[place] for place in grid.own]
        return GridPlan(cut.counting(own), schedule)
    schedule = predict_schedule(anchor, calls, steps=grid.steps).schedule
    made_for = anchor.sampling.sigmas
    if made_for is not None and not alike(made_for, grid.sigmas):
        schedule = place_by_levels(schedule, made_for, grid.sigmas)
    return _finer_if_steady(anchor, grid, replace(schedule, sigmas=grid.sigmas), lowest)


def _as_judged(anchor: Anchor, grid: FineGrid, calls: int) -> Schedule | None:
    """A schedule as calibration has judged it, at the levels that it was judged at.

    ``None`` for one that it has not, and for a run that has other levels or more steps. On other
    levels, however near, an edge's coefficients are no longer its own.
    """
    levels = anchor.sampling.sigmas
    if not grid.is_fine or levels is None or len(grid.own) > len(levels):
        return None
    known = (*anchor.fitted, *(schedule for _, schedule in anchor.searched))
    if calls not in {schedule.budget for schedule in known}:
        return None
    schedule = predict_schedule(anchor, calls).schedule
    ends_alike = all(same_sigma(levels[end], grid.sigmas[end]) for end in (0, -1))
    if schedule.estimator != "slope" or not ends_alike or not alike(levels, grid.sigmas):
        return None
    return replace(schedule, sigmas=levels)


def _steps_that_go_on(schedule: Schedule) -> set[int]:
    """The steps of edges whose slopes go on, and of the tail: others are best as they were judged.

    Of an edge that skips nothing no slope is known.
    """
    edges = zip(pairwise(schedule.computed_steps), schedule.slope_gain, strict=True)
    on = [(at, end) for (at, end), gain in edges if at > 0 and end > at + 1 and gain >= GOES_ON]
    last = schedule.computed_steps[-1]
    on += [(last, schedule.steps)] if schedule.tail else []
    return {step for at, end in on for step in range(at, end)}
