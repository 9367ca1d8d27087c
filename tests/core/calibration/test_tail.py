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
from otcache_core.calibration.tail import (
    choose_tail,
    last_winning_budget,
    leaves_tails,
    tails,
)
from otcache_core.documents.anchor import Anchor, Sampling
from otcache_core.documents.schedule import Schedule
from otcache_core.errors import EvaluationError
from otcache_core.estimate.edge_fit import State
from otcache_core.gaps import Candidate, candidate, uniform_steps
from otcache_core.search.settings import SearchSettings, paper_search
from otcache_core.search.trials import SearchResult
from otcache_core.trajectory import Trajectory, TrajectoryRecorder
from otcache_core.transport import predict_schedule

STEPS = 50
Loss = Callable[[int, int], float]
"""(budget, tail) -> what a schedule loses on any prompt."""


class _Run:
    """What of a calibration under way leaves a tail."""

    def __init__(self, loss: Loss) -> None:
        self.settings, self.loss, self.stopped = Settings(), loss, False
        self.tried: list[tuple[int, int]] = []

    def stop(self) -> bool:
        return self.stopped

    def fit(self, of: Candidate) -> Candidate:
        return of

    def schedule(self, of: Candidate) -> Schedule:
        return Schedule(STEPS, of.computed_steps)

    def predicted(self, anchor: Anchor, budget: int, *, fit: object = None) -> Candidate:
        return candidate(predict_schedule(anchor, budget).schedule.computed_steps)

    def losses(self, of: Candidate) -> dict[int, float]:
        budget, tail = len(of.computed_steps), STEPS - 1 - of.computed_steps[-1]
        self.tried.append((budget, tail))
        return dict.fromkeys(range(4), self.loss(budget, tail))


def _chosen(run: _Run) -> tuple[int, int] | None:
    """Tail at the anchor's 8 calls, and the highest budget with one; none before."""
    anchor, reference = (Schedule(STEPS, uniform_steps(budget, STEPS)) for budget in (8, 20))
    found = SearchResult(candidate(anchor.computed_steps), 0.1, 0.2)
    given = Anchor(reference=reference, anchor=anchor, name="m", architecture="A")
    as_run = cast(CalibrationRun, run)
    tail = choose_tail(as_run, given, found)
    if tail is None:
        return None
    left = tail.found(as_run, found)
    assert (left.best, left.best_loss) == (tail.best, run.loss(8, _tail(tail.best)))
    for budget in range(9, 21):
        assert _tail(tail.predicted(as_run, budget, as_run.fit)) == (budget <= tail.until)
    return _tail(tail.best), tail.until


def _tail(of: Candidate) -> int:
    return STEPS - 1 - of.computed_steps[-1]


def test_the_longest_that_goes_on_to_win_is_left_at_the_anchors_budget() -> None:
    run = _Run(lambda budget, tail: 0.1 - 0.02 * min(tail, 2) + 0.05 * (tail == 3))

    assert _chosen(run) == (2, 15)
    assert [tail for budget, tail in run.tried if budget == 8 and tail][:1] == [1]
    assert (8, 3) in run.tried


def test_none_is_left_where_the_first_one_loses_and_no_more_is_tried() -> None:
    run = _Run(lambda budget, tail: 0.1 + 0.01 * tail)

    assert _chosen(run) is None
    assert run.tried == [(8, 1), (8, 0)]


def test_it_ends_where_a_line_through_the_judged_budgets_says() -> None:
    """Logarithms of -0.22 at 8 calls, 0.1 at 11 and 0.14 at 15: their line is 0 at 10.6."""

    def loss(budget: int, tail: int) -> float:
        return 0.1 * {8: 0.8, 11: 1.1, 15: 1.15}.get(budget, 1.0) ** min(tail, 1)

    assert _chosen(_Run(loss)) == (1, 10)


def test_no_further_budget_is_judged_where_it_is_hopeless() -> None:
    run = _Run(lambda budget, tail: 0.1 * (2.0 if budget > 8 else 0.9) ** min(tail, 1))

    assert _chosen(run) == (1, 8)
    assert {budget for budget, _ in run.tried} == {8, 11}


@pytest.mark.parametrize(
    ("ratios", "until"),
    [({8: -0.1}, 8), ({8: -0.1, 11: -0.1, 15: -0.05}, 15), ({8: 0.1, 11: -0.3}, None)],
)
def test_up_to_which_budget(ratios: dict[int, float], until: int | None) -> None:
    assert last_winning_budget(ratios) == until


def test_a_failure_leaves_none_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def loss(budget: int, tail: int) -> float:
        raise EvaluationError("no memory")

    with caplog.at_level(logging.WARNING, "otcache"):
        assert _chosen(_Run(loss)) is None
    assert "a tail could not be judged: no memory" in caplog.text


def test_one_that_was_stopped_tries_none() -> None:
    run = _Run(lambda budget, tail: 0.1 - 0.01 * tail)
    run.stopped = True

    assert _chosen(run) is None
    assert run.tried == []


def test_neither_the_papers_way_nor_quick_nor_other_estimators_leave_any() -> None:
    assert leaves_tails(Settings())
    assert not leaves_tails(Settings.quick())
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


SHORT = {"steps": 20, "reference_budget": 9, "anchor_budget": 4, "rhos": (1.0,)}


@pytest.mark.parametrize(
    "settings",
    [
        Settings(**SHORT, search=SearchSettings(trials=6, patience=1)),  # type: ignore[arg-type]
        Settings.quick(**SHORT),
    ],
)
def test_a_calibration_hands_it_on_to_its_predictions(settings: Settings) -> None:
    """So does one without a search, whose last calls come earlier each by itself."""
    steps, runner = settings.steps, _Runner(settings.steps)
    sampling = Sampling(sigmas=runner.sigmas)

    anchor, report = calibrate(runner, settings, name="m", architecture="A", sampling=sampling)

    assert anchor.anchor.computed_steps[-1] == steps - 2
    assert report.search.best.computed_steps == anchor.anchor.computed_steps
    assert anchor.objective is not None and anchor.objective.best == pytest.approx(0.05)
    assert {known.computed_steps[-1] for known in (*anchor.fitted, anchor.reference)} == {steps - 2}
    assert predict_schedule(anchor, 5).schedule.computed_steps[-1] == steps - 2
    without = replace(settings, curve=False)
    plain, _ = calibrate(runner, without, name="m", architecture="A", sampling=sampling)
    assert plain.anchor.computed_steps[-1] == steps - 1
