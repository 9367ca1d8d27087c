"""A plan without being told: exactly the calls, an anchor only where it has them."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from otcache_core.auto_plan import (
    EVENER,
    EVENER_OF_ALL,
    FEWEST_CALLS,
    FEWEST_OF_PART,
    FEWEST_STEPS,
    STEADY,
    STEADY_FROM,
    calibrated,
    calls_for,
    is_whole,
    least_steps,
    teaching_itself,
    tells_enough,
)
from otcache_core.documents.anchor import load_anchor
from otcache_core.run_time.fine_grid import FineGrid, fine_grid, own_grid
from otcache_core.transport import predict_schedule

PRESETS = Path(__file__).parents[2] / "presets"
RECORDS = Path(__file__).parents[2] / "benchmarks" / "records" / "anchors"
GENERIC = load_anchor(PRESETS / "flow-matching (generic).otanchor.json")
DEMO = load_anchor(PRESETS / "otcache-demo.otanchor.json")


def _levels(steps, high=1.0):
    return tuple(np.linspace(high, 0.0, steps + 1).tolist())


@pytest.mark.parametrize("steps", [8, 12, 20, 30, 50])
@pytest.mark.parametrize("high", [1.0, 0.6])
def test_a_run_that_teaches_itself_has_exactly_the_calls_asked_for(steps, high):
    grid = fine_grid(_levels(steps, high))
    for calls in range(2, grid.steps + 3):
        schedule = teaching_itself(GENERIC, grid, calls).schedule
        assert schedule.budget == min(calls, grid.steps)
        assert schedule.steps == grid.steps
        assert schedule.is_full or schedule.estimator == "adaptive"


def test_its_steps_lie_between_the_presets_and_even_ones():
    grid = fine_grid(_levels(20))
    nodes = np.array(teaching_itself(GENERIC, grid, 10).schedule.computed_steps)
    even = np.linspace(0, grid.steps - 1, 10)
    early = grid.steps * 0.2
    # The preset has more calls early than even spacing; half of the way there is left.
    assert sum(nodes < early) > sum(even < early)
    assert nodes[0] == 0 and nodes[-1] == grid.steps - 2  # few calls: the last one is early


@pytest.mark.parametrize("steps", [20, 30, 40, 50])
def test_many_calls_are_spaced_more_evenly_than_the_preset_has_them(steps):
    """As far as six tenths of the way; few calls by the preset's own half."""
    grid = own_grid(_levels(600))
    by_preset = replace(GENERIC, learned_in_runs=replace(GENERIC.learned_in_runs, evenness=0.0))

    def moved(calls, of=GENERIC):
        plain = predict_schedule(by_preset, calls, steps=600, below_anchor=True).schedule
        ours = teaching_itself(of, grid, calls).schedule
        even = np.linspace(0, plain.computed_steps[-1], calls)
        away = [np.abs(np.array(s.computed_steps) - even).sum() for s in (ours, plain)]
        return 1.0 - away[0] / away[1]

    assert moved(steps) == pytest.approx(0.6, abs=0.03)
    assert moved(10) == pytest.approx(0.5, abs=0.03)
    assert moved(16) == pytest.approx(0.6, abs=0.03)
    assert moved(10) < moved(14) < moved(16)
    assert moved(15, _taught(0.4)) == moved(15) == moved(15, _taught(-0.4))


def test_an_anchor_brings_its_own_schedule_at_its_own_grid():
    grid = own_grid(DEMO.sampling.sigmas)
    assert calibrated(DEMO, grid, 8).schedule.computed_steps == DEMO.anchor.computed_steps
    assert calibrated(DEMO, grid, 50).schedule.is_full
    assert calibrated(DEMO, grid, 7) is None


@pytest.mark.parametrize("calls", [8, 11, 15, 30])
def test_an_anchor_is_placed_on_a_finer_grid_with_exactly_the_calls(calls):
    own = DEMO.sampling.sigmas[::5][:-1] + (0.0,)
    grid = fine_grid(own)
    planned = calibrated(DEMO, grid, calls)
    assert planned.schedule.budget == calls
    assert planned.schedule.steps == planned.grid.steps
    assert planned.schedule.sigmas == planned.grid.sigmas
    assert planned.grid.is_fine


VIDEO = load_anchor(RECORDS / "video.otanchor.json")
HARD = load_anchor(RECORDS / "unet-hard.otanchor.json")


def _run_of(anchor, steps, shift=0.0):
    """Levels of a run of other steps on the calibrated curve, or near it."""
    made = np.asarray(anchor.sampling.sigmas)
    at = np.interp(np.linspace(0.0, 1.0, steps + 1), np.linspace(0.0, 1.0, len(made)), made)
    return tuple((at * (1.0 - shift * np.sin(np.pi * np.linspace(0.0, 1.0, steps + 1)))).tolist())


def _levels_of_calls(planned):
    return [planned.grid.sigmas[step] for step in planned.schedule.computed_steps]


@pytest.mark.parametrize("anchor", [VIDEO, HARD], ids=lambda anchor: anchor.name)
@pytest.mark.parametrize("steps", [16, 20, 50])
@pytest.mark.parametrize("calls", [8, 11, 15])
def test_a_judged_schedule_keeps_its_very_levels_and_coefficients(anchor, steps, calls):
    planned = calibrated(anchor, fine_grid(_run_of(anchor, steps)), calls)
    judged = predict_schedule(anchor, calls).schedule

    levels = [anchor.sampling.sigmas[step] for step in judged.computed_steps]
    assert _levels_of_calls(planned) == levels
    for name in ("slope_gain", "drift", "foretold", "bend"):
        assert getattr(planned.schedule, name) == getattr(judged, name)
    assert set(anchor.sampling.sigmas) <= set(planned.grid.sigmas)


def test_its_steps_are_cut_finer_where_slopes_go_on_alone():
    for anchor, calls in ((VIDEO, 11), (HARD, 15)):
        judged = predict_schedule(anchor, calls).schedule
        planned = calibrated(anchor, fine_grid(_run_of(anchor, 20)), calls)
        gaps = zip(judged.gaps, planned.schedule.gaps, judged.slope_gain, strict=True)
        for edge, (gap, finer_gap, gain) in enumerate(gaps):
            cut = edge > 0 and gap > 1 and gain >= 0.5
            assert finer_gap == (4 * gap if cut else gap)
    assert any(gain < 0.5 for gain in judged.slope_gain)


def test_the_runs_own_steps_are_told_as_their_levels_are_passed():
    own = _run_of(VIDEO, 20)
    grid = calibrated(VIDEO, fine_grid(own), 11).grid
    assert len(grid.own) == 21 and grid.own[0] == 0 and grid.own[-1] == grid.steps
    for level, reached in zip(own[1:-1], grid.own[1:-1], strict=True):
        assert grid.sigmas[reached] <= level * 1.001 and grid.sigmas[reached - 1] > level * 0.999


@pytest.mark.parametrize(
    ("steps", "shift", "calls", "why"),
    [
        (20, 0.3, 11, "other levels"),
        (60, 0.0, 11, "more steps than calibrated"),
        (20, 0.0, 24, "never judged"),
    ],
)
def test_other_runs_of_an_anchor_go_over_their_own_levels(steps, shift, calls, why):
    grid = fine_grid(_run_of(HARD, steps, shift))
    planned = calibrated(HARD, grid, calls)
    assert planned.grid == grid, why
    assert planned.schedule.budget == calls


@pytest.mark.parametrize(
    ("prompts", "calls", "enough"), [(5, 12, True), (5, 13, False), (6, 13, True), (0, 13, True)]
)
def test_many_calls_ask_for_an_anchor_of_six_prompts(prompts, calls, enough):
    anchor = replace(HARD, calibration=replace(HARD.calibration, prompts=prompts))
    own = _run_of(HARD, 20)
    assert tells_enough(anchor, fine_grid(own), calls) is enough
    assert tells_enough(anchor, own_grid(own), calls)


def _taught(steadiness, pictures=4):
    learned = replace(GENERIC.learned_in_runs, steadiness=steadiness, pictures=pictures)
    return replace(GENERIC, learned_in_runs=learned)


@pytest.mark.parametrize(("own", "calls"), [(16, 13), (20, 12), (20, 16), (20, 18), (30, 24)])
def test_the_first_edge_of_many_calls_is_shorter(own, calls):
    grid = fine_grid(_levels(own))
    computed = teaching_itself(GENERIC, grid, calls).schedule.computed_steps
    as_sampled = own_grid(grid.sigmas)  # where the preset's steps stay
    before = teaching_itself(GENERIC, as_sampled, calls).schedule.computed_steps

    first, *_ = earlier = np.subtract(before, computed)[1:]
    shorter = round(before[1] / 3) if before[1] > 2 else 0
    assert first == shorter and list(earlier[:6]) == [shorter] * 6 and not any(earlier[6:])
    assert len(computed) == calls and all(np.diff(computed) > 0)


def test_a_run_that_is_cut_finer_keeps_its_first_edge():
    grid = fine_grid(_levels(20))
    first = [_levels_of_calls(teaching_itself(_taught(s), grid, 18))[1] for s in (0.4, -0.4)]
    assert first[0] < first[1]


@pytest.mark.parametrize(("calls", "earlier"), [(11, False), (12, True), (15, True)])
def test_few_calls_keep_their_first_edge_whatever_was_taught(calls, earlier):
    grid = fine_grid(_levels(20))
    known = [teaching_itself(of, grid, calls) for of in (GENERIC, _taught(0.4), _taught(-0.4))]
    before = teaching_itself(GENERIC, own_grid(grid.sigmas), calls).schedule.computed_steps
    assert len({planned.schedule.computed_steps for planned in known}) == 1
    assert (known[0].schedule.computed_steps[1] < before[1]) is earlier


def test_steps_are_cut_finer_once_slopes_are_known_to_go_on():
    grid = fine_grid(_levels(20))
    steady, turning = (teaching_itself(_taught(known), grid, 16) for known in (0.4, -0.4))
    assert (turning.grid, steady.grid.steps) == (grid, 3 * grid.steps)
    assert [steady.grid.sigmas[i] for i in steady.grid.own] == [grid.sigmas[i] for i in grid.own]
    # With calls as unevenly spaced as the preset's, at the very levels of the grid before.
    assert set(_levels_of_calls(steady)) <= set(grid.sigmas)
    few = teaching_itself(_taught(0.4), own_grid(_levels(60)), 16)
    assert few.grid.steps == 60  # as sampled: the run's own levels stay
    assert _levels_of_calls(few) == pytest.approx(_levels_of_calls(steady))
    assert teaching_itself(_taught(0.4), grid, 15).grid == grid
    assert steady.schedule.budget == 16 and steady.schedule.steadiness == pytest.approx(0.3)


TABLE = tuple(np.linspace(1.0, 1e-3, 1_000).tolist())
"""Of a flow model, the highest first."""


def _early_and_late(steps):
    """Levels denser at both ends, as `beta`'s are."""
    even = np.linspace(0.0, 1.0, steps + 1)
    return tuple((1.0 - (even - 0.08 * np.sin(2.0 * np.pi * even))).tolist())


@pytest.mark.parametrize("cut", [fine_grid, own_grid])
@pytest.mark.parametrize("steps", [12, 20, 30])
def test_at_a_pace_of_its_own_a_run_has_exactly_the_calls_asked_for(cut, steps):
    grid = cut(_early_and_late(steps))
    for calls in range(2, grid.steps + 1):
        planned = teaching_itself(GENERIC, grid, calls, table=TABLE)
        assert planned.schedule.budget == calls
        assert planned.schedule.sigmas == planned.grid.sigmas or planned.schedule.is_full
        assert planned.grid.is_fine == grid.is_fine
        assert planned.grid.is_fine or planned.grid == grid


@pytest.mark.parametrize("calls", [8, 16])
def test_calls_are_not_crowded_where_the_scheduler_crowds_its_levels_already(calls):
    grid = fine_grid(_early_and_late(20))
    even_pace = teaching_itself(GENERIC, fine_grid(_levels(20)), calls, table=TABLE)
    assert even_pace == teaching_itself(GENERIC, fine_grid(_levels(20)), calls)

    meant, by_number, placed = (
        _levels_of_calls(planned)
        for planned in (even_pace, teaching_itself(GENERIC, grid, calls),
                        teaching_itself(GENERIC, grid, calls, table=TABLE))
    )  # fmt: skip
    early = calls // 4
    assert by_number[early] > placed[early]  # twice as crowded, were it not for the pace
    away = [np.abs(np.array(levels) - meant)[: early + 1].max() for levels in (by_number, placed)]
    assert away[1] < 0.9 * away[0]


def test_as_many_calls_as_steps_come_nearer_to_the_samplers_own_places():
    levels = fine_grid(_early_and_late(20)).sigmas

    def away(own_steps):
        """How far 20 calls are from where the sampler has its 20 steps."""
        grid = FineGrid(levels, tuple(range(0, 61, 60 // own_steps)))
        placed = _levels_of_calls(teaching_itself(GENERIC, grid, 20, table=TABLE))
        return np.abs(np.array(placed) - levels[:-1:3]).max()

    assert away(20) == pytest.approx(away(30) * (1 - EVENER_OF_ALL) / (1 - EVENER), rel=0.1)


def test_a_run_that_goes_on_is_cut_finer_at_a_pace_of_its_own_too():
    grid = fine_grid(_early_and_late(20))
    planned = teaching_itself(_taught(0.4), grid, 16, table=TABLE)
    assert planned.grid.steps > 2 * grid.steps and planned.schedule.budget == 16
    once = teaching_itself(_taught(0.4), grid, 15, table=TABLE)
    assert once.grid.steps <= grid.steps + 15


def test_calls_are_a_share_of_the_samplers_own_unless_asked_for():
    shares = {12: 10, 16: 13, 20: 16, 25: 23, 30: 27, 40: 32, 50: 40, 100: 80}
    assert {steps: calls_for(steps, 0) for steps in shares} == shares
    higher = {12: 11, 16: 15, 20: 16, 25: 20, 30: 24, 50: 40}
    assert {steps: calls_for(steps, 0, higher_order=True) for steps in higher} == higher


def test_behind_schedulers_of_another_pace_more_calls_are_needed():
    euler = {12: 12, 16: 16, 20: 20, 30: 30, 40: 36, 50: 45}
    assert {steps: calls_for(steps, 0, even=False) for steps in euler} == euler
    higher = {12: 11, 16: 15, 20: 18, 30: 27, 40: 36}
    of_higher_order = partial(calls_for, asked=0, higher_order=True, even=False)
    assert {steps: of_higher_order(steps) for steps in higher} == higher


def test_calls_that_are_asked_for_are_made():
    assert calls_for(20, 11) == calls_for(20, 11, even=False) == 11
    assert calls_for(20, 1) == FEWEST_CALLS


def test_a_model_that_goes_straight_on_needs_fewer_calls_behind_euler():
    shares = {12: 10, 16: 12, 20: 12, 25: 15, 30: 18, 50: 30}
    assert {steps: calls_for(steps, 0, steadiness=0.4) for steps in shares} == shares
    assert {steps: calls_for(steps, 0, steadiness=STEADY) for steps in shares} == shares
    assert [calls_for(20, 0, steadiness=s) for s in (None, -1.0, STEADY_FROM)] == [16] * 3
    between = np.linspace(STEADY_FROM, STEADY, 5)
    assert [calls_for(100, 0, steadiness=s) for s in between] == [80, 75, 70, 65, 60]
    assert calls_for(20, 0, steadiness=0.4, even=False) == 12
    assert calls_for(20, 0, steadiness=0.4, higher_order=True) == 16
    assert calls_for(20, 16, steadiness=0.4) == 16 and calls_for(20, 8, steadiness=0.4) == 8
    assert calls_for(4, 0, steadiness=0.4) == FEWEST_CALLS
    every = [
        (calls_for(n, 0, steadiness=s), calls_for(n, 0)) for n in range(1, 101) for s in between
    ]
    assert all(fewer <= usual for fewer, usual in every)


def test_parts_may_be_shorter_than_whole_runs():
    assert least_steps(is_whole(_levels(20), 1.0)) == FEWEST_STEPS
    assert not is_whole(_levels(20)[:11], 1.0) and not is_whole(_levels(20, 0.6), 1.0)
    assert least_steps(False) == FEWEST_OF_PART < FEWEST_STEPS
