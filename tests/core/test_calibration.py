import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from otcache_core.anchor import Anchor, Sampling, load_anchor, save_anchor
from otcache_core.calibration import (
    RHO_CANDIDATES,
    Report,
    Runner,
    Settings,
    calibrate,
    calibrate_rho,
)
from otcache_core.errors import OTCacheError
from otcache_core.graph import (
    PairCosts,
    TripleCosts,
    shortest_path_over_pairs,
    shortest_path_over_triples,
)
from otcache_core.schedule import ESTIMATORS, Schedule
from otcache_core.search import uniform_steps
from otcache_core.trajectory import Trajectory, TrajectoryRecorder
from otcache_core.transport import predict_schedule
from otcache_core.velocity import VelocityCache

STEPS = 16
SIGMAS = tuple((1 - i / STEPS) ** 1.2 for i in range(STEPS + 1))
SETTINGS = Settings(
    steps=STEPS, reference_budget=9, anchor_budget=4, trials=30, patience=6, metric="mean error"
)


class Analytic(Runner):
    """Flow matching on data around -1 and 1, whose best prediction is known in closed form.

    The data are Gaussian around each point with a deviation of 1/2. The loss is the true error of
    the final state.
    """

    def __init__(self, prompts: int = 3) -> None:
        self.prompts = prompts
        self.model_calls = 0
        self.full: dict[int, Tensor] = {}

    def _denoised(self, x: Tensor, sigma: float) -> Tensor:
        self.model_calls += 1
        # x = (1 - sigma) data + sigma noise has this variance around each point.
        variance = (1 - sigma) ** 2 / 4 + sigma**2
        point = torch.tanh((1 - sigma) * x / variance)
        return point + (1 - sigma) / 4 / variance * (x - (1 - sigma) * point)

    def _sample(
        self, prompt: int, recorder: TrajectoryRecorder | None, cache: VelocityCache | None
    ) -> Tensor:
        x = torch.randn(32, generator=torch.Generator().manual_seed(prompt), dtype=torch.float64)
        for i, sigma in enumerate(SIGMAS[:-1]):
            if cache is not None and not cache.must_compute(i, x):
                denoised = cache.estimate(i, sigma, x)
            else:
                denoised = self._denoised(x, sigma)
                if cache is not None:
                    cache.observe(i, sigma, x, denoised)
                if recorder is not None:
                    recorder.add(x, denoised)
            x = x + (x - denoised) / sigma * (SIGMAS[i + 1] - sigma)
        return x

    def full_run(self, prompt: int) -> Trajectory:
        recorder = TrajectoryRecorder(SIGMAS)
        self.full[prompt] = self._sample(prompt, recorder, None)
        return recorder.finish()

    def loss(self, schedule: Schedule) -> float:
        errors = [
            (self._sample(p, None, VelocityCache(schedule, SIGMAS)) - self.full[p]).abs().mean()
            for p in range(self.prompts)
        ]
        return float(torch.stack(errors).mean())


def _calibrate(runner: Runner, settings: Settings = SETTINGS, **options: Any) -> tuple[Any, Any]:
    return calibrate(
        runner,
        settings,
        name="two points",
        architecture="Analytic",
        sampling=Sampling("euler", "power", sigmas=SIGMAS),
        **options,
    )


@pytest.fixture(scope="module", params=ESTIMATORS)
def calibrated(request: pytest.FixtureRequest) -> tuple[Analytic, Anchor, Report]:
    runner = Analytic()
    anchor, report = _calibrate(runner, replace(SETTINGS, estimator=request.param))
    return runner, anchor, report


Calibrated = tuple[Analytic, Anchor, Report]


def test_the_anchor_is_no_worse_than_any_cheap_candidate(calibrated: Calibrated) -> None:
    runner, anchor, report = calibrated
    warm = [trial for trial in report.search.trials if trial.phase == "warm start"]

    assert anchor.objective is not None
    assert anchor.objective.best <= min(trial.loss for trial in warm)
    assert anchor.objective.warm_start == warm[0].loss
    assert uniform_steps(4, STEPS) in {trial.computed_steps for trial in warm}


def test_objective_values_are_those_of_the_schedules(calibrated: Calibrated) -> None:
    runner, anchor, report = calibrated
    assert anchor.objective is not None
    first = report.search.trials[0].computed_steps
    edges = anchor.look_back_for(first, STEPS)

    assert anchor.objective.metric == "mean error"
    assert anchor.objective.best == runner.loss(anchor.anchor)
    assert anchor.objective.warm_start == runner.loss(
        Schedule(STEPS, first, anchor.estimator, edges)
    )


def test_stage_one_decides_reference_and_warm_start(calibrated: Calibrated) -> None:
    _, anchor, report = calibrated
    runs = Analytic()
    look_backs = (1,) if anchor.estimator == "reuse" else (1, 2, 3, 4, 5)
    pairs, triples = PairCosts(STEPS, look_backs), TripleCosts(STEPS)
    for prompt in range(3):
        pairs.add(runs.full_run(prompt))
        triples.add(runs.full_run(prompt))

    def path(budget: int) -> tuple[int, ...]:
        if anchor.estimator == "slope":
            return shortest_path_over_triples(triples.mean(), budget, gamma=3.0)
        return shortest_path_over_pairs(pairs.mean(), budget, gamma=3.0)

    assert anchor.reference.computed_steps == path(9)
    assert report.search.trials[0].computed_steps == path(4)
    table = pairs.look_back_table() if anchor.estimator == "meancache" else None
    assert anchor.look_back_table == table


def test_look_backs_follow_the_table(calibrated: Calibrated) -> None:
    _, anchor, _ = calibrated

    for schedule in (anchor.anchor, anchor.reference):
        assert schedule.look_back == (
            anchor.look_back_for(schedule.computed_steps, STEPS) or (1,) * (schedule.budget - 1)
        )
    if anchor.estimator == "meancache":
        assert set(anchor.reference.look_back) != {1}


def test_rho_is_the_best_candidate(calibrated: Calibrated) -> None:
    runner, anchor, report = calibrated

    assert [*report.rho_losses] == [*RHO_CANDIDATES]
    assert anchor.rho in RHO_CANDIDATES
    assert report.rho_losses[anchor.rho] == min(report.rho_losses.values())
    for rho, loss in report.rho_losses.items():
        # Between 4 and 9: 4 + 2, and sqrt(4 * 9), which is 6 as well.
        assert loss == pytest.approx(runner.loss(predict_schedule(anchor, 6, rho=rho).schedule))


def test_predictions_from_the_anchor_beat_uniform_steps(calibrated: Calibrated) -> None:
    runner, anchor, _ = calibrated
    nodes = uniform_steps(6, STEPS)
    uniform = Schedule(STEPS, nodes, anchor.estimator, anchor.look_back_for(nodes, STEPS))

    assert runner.loss(predict_schedule(anchor, 6).schedule) < runner.loss(uniform)


def test_the_anchor_says_where_it_comes_from(calibrated: Calibrated, tmp_path: Path) -> None:
    _, anchor, report = calibrated

    assert (anchor.name, anchor.architecture) == ("two points", "Analytic")
    assert anchor.anchor.budget == 4
    assert anchor.reference.budget == 9
    assert anchor.anchor.sigmas == anchor.reference.sigmas == anchor.sampling.sigmas == SIGMAS
    assert anchor.calibration.prompts == 3
    assert anchor.calibration.trials == len(report.search.trials) <= 30
    save_anchor(anchor, tmp_path / "a.otanchor.json")
    assert load_anchor(tmp_path / "a.otanchor.json") == anchor


def test_model_calls_are_counted_to_the_end() -> None:
    runner = Analytic()

    anchor, report = _calibrate(runner, replace(SETTINGS, seed=5))

    # 3 prompts: 16 steps each, 4 for each trial, 6 for each distinct schedule tried for rho.
    tried = {predict_schedule(anchor, 6, rho=rho).schedule for rho in RHO_CANDIDATES}
    expected = 3 * (16 + 4 * len(report.search.trials) + 6 * len(tried))
    assert anchor.calibration.model_calls == runner.model_calls == expected
    assert anchor.calibration.seed == 5


def test_calibration_is_deterministic() -> None:
    (first, report), (second, other) = (_calibrate(Analytic()) for _ in range(2))

    assert first == second
    assert report.search.trials == other.search.trials


def test_progress_is_told_stage_by_stage() -> None:
    told: list[tuple[str, int, int]] = []
    trials = []

    _, report = _calibrate(
        Analytic(),
        on_progress=lambda *progress: told.append(progress),
        on_trial=lambda trial, result: trials.append(trial),
    )

    count = len(report.search.trials)
    assert told == [
        *(("full runs", i, 3) for i in (1, 2, 3)),
        *(("anchor search", i, 30) for i in range(1, count + 1)),
        *(("rho", i, 5) for i in (1, 2, 3, 4, 5)),
    ]
    assert trials == report.search.trials


def test_every_better_anchor_is_handed_out_on_the_way() -> None:
    better: list[Anchor] = []

    anchor, report = _calibrate(Analytic(), on_better=better.append)

    best = [a.objective.best for a in better if a.objective is not None]
    losses = [trial.loss for trial in report.search.trials]
    assert best == [v for v, _ in itertools.groupby(itertools.accumulate(losses, min))]
    assert better[-1].anchor == anchor.anchor
    assert better[-1].reference == anchor.reference


class _Failing(Analytic):
    """Fails at chosen evaluations of the loss."""

    def __init__(self, failing: set[int]) -> None:
        super().__init__()
        self.failing, self.evaluations = failing, 0

    def loss(self, schedule: Schedule) -> float:
        self.evaluations += 1
        return math.nan if self.evaluations in self.failing else super().loss(schedule)


def test_a_failed_warm_start_is_survived() -> None:
    anchor, report = _calibrate(_Failing({1}))

    assert math.isnan(report.search.trials[0].loss)
    assert anchor.objective.warm_start == anchor.objective.best > 0


def test_a_failed_rho_is_not_chosen() -> None:
    trials = len(_calibrate(Analytic())[1].search.trials)

    anchor, report = _calibrate(_Failing({trials + 1}))  # the first rho

    assert report.rho_losses[RHO_CANDIDATES[0]] == math.inf
    assert anchor.rho != RHO_CANDIDATES[0]


def test_a_calibration_in_which_all_fail_is_refused() -> None:
    with pytest.raises(OTCacheError, match="at least 1 candidate must be evaluated but all failed"):
        _calibrate(_Failing(set(range(1000))))


def test_a_model_that_gives_nan_is_refused() -> None:
    class Broken(Analytic):
        def _denoised(self, x: Tensor, sigma: float) -> Tensor:
            return super()._denoised(x, sigma) * (math.nan if sigma < 0.5 else 1.0)

    with pytest.raises(OTCacheError, match="model's output must be finite"):
        _calibrate(Broken())


def test_no_prompts_are_refused() -> None:
    with pytest.raises(OTCacheError, match="at least 1 trajectory but have 0"):
        _calibrate(Analytic(prompts=0))


@pytest.mark.parametrize("stage", ["full_run", "loss"])
def test_an_interrupt_is_passed_on(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*args: object) -> None:
        raise Interrupted

    runner = Analytic()
    monkeypatch.setattr(runner, stage, interrupt)

    with pytest.raises(Interrupted):
        _calibrate(runner)


def test_rho_without_a_budget_in_between() -> None:
    """Nothing to measure, nothing to run: every rho is as good."""
    anchor = Anchor("m", "x", Schedule(STEPS, (0, 2, 6, 15)), Schedule(STEPS, (0, 4, 15)))

    losses = calibrate_rho(_Failing(set(range(9))), anchor)

    assert losses == dict.fromkeys(RHO_CANDIDATES, 0.0)


def test_rho_is_judged_by_the_geometric_mean_over_two_budgets() -> None:
    """Anchor 4 and reference 14 have 6 and round(sqrt(56)) = 7 between them."""
    anchor = Anchor(
        "m", "x", Schedule(STEPS, (*range(13), 15)), Schedule(STEPS, (0, 2, 6, 15)), rho=1.7
    )
    seen: list[Schedule] = []

    class Counting(Analytic):
        def loss(self, schedule: Schedule) -> float:
            seen.append(schedule)
            return {6: 4.0, 7: 9.0}[schedule.budget]

    losses = calibrate_rho(Counting(), anchor)

    assert list(losses.values()) == pytest.approx([6.0] * 5)  # sqrt(4 * 9)
    assert {schedule.budget for schedule in seen} == {6, 7}
    assert len(seen) == len(set(seen)) < 10


def test_defaults_are_the_papers() -> None:
    settings = Settings()

    assert (settings.steps, settings.reference_budget, settings.anchor_budget) == (50, 20, 8)
    assert (settings.trials, settings.patience) == (200, 50)


def test_the_smallest_budgets_that_can_be_calibrated() -> None:
    anchor, _ = _calibrate(Analytic(1), replace(SETTINGS, anchor_budget=3, reference_budget=4))

    assert (anchor.anchor.budget, anchor.reference.budget) == (3, 4)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"anchor_budget": 2}, "anchor 2, reference 9, steps 16"),
        ({"anchor_budget": 9}, "anchor 9, reference 9, steps 16"),
        ({"reference_budget": 16}, "anchor 4, reference 16, steps 16"),
        ({"steps": 8}, "anchor 4, reference 9, steps 8"),
    ],
)
def test_budgets_in_the_wrong_order(changes: dict[str, int], shown: str) -> None:
    with pytest.raises(OTCacheError, match=f"3 <= anchor < reference < steps but got {shown}"):
        replace(SETTINGS, **changes)
