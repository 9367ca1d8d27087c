"""Denser levels on the run's own curve: the ends, the own levels, the callbacks' count."""

from itertools import pairwise

import numpy as np
import pytest

from otcache_core.documents.schedule import MAX_STEPS
from otcache_core.run_time.fine_grid import (
    FINE_STEPS,
    fine_grid,
    own_grid,
    parts_of_step,
    through,
)


def _simple(steps, shift=3.0):
    t = np.linspace(1.0, 0.0, steps + 1)
    return tuple((shift * t / (1.0 + (shift - 1.0) * t)).tolist())


def _karras(steps, low=0.03, high=14.6, rho=7.0):
    t = np.linspace(0.0, 1.0, steps)
    curve = (high ** (1 / rho) + t * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return (*curve.tolist(), 0.0)


@pytest.mark.parametrize("levels", [_simple, _karras])
@pytest.mark.parametrize("steps", [8, 12, 16, 20, 25, 30, 50, 60])
def test_a_run_keeps_its_own_levels_and_gets_others_between_them(levels, steps):
    sigmas = levels(steps)
    grid = fine_grid(sigmas, lowest=sigmas[-2])

    assert tuple(grid.sigmas[i] for i in grid.own) == sigmas
    assert all(before > after for before, after in pairwise(grid.sigmas))
    assert grid.steps >= FINE_STEPS - FINE_STEPS // steps  # the last step may stay whole
    assert grid.is_fine


@pytest.mark.parametrize("levels", [_simple, _karras])
def test_levels_lie_on_the_schedulers_own_curve(levels):
    # The scheduler itself says what lies between: at thrice the steps, two of three levels are new.
    thrice = levels(60) if levels is _simple else levels(58)
    sigmas = thrice[::3] if levels is _simple else (*thrice[:-1:3], 0.0)
    grid = fine_grid(sigmas)

    # The last two steps lead to 0, which is not on the curve.
    here = -np.array(grid.sigmas[: grid.own[-3]])
    known = np.interp(here, -np.array(thrice), np.arange(len(thrice)))
    assert np.abs(known - np.round(known)).max() < 0.1  # of a step


def test_no_level_is_put_below_the_lowest_that_the_model_knows():
    sigmas = _karras(20)
    grid = fine_grid(sigmas, lowest=sigmas[-2])
    assert grid.sigmas[-2:] == sigmas[-2:]
    assert len(fine_grid(sigmas, lowest=0.0).sigmas) > len(grid.sigmas)


@pytest.mark.parametrize(
    "sigmas",
    [_simple(MAX_STEPS // 2 + 1), (1.0, 0.5), (1.0, 0.5, 0.5, 0.0), (0.2, 0.5, 0.1), (1.0,), ()],
)
def test_other_runs_are_left_as_they_are(sigmas):
    grid = fine_grid(sigmas)
    assert grid == own_grid(sigmas)
    assert not grid.is_fine


def test_each_step_is_cut_into_three_at_least_and_no_schedule_gets_too_long():
    assert [parts_of_step(steps) for steps in (1, 8, 12, 16, 20, 50, 333)] == [60, 8, 5, 4, 3, 3, 3]
    assert [parts_of_step(steps) for steps in (334, 500, 501, MAX_STEPS)] == [2, 2, 1, 1]


def test_many_steps_of_a_sampler_of_higher_order_are_cut_finer():
    parts = {steps: parts_of_step(steps, higher_order=True) for steps in (16, 20, 25, 30, 40, 50)}
    assert parts == {16: 4, 20: 3, 25: 4, 30: 5, 40: 3, 50: 3}
    assert [parts_of_step(steps, higher_order=True) for steps in (8, 60, 100, 501)] == [8, 3, 3, 1]
    assert fine_grid(_simple(30)).steps == 90
    assert fine_grid(_simple(30), higher_order=True).steps == 150


def test_the_runs_own_steps_are_counted():
    grid = fine_grid(_simple(20))
    assert grid.steps == 60
    assert [grid.own_steps_done(step) for step in (0, 1, 2, 3, 5, 58, 59)] == [
        0,
        0,
        1,
        1,
        2,
        19,
        20,
    ]
    assert [own_grid(_simple(5)).own_steps_done(step) for step in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("levels", [_simple, _karras])
def test_calls_lie_at_the_very_positions_with_as_many_levels_between(levels):
    sigmas = levels(20)
    grid = fine_grid(sigmas, lowest=sigmas[-2])
    positions = (0.0, 4.4, 9.7, 10.6, 22.5, 30.0, float(grid.steps - 1))
    found, at = through(grid, positions, lowest=sigmas[-2])

    places = np.interp(-np.array(found.sigmas), -np.array(grid.sigmas), np.arange(grid.steps + 1))
    assert [places[step] for step in at] == pytest.approx(positions, abs=0.03)
    assert np.diff((*at, found.steps)).tolist() == [4, 5, 1, 12, 8, grid.steps - 31, 1]
    assert all(before > after for before, after in pairwise(found.sigmas))
    assert (found.sigmas[0], found.sigmas[-1]) == (sigmas[0], 0.0)
    assert found.sigmas[-2] >= sigmas[-2]  # none below the lowest level that the model knows
    assert len(found.own) == len(sigmas) and (found.own[0], found.own[-1]) == (0, found.steps)
    for level, reached in zip(sigmas[1:-1], found.own[1:-1], strict=True):
        assert found.sigmas[reached] <= level * 1.001 and found.sigmas[reached - 1] > level * 0.999


def test_no_level_is_put_below_the_lowest_after_the_last_call_either():
    sigmas = _karras(20)
    grid = fine_grid(sigmas, lowest=sigmas[-2])
    last = grid.steps - 2.6  # of three levels the last one is within the last step
    found, at = through(grid, (0.0, last), lowest=sigmas[-2])
    free, _ = through(grid, (0.0, last))
    assert min(free.sigmas[:-1]) < sigmas[-2] <= min(found.sigmas[:-1])
    assert len(at) == 2
