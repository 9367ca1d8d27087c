"""Runs whose levels fall at a pace of their own: which those are, and where calls go in them."""

import numpy as np
import pytest
from scipy.stats import beta

from otcache_core.documents.schedule import Schedule
from otcache_core.pace import CLOSEST, pace_of, placed_by_pace, times_of

SHIFTED = np.linspace(1.0, 1e-3, 1_000)
TABLE = tuple((3.0 * SHIFTED / (1.0 + 2.0 * SHIFTED)).tolist())
"""Of a flow model with a shift of 3, the highest first."""


def _at(times):
    """Levels at shares of the model's own time, and 0."""
    known = np.linspace(0.0, 1.0, len(TABLE) + 1)
    return (*np.interp(times, known, (*TABLE, 0.0)).tolist(), 0.0)


def _simple(steps):
    return _at(np.linspace(0.0, 1.0, steps, endpoint=False))


def _normal(steps):
    return _at(np.linspace(0.0, 0.999, steps))


def _beta(steps):
    return _at(1.0 - beta.ppf(np.linspace(1.0, 0.0, steps, endpoint=False), 0.6, 0.6))


def _karras(steps, low=0.003, rho=7.0):
    ramp = np.linspace(0.0, 1.0, steps)
    return (*((1.0 + ramp * (low ** (1 / rho) - 1.0)) ** rho).tolist(), 0.0)


@pytest.mark.parametrize("steps", [8, 12, 16, 20, 50, 60])
@pytest.mark.parametrize("levels", [_simple, _normal])
def test_levels_even_in_the_models_time_have_no_pace_of_their_own(levels, steps):
    assert pace_of(levels(steps), TABLE) is None
    assert pace_of(levels(steps)[steps // 3 :], TABLE) is None  # image to image
    assert pace_of(levels(steps)[: steps // 2 + 1], TABLE) is None  # the first of two experts


@pytest.mark.parametrize("steps", [8, 12, 16, 20, 50, 60])
@pytest.mark.parametrize("levels", [_beta, _karras])
def test_other_levels_have_one(levels, steps):
    pace = pace_of(levels(steps), TABLE)
    assert pace is not None and pace.shape == (steps + 1,)
    assert (pace[0], pace[-1]) == (0.0, 1.0)
    assert np.all(np.diff(pace) >= 0.0)


def test_times_are_shares_of_the_models_own_time():
    assert times_of(_at((0.0, 0.25, 0.5, 0.9)), TABLE) == pytest.approx((0.0, 0.25, 0.5, 0.9, 1.0))
    assert times_of((99.0, TABLE[0], 0.0), TABLE).tolist() == [0.0, 0.0, 1.0]
    assert times_of(_simple(20), ()) is None


def test_the_pace_is_the_share_of_time_that_is_over():
    pace = pace_of(_beta(40), TABLE)
    assert pace[:-1] == pytest.approx(1.0 - beta.ppf(1.0 - np.arange(40) / 40, 0.6, 0.6), abs=1e-6)


@pytest.mark.parametrize(
    ("sigmas", "table"),
    [(_beta(20), ()), (_beta(20), (1.0,)), ((0.5, 0.5), TABLE), ((3.0, 2.0), TABLE),
     ((*_beta(20)[:15], *_beta(20)[5:]), TABLE)],
)  # fmt: skip
def test_nothing_is_said_where_no_time_is_known(sigmas, table):
    assert pace_of(sigmas, table) is None


MEANT = Schedule(1_000, (0, 60, 150, 270, 420, 600, 800, 980), "adaptive")


def test_calls_go_to_their_levels_or_to_the_samplers_own_steps():
    sigmas = _beta(60)
    pace = pace_of(sigmas, TABLE)
    at_level = placed_by_pace(MEANT, pace, 0.0)
    times = np.interp(at_level, np.arange(61), pace)
    assert times == pytest.approx(np.array(MEANT.computed_steps) / 999 * 59 / 60, abs=2e-3)

    as_sampled = placed_by_pace(MEANT, pace, 1.0)
    assert as_sampled == pytest.approx(np.arange(8) * 60 / 8)
    assert placed_by_pace(MEANT, pace, 0.5) == pytest.approx((at_level + as_sampled) / 2)


def test_the_first_call_is_at_the_first_level_also_above_all_that_the_model_knows():
    pace = pace_of((3.0, 2.0, *_beta(20)), TABLE)
    for evenness in (0.0, 0.5):
        assert placed_by_pace(MEANT, pace, evenness)[0] == 0.0


@pytest.mark.parametrize("levels", [_beta, _karras])
@pytest.mark.parametrize("steps", [12, 20, 60])
def test_calls_keep_apart_and_within_the_run(levels, steps):
    pace = pace_of(levels(steps), TABLE)
    for calls in range(2, steps):
        early = Schedule(1_000, (*range(calls - 1), 999), "adaptive")
        late = Schedule(1_000, (0, *range(1_001 - calls, 1_000)), "adaptive")
        for schedule in (early, late):
            for evenness in (0.0, 0.5):
                places = placed_by_pace(schedule, pace, evenness)
                assert places[0] == 0.0 and places[-1] <= steps - 1
                assert np.diff(places).min() >= CLOSEST - 1e-9
