"""Where the last call of a schedule comes, where what each place loses is told."""

import logging
from collections.abc import Callable
from typing import cast

import pytest

from otcache_core.calibration.last_call import moves_last_calls, with_best_last_call
from otcache_core.calibration.run import CalibrationRun
from otcache_core.calibration.settings import Settings
from otcache_core.errors import EvaluationError
from otcache_core.gaps import Candidate, candidate, uniform_steps
from otcache_core.search.settings import paper_search

STEPS = 50
Loss = Callable[[int], float]
"""Tail -> what a schedule loses on any prompt."""


class _Run:
    """What of a calibration under way leaves a tail."""

    def __init__(self, loss: Loss) -> None:
        self.settings, self.loss, self.stopped = Settings(), loss, False
        self.tried: list[int] = []
        self.fitted: list[Candidate] = []

    def stop(self) -> bool:
        return self.stopped

    def fit_end(self, of: Candidate) -> Candidate:
        self.fitted.append(of)
        return of

    def losses(self, of: Candidate) -> dict[int, float]:
        if (tail := _tail(of)) not in self.tried:
            self.tried.append(tail)
        return dict.fromkeys(range(4), self.loss(tail))


EIGHT = candidate(uniform_steps(8, STEPS), 0.5)


def _left(run: _Run, of: Candidate = EIGHT) -> int:
    """The tail that a schedule is left with; all but its end must be as it was."""
    found = with_best_last_call(cast(CalibrationRun, run), of)
    assert found.computed_steps[:-1] == of.computed_steps[:-1]
    return _tail(found)


def _tail(of: Candidate) -> int:
    return STEPS - 1 - of.computed_steps[-1]


def test_the_longest_that_goes_on_to_win_is_left() -> None:
    run = _Run(lambda tail: 0.1 - 0.02 * min(tail, 2) + 0.05 * (tail == 3))

    assert _left(run) == 2
    assert sorted(run.tried) == [0, 1, 2, 3]
    assert [_tail(of) for of in run.fitted] == [1, 2, 3]
    assert {of.slope_gain for of in run.fitted} == {EIGHT.slope_gain}


def test_none_is_left_where_the_first_one_loses_and_no_more_is_tried() -> None:
    run = _Run(lambda tail: 0.1 + 0.01 * tail)

    assert _left(run) == 0
    assert sorted(run.tried) == [0, 1]


def test_none_is_left_where_it_changes_nothing() -> None:
    assert _left(_Run(lambda tail: 0.1)) == 0


@pytest.mark.parametrize(("end", "left"), [((47, 49), 1), ((48, 49), 0), ((46, 49), 2)])
def test_no_call_comes_at_or_before_the_one_before_it(end: tuple[int, int], left: int) -> None:
    of = candidate((0, 10, 20, 30, *end), 0.5)

    assert _left(_Run(lambda tail: 0.1 - 0.01 * tail), of) == left


def test_one_that_has_a_tail_gets_no_shorter_one() -> None:
    run = _Run(lambda tail: 0.1 + 0.01 * abs(tail - 3))

    assert _left(run, candidate((0, 10, 20, 30, 47), 0.5)) == 3
    assert sorted(run.tried) == [2, 3]


def test_a_failure_leaves_it_as_it_is_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def loss(tail: int) -> float:
        raise EvaluationError("no memory")

    with caplog.at_level(logging.WARNING, "otcache"):
        assert _left(_Run(loss)) == 0
    assert "an earlier last call could not be judged: no memory" in caplog.text


def test_one_that_was_stopped_tries_none() -> None:
    run = _Run(lambda tail: 0.1 - 0.01 * tail)
    run.stopped = True

    assert _left(run) == 0
    assert run.tried == []


def test_neither_the_papers_way_nor_other_estimators_leave_any() -> None:
    assert moves_last_calls(Settings())
    assert moves_last_calls(Settings.quick())
    assert not moves_last_calls(Settings(search=paper_search(), gains=False))
    assert not moves_last_calls(Settings(estimator="reuse"))
    assert not moves_last_calls(Settings(curve=False))
    assert not moves_last_calls(Settings(middle_budget=12))
    assert not moves_last_calls(Settings(9, 6, 4))
