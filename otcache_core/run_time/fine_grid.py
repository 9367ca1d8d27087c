"""Run time: a sampler's noise levels made denser, so that estimated steps follow a finer curve.

Estimated steps cost next to nothing, so a run of 20 steps may as well take 60 of which 15 run the
model: what the sampler's own large steps get wrong goes away, and the calls go where they count.

Where slopes are known to go on, steps are cut further still, down to those of a converged run.
Where they turn back, as under strong guidance, they are not: an estimate is followed the farther,
the finer the steps are, and there that is too far.
"""
# Not in the paper, whose runs have 50 steps of their own.

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator

from ..documents.schedule import MAX_STEPS, Schedule
from .run_plan import SIGMA_TOLERANCE

FINE_STEPS = 60
"""Steps of a fine grid, at least. With 48, 13 calls behind 16 steps were up to twice as far on easy
models and level on hard ones, in a trial; ``nox -s bench -- auto`` is with it."""

LEAST_PARTS = 3
"""Into how many each of a run's steps is cut, at least: even 50 steps are not yet converged."""

FINEST_STEPS = 200
"""Steps of a grid that is cut further, at most: such a run has converged."""

HIGHER_ORDER_STEPS, HIGHER_ORDER_FINEST = 6, 150
"""A sampler of higher order has one more part in each step for so many steps of its own, up to so
many in all. The error of its n steps falls with their square, that of m small Euler steps with m,
so that m rises as n n; but estimates are followed the farther, the finer the steps are. Figures:
docs/method.md; ``nox -s bench -- auto`` and ``schedulers`` are with it."""


@dataclass(frozen=True)
class FineGrid:
    """Noise levels of a run, with some put in between.

    Attributes:
        sigmas: The levels, the first and the last as they were.
        own: Where the run's own levels are reached among them, one for each.
    """

    sigmas: tuple[float, ...]
    own: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.sigmas) - 1

    @property
    def is_fine(self) -> bool:
        """Whether it has more levels than the run."""
        return len(self.sigmas) > len(self.own)

    def own_steps_done(self, step: int) -> int:
        """How many of the run's own steps are over once the grid's ``step`` is."""
        return bisect_right(self.own, step + 1) - 1

    def counting(self, own: Sequence[float]) -> FineGrid:
        """The same levels, told as the steps of a run that has other levels between the ends."""
        near = (level * (1.0 + SIGMA_TOLERANCE) for level in own)
        return FineGrid(
            self.sigmas,
            tuple(bisect_left(self.sigmas, -level, key=lambda sigma: -sigma) for level in near),
        )


def own_grid(sigmas: Sequence[float]) -> FineGrid:
    """The run's own levels as they are."""
    return FineGrid(tuple(sigmas), tuple(range(len(sigmas))))


def parts_of_step(own_steps: int, higher_order: bool = False) -> int:
    """Into how many each of a run's steps is cut: no schedule has more than ``MAX_STEPS``."""
    own = max(own_steps, 1)
    parts = max(math.ceil(FINE_STEPS / own), LEAST_PARTS)
    if higher_order:
        parts = max(parts, min(own // HIGHER_ORDER_STEPS, HIGHER_ORDER_FINEST // own))
    return min(parts, max(MAX_STEPS // own, 1))


def fine_grid(
    sigmas: Sequence[float], lowest: float = 0.0, *, higher_order: bool = False
) -> FineGrid:
    """The levels of a run with others put into each of its steps, ``parts_of_step`` in all.

    They lie on the smooth falling curve through the run's own, which is the scheduler's. A run
    whose levels do not fall all along is left as it is.

    Args:
        sigmas: The run's levels.
        lowest: The model knows no lower level but 0: none is put below it.
        higher_order: Whether the sampler is of higher order than Euler.
    """
    own = len(sigmas) - 1
    parts = parts_of_step(own, higher_order)
    if own < 2 or parts < 2 or any(after >= at for at, after in pairwise(sigmas)):
        return own_grid(sigmas)
    return _cut(sigmas, range(own), parts, lowest)


def finer(
    grid: FineGrid, schedule: Schedule, steps: Collection[int], lowest: float = 0.0
) -> tuple[FineGrid, Schedule]:
    """A schedule's grid with some steps cut further, up to ``FINEST_STEPS`` in all.

    Its model calls stay at their noise levels.

    Args:
        grid: Levels that fall all along.
        schedule: Over these.
        steps: Those to cut.
        lowest: As for ``fine_grid``.
    """
    parts = FINEST_STEPS // grid.steps
    if parts < 2 or not steps:
        return grid, schedule
    cut = _cut(grid.sigmas, steps, parts, lowest)
    computed = tuple(cut.own[step] for step in schedule.computed_steps)
    placed = replace(schedule, steps=cut.steps, computed_steps=computed, sigmas=cut.sigmas)
    return FineGrid(cut.sigmas, tuple(cut.own[place] for place in grid.own)), placed


def through(
    grid: FineGrid, positions: Sequence[float], lowest: float = 0.0
) -> tuple[FineGrid, tuple[int, ...]]:
    """As many levels again, but such that calls lie at the very positions that are wanted.

    Between two of them are as many equal steps as there were, all on the grid's curve.

    Args:
        grid: Levels that fall all along.
        positions: Rising real positions among its steps, from 0 to the last step at most.
        lowest: As for ``fine_grid``.

    Returns:
        The new grid, and the steps in it at the positions.
    """
    curve = PchipInterpolator(np.arange(len(grid.sigmas)), np.asarray(grid.sigmas))
    levels: list[float] = []
    at: list[int] = []
    for begin, end in pairwise((*positions, float(grid.steps))):
        at.append(len(levels))
        places = np.linspace(begin, end, max(round(end - begin), 1), endpoint=False)
        first, *others = curve(places).tolist()
        levels += [first, *(level for level in others if level >= lowest)]
    levels[0] = grid.sigmas[0]
    own = [grid.sigmas[place] for place in grid.own]
    return own_grid((*levels, grid.sigmas[-1])).counting(own), tuple(at)


def _cut(sigmas: Sequence[float], steps: Collection[int], parts: int, lowest: float) -> FineGrid:
    """Falling levels with some steps in ``parts``; ``own`` are where the levels themselves are."""
    curve = PchipInterpolator(np.arange(len(sigmas)), np.asarray(sigmas, dtype=np.float64))
    levels, places = [float(sigmas[0])], [0]
    for step, end in enumerate(sigmas[1:]):
        if step in steps:
            between = curve(step + np.arange(1, parts) / parts).tolist()
            levels += [level for level in between if end < level < levels[-1] and level >= lowest]
        levels.append(float(end))
        places.append(len(levels) - 1)
    return FineGrid(tuple(levels), tuple(places))
