"""A plan without being told: exactly the calls, an anchor only where it has them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from otcache_core.auto_plan import (
    FEWEST_CALLS,
    FEWEST_OF_PART,
    FEWEST_STEPS,
    calibrated,
    calls_for,
    is_whole,
    least_steps,
    teaching_itself,
)
from otcache_core.documents.anchor import load_anchor
from otcache_core.run_time.fine_grid import fine_grid, own_grid
from otcache_core.transport import predict_schedule

PRESETS = Path(__file__).parents[2] / "presets"
GENERIC = load_anchor(PRESETS / "flow-matching (generic).otanchor.json")
DEMO = load_anchor(PRESETS / "otcache-demo.otanchor.json")


def _levels(steps, high=1.0):
    return tuple(np.linspace(high, 0.0, steps + 1).tolist())


@pytest.mark.parametrize("steps", [8, 12, 20, 30, 50])
@pytest.mark.parametrize("high", [1.0, 0.6])
def test_a_run_that_teaches_itself_has_exactly_the_calls_asked_for(steps, high):
    grid = fine_grid(_levels(steps, high))
    for calls in range(2, grid.steps + 3):
        schedule = teaching_itself(GENERIC, grid, calls)
        assert schedule.budget == min(calls, grid.steps)
        assert schedule.steps == grid.steps
        assert schedule.is_full or schedule.estimator == "adaptive"


def test_its_steps_lie_between_the_presets_and_even_ones():
    grid = fine_grid(_levels(20))
    nodes = np.array(teaching_itself(GENERIC, grid, 10).computed_steps)
    even = np.linspace(0, grid.steps - 1, 10)
    early = grid.steps * 0.2
    # The preset has more calls early than even spacing; half of the way there is left.
    assert sum(nodes < early) > sum(even < early)
    assert nodes[0] == 0 and nodes[-1] == grid.steps - 2  # few calls: the last one is early


@pytest.mark.parametrize("steps", [30, 40, 50])
def test_many_calls_are_spaced_more_evenly_than_the_preset_has_them(steps):
    """As far as three quarters of the way; few calls by the preset's own half."""
    grid = own_grid(_levels(150))
    by_preset = replace(GENERIC, learned_in_runs=replace(GENERIC.learned_in_runs, evenness=0.0))

    def moved(calls):
        plain = predict_schedule(by_preset, calls, steps=150, below_anchor=True).schedule
        even = np.linspace(0, plain.computed_steps[-1], calls)
        away = [np.abs(np.array(nodes) - even).sum()
                for nodes in (teaching_itself(GENERIC, grid, calls).computed_steps,
                              plain.computed_steps)]  # fmt: skip
        return 1.0 - away[0] / away[1]

    assert moved(steps) == pytest.approx(0.75, abs=0.1)
    assert moved(10) == pytest.approx(0.5, abs=0.1)
    assert moved(10) < moved(15) < moved(20)


def test_an_anchor_brings_its_own_schedule_at_its_own_grid():
    grid = own_grid(DEMO.sampling.sigmas)
    assert calibrated(DEMO, grid, 8).computed_steps == DEMO.anchor.computed_steps
    assert calibrated(DEMO, grid, 50).is_full
    assert calibrated(DEMO, grid, 7) is None


@pytest.mark.parametrize("calls", [8, 11, 15, 30])
def test_an_anchor_is_placed_on_a_finer_grid_with_exactly_the_calls(calls):
    own = DEMO.sampling.sigmas[::5][:-1] + (0.0,)
    grid = fine_grid(own)
    schedule = calibrated(DEMO, grid, calls)
    assert (schedule.budget, schedule.steps) == (calls, grid.steps)
    assert schedule.sigmas == grid.sigmas


def test_calls_are_a_share_of_the_samplers_own_unless_asked_for():
    assert [calls_for(steps, 0) for steps in (12, 20, 30, 50)] == [10, 16, 24, 40]
    assert calls_for(20, 11) == 11
    assert calls_for(20, 1) == FEWEST_CALLS


def test_parts_may_be_shorter_than_whole_runs():
    assert least_steps(is_whole(_levels(20), 1.0)) == FEWEST_STEPS
    assert not is_whole(_levels(20)[:11], 1.0) and not is_whole(_levels(20, 0.6), 1.0)
    assert least_steps(False) == FEWEST_OF_PART < FEWEST_STEPS
