"""From which budget on runs learn, judged on a runner whose losses are known by hand."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from otcache_core.calibration.calibrate import calibrate
from otcache_core.calibration.learning import (
    ALIKE,
    EVENNESS,
    HOPELESS,
    switching_budget,
    typical_ratio,
)
from otcache_core.calibration.settings import Settings
from otcache_core.documents.anchor import Anchor, LearnedInRuns, Sampling
from otcache_core.documents.schedule import Schedule
from otcache_core.errors import EvaluationError
from otcache_core.estimate.edge_fit import State
from otcache_core.search.settings import SearchSettings
from otcache_core.trajectory import Trajectory, TrajectoryRecorder
from otcache_core.transport import predict_schedule

STEPS, PROMPTS = 16, 4
SIGMAS = tuple((1 - i / STEPS) ** 1.2 for i in range(STEPS + 1))
SETTINGS = Settings(
    steps=STEPS,
    reference_budget=9,
    anchor_budget=4,
    search=SearchSettings(trials=5, patience=1),
    rhos=(1.0,),
)
GIVEN = 0.08
"""What any schedule with fitted coefficients loses."""

Learned = Callable[[int, int], float]
"""(budget, prompt) -> what learning loses."""


class Known:
    """Losses that are told; its full runs fall straight to 0."""

    def __init__(self, learned: Learned, shown: float | None = None) -> None:
        self.learned, self.prompts, self.model_calls = learned, PROMPTS, 0
        self.judged: list[int] = []
        self.known: list[float | None] = []
        self.shown, self.fails = shown, False

    def full_run(self, prompt: int) -> tuple[Trajectory, NDArray[np.uint8]]:
        import torch

        recorder = TrajectoryRecorder(SIGMAS)
        for sigma in SIGMAS[:-1]:
            recorder.add(torch.full((4,), sigma * (1 + prompt)), torch.zeros(4))
        self.model_calls += STEPS
        return recorder.finish(), np.zeros((1, 8, 8, 3), np.uint8)

    def loss(self, schedule: Schedule, prompt: int, reference: NDArray[np.uint8]) -> float:
        self.model_calls += schedule.budget
        if schedule.estimator != "adaptive":
            return GIVEN
        if prompt == 0:
            self.judged.append(schedule.budget)
            self.known.append(schedule.steadiness)
        return self.learned(schedule.budget, prompt)

    def state_at(self, schedule: Schedule, prompt: int, step: int) -> State:
        return np.full(4, SIGMAS[step] * (1 + prompt), np.float32)

    def steadiness(self, schedule: Schedule, prompt: int) -> float | None:
        assert (schedule.estimator, schedule.steadiness) == ("adaptive", None)
        if self.fails:
            raise EvaluationError("no memory")
        return None if self.shown is None else self.shown + 0.1 * prompt

    def remembered_runs(self, budget: int) -> int:
        return 100


def _anchor(runner: Known, settings: Settings = SETTINGS) -> Anchor:
    anchor, _ = calibrate(
        runner, settings, name="m", architecture="A", sampling=Sampling(sigmas=SIGMAS)
    )
    return anchor


def _power(crossing: float, exponent: float = 1.0) -> Learned:
    """Learning that is as good at one budget, and better above by a power of the budget."""
    return lambda budget, prompt: GIVEN * (crossing / budget) ** exponent


def test_budgets_that_are_judged() -> None:
    assert Settings().judged_budgets == (20, 15, 11, 8)
    assert SETTINGS.judged_budgets == (9, 7, 6, 4)
    assert replace(SETTINGS, curve=False).judged_budgets == ()
    assert replace(SETTINGS, gains=False).judged_budgets == ()
    assert replace(SETTINGS, estimator="meancache").judged_budgets == ()


@pytest.mark.parametrize(
    ("crossing", "begin", "judged"),
    [
        (3.5, 4, [9, 7, 6, 4, 11]),
        (5.1, 6, [9, 7, 6, 4, 11]),
        (6.5, 7, [9, 7, 6, 4, 11]),
        (8.5, 9, [9, 7, 6, 11]),  # ln(8.5 / 7) = 0.19, ln(8.5 / 6) = 0.35
        (9.5, None, [9, 7]),
        (15.0, None, [9]),  # ln(15 / 9) = 0.51 is hopeless
    ],
)
def test_runs_learn_from_where_learning_wins(
    crossing: float, begin: int | None, judged: list[int]
) -> None:
    runner = Known(_power(crossing))

    anchor = _anchor(runner)

    assert anchor.learned_in_runs == (None if begin is None else LearnedInRuns(begin, EVENNESS))
    assert anchor.calibration.model_calls == runner.model_calls
    assert runner.judged == judged  # and where it wins, the curve's highest budget is measured
    for point in anchor.fidelity:
        learns = begin is not None and point.budget >= begin
        expected = runner.learned(point.budget, 0) if learns else GIVEN
        assert (point.mean, point.median) == pytest.approx((expected, expected))
        schedule = predict_schedule(anchor, point.budget).schedule
        assert schedule.estimator == ("adaptive" if learns else "slope")


def test_the_first_judged_runs_tell_the_later_ones_how_steady_the_model_is() -> None:
    """Four prompts show 0.2, 0.3, 0.4 and 0.5; of the mean a doubt of 0.2 / sqrt(4) is taken."""
    runner = Known(_power(3.5), shown=0.2)

    anchor = _anchor(runner)

    assert anchor.learned_in_runs == LearnedInRuns(4, EVENNESS, steadiness=0.35, pictures=4)
    assert runner.judged == [9, 7, 6, 4, 11]
    assert runner.known == [None, *[pytest.approx(0.25)] * 4]
    assert predict_schedule(anchor, 7).schedule.steadiness == pytest.approx(0.25)


def test_without_steadiness_runs_that_learn_are_judged_all_the_same() -> None:
    runner = Known(_power(3.5), shown=0.2)
    runner.fails = True

    assert _anchor(runner).learned_in_runs == LearnedInRuns(4, EVENNESS)
    assert runner.known == [None] * 5


def test_one_picture_that_tips_over_does_not_decide() -> None:
    """Three of four prompts lose twice as much by learning, one a thousandth."""
    anchor = _anchor(Known(lambda budget, prompt: GIVEN * (0.001 if prompt == 2 else 2.0)))

    assert anchor.learned_in_runs is None


def test_learning_that_fails_is_not_chosen() -> None:
    def learned(budget: int, prompt: int) -> float:
        if budget == 9:
            raise EvaluationError("no memory")
        return 0.0

    assert _anchor(Known(learned)).learned_in_runs is None


def test_a_loss_that_cannot_be_had_leaves_the_curve() -> None:
    def learned(budget: int, prompt: int) -> float:
        if budget == 11:
            raise EvaluationError("no memory")
        return GIVEN / 2

    anchor = _anchor(Known(learned))

    assert anchor.learned_in_runs == LearnedInRuns(4, EVENNESS)
    assert [point.budget for point in anchor.fidelity] == [4, 6, 7, 9]


@pytest.mark.parametrize("changes", [{"gains": False}, {"estimator": "meancache"}])
def test_the_papers_way_has_no_learning(changes: dict[str, object]) -> None:
    runner = Known(_power(1.0))

    assert _anchor(runner, replace(SETTINGS, **changes)).learned_in_runs is None  # type: ignore[arg-type]
    assert runner.judged == []


def test_a_typical_ratio_by_hand() -> None:
    """Logarithms 0.1, 0.2, 0.9; means of pairs 0.1, 0.15, 0.2, 0.5, 0.55, 0.9."""
    losses = {prompt: math.exp(value) for prompt, value in enumerate((0.1, 0.2, 0.9))}
    ones = dict.fromkeys(range(3), 1.0)

    assert typical_ratio(losses, ones) == pytest.approx(0.35)
    assert typical_ratio(ones, losses) == pytest.approx(-0.35)
    assert typical_ratio({7: 2.0, 3: 1.0}, {3: 1.0, 7: 2.0}) == 0.0


def test_losses_near_nothing_are_alike() -> None:
    assert typical_ratio({0: 0.0}, {0: ALIKE / 2}) == 0.0
    assert typical_ratio({0: 2 * ALIKE}, {0: 0.0}) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("ratios", "begin"),
    [
        ({}, None),
        ({20: -0.1}, 20),
        ({20: 0.0}, None),
        ({20: HOPELESS}, None),
        ({20: -1.0, 10: 1.0}, 15),  # through 0 at 10 sqrt(2) = 14.1
        ({20: -1.0, 10: -0.5}, 10),  # 0 would be at 5, where nothing was judged
        ({20: 0.1, 10: -0.5}, None),  # loses at the reference's budget
        ({20: -0.1, 10: -0.5}, 10),
        ({20: -0.32, 15: 0.06, 11: 0.02, 8: 0.77}, 15),  # a line through noise
    ],
)
def test_the_switching_budget_by_hand(ratios: dict[int, float], begin: int | None) -> None:
    assert switching_budget(ratios) == begin
