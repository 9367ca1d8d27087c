"""Which tail a calibration leaves, where what each loses is told."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from otcache_core.calibration.calibrate import calibrate
from otcache_core.calibration.run import CalibrationRun
from otcache_core.calibration.settings import Settings
from otcache_core.calibration.tail import leaves_tails, tails, with_tail
from otcache_core.documents.anchor import Sampling
from otcache_core.documents.schedule import Schedule
from otcache_core.errors import EvaluationError
from otcache_core.estimate.edge_fit import State
from otcache_core.gaps import Candidate, candidate, uniform_steps
from otcache_core.search.settings import SearchSettings, paper_search
from otcache_core.trajectory import Trajectory, TrajectoryRecorder
from otcache_core.transport import predict_schedule

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
    found = with_tail(cast(CalibrationRun, run), of)
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
    assert "a tail could not be judged: no memory" in caplog.text


def test_one_that_was_stopped_tries_none() -> None:
    run = _Run(lambda tail: 0.1 - 0.01 * tail)
    run.stopped = True

    assert _left(run) == 0
    assert run.tried == []


def test_neither_the_papers_way_nor_other_estimators_leave_any() -> None:
    assert leaves_tails(Settings())
    assert leaves_tails(Settings.quick())
    assert not leaves_tails(Settings(search=paper_search(), gains=False))
    assert not leaves_tails(Settings(estimator="reuse"))
    assert not leaves_tails(Settings(curve=False))
    assert not leaves_tails(Settings(middle_budget=12))
    assert not leaves_tails(Settings(9, 6, 4))


@pytest.mark.parametrize(
    ("steps", "lengths"), [(9, []), (10, [1]), (20, [1]), (50, [1, 2, 3]), (100, [2, 4, 6])]
)
def test_lengths_go_with_the_run(steps: int, lengths: list[int]) -> None:
    assert tails(steps) == lengths


def test_where_it_is_judged() -> None:
    assert Settings().predicted_budgets == (11, 15)
    assert Settings(anchor_budget=18).predicted_budgets == (19,)


class _Runner:
    """Any full run, and losses that a tail lowers at every budget."""

    prompts, model_calls = 2, 0

    def __init__(self, steps: int) -> None:
        self.sigmas = tuple(1 - i / steps for i in range(steps + 1))

    def full_run(self, prompt: int) -> tuple[Trajectory, NDArray[np.uint8]]:
        import torch

        recorder = TrajectoryRecorder(self.sigmas)
        for sigma in self.sigmas[:-1]:
            recorder.add(torch.full((4,), sigma * (1 + prompt)), torch.full((4,), sigma**2))
        return recorder.finish(), np.zeros((1, 8, 8, 3), np.uint8)

    def loss(self, schedule: Schedule, prompt: int, reference: Any) -> float:
        return 0.9 if schedule.estimator == "adaptive" else 0.1 / (1 + schedule.tail)

    def state_at(self, schedule: Schedule, prompt: int, step: int) -> State:
        return np.full(4, self.sigmas[step] * (1 + prompt), np.float32)

    def steadiness(self, schedule: Schedule, prompt: int) -> float | None:
        return None

    def remembered_runs(self, budget: int) -> int:
        return 100


def test_a_calibration_hands_it_on_to_its_predictions() -> None:
    steps = 20
    runner, search = _Runner(steps), SearchSettings(trials=6, patience=1)
    settings = Settings(steps, 9, 4, search=search, rhos=(1.0,))
    sampling = Sampling(sigmas=runner.sigmas)

    anchor, report = calibrate(runner, settings, name="m", architecture="A", sampling=sampling)

    assert anchor.anchor.computed_steps[-1] == steps - 2
    assert report.search.best.computed_steps == anchor.anchor.computed_steps
    assert anchor.objective is not None and anchor.objective.best == pytest.approx(0.05)
    # The last of nine calls is one step behind the one before it where there is no tail.
    assert {s.computed_steps[-1] for s in anchor.fitted} == {steps - 2}
    assert predict_schedule(anchor, 5).schedule.computed_steps[-1] == steps - 2
    without = replace(settings, curve=False)
    plain, _ = calibrate(runner, without, name="m", architecture="A", sampling=sampling)
    assert plain.anchor.computed_steps[-1] == steps - 1
