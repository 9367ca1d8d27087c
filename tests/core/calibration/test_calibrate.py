import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from otcache_core.calibration.calibrate import (
    RHO_CANDIDATES,
    Report,
    Runner,
    Settings,
    calibrate,
)
from otcache_core.calibration.cost import calibration_cost
from otcache_core.calibration.full_runs import FullRun, FullRuns, state_elements
from otcache_core.calibration.memo import PrefixMemo
from otcache_core.calibration.reference import EARLIER, USUAL_RHO
from otcache_core.calibration.run import CalibrationRun, fit_prompts
from otcache_core.calibration.warm_starts import LATEST_REFERENCE, Graphs
from otcache_core.documents.anchor import Anchor, Sampling, load_anchor, save_anchor
from otcache_core.documents.schedule import CALIBRATED_ESTIMATORS, Schedule, coefficients
from otcache_core.errors import EvaluationError, OTCacheError
from otcache_core.estimate.edge_fit import State
from otcache_core.gaps import Candidate, Steps, candidate, uniform_steps
from otcache_core.run_time.slope_trust import steadiness_of
from otcache_core.run_time.velocity import VelocityCache
from otcache_core.search.anchor_search import SearchSettings
from otcache_core.search.trials import SearchResult
from otcache_core.trajectory import Trajectory, TrajectoryRecorder
from otcache_core.transport import predict_schedule, realise, warping_curve

STEPS, PROMPTS = 16, 3
SIGMAS = tuple((1 - i / STEPS) ** 1.2 for i in range(STEPS + 1))
SEARCH = SearchSettings(trials=24, patience=6)
SETTINGS = Settings(
    steps=STEPS, reference_budget=9, anchor_budget=4, metric="mean error", search=SEARCH
)
# A quarter of the way from 4 to 9 is 1, and at least 2: rho is calibrated at 4 + 2 calls. The
# curve is measured there, at both ends, half way from 6 to 9, and as far again above: 9 + 5 // 2.
RHO_BUDGETS, CURVE_BUDGETS = (6, 7), (4, 6, 7, 9, 11)


class Analytic(Runner):
    """Flow matching on data around -1 and 1, whose best prediction is known in closed form.

    The data are Gaussian around each point with a deviation of 1/2. The loss is the true error of
    the final state, so the "picture" holds that state, byte by byte.

    Args:
        prompts: How many there are; each is a start of its own.
        sigmas: Noise levels of a run.
        memo: Keeps model calls that runs share; without one each run makes all of its own.
    """

    def __init__(
        self,
        prompts: int = PROMPTS,
        sigmas: tuple[float, ...] = SIGMAS,
        memo: PrefixMemo | None = None,
    ) -> None:
        self.prompts, self.sigmas, self.memo = prompts, sigmas, memo
        self.model_calls = 0
        self.asked: list[tuple[Schedule, int]] = []
        self.arrived: list[tuple[Schedule, int, int]] = []
        self.ran_in_full: list[int] = []
        self.cosine: Tensor | None = None

    def _denoised(self, x: Tensor, sigma: float) -> Tensor:
        self.model_calls += 1
        # x = (1 - sigma) data + sigma noise has this variance around each point.
        variance = (1 - sigma) ** 2 / 4 + sigma**2
        point = torch.tanh((1 - sigma) * x / variance)
        return point + (1 - sigma) / 4 / variance * (x - (1 - sigma) * point)

    def _sample(
        self,
        prompt: int,
        recorder: TrajectoryRecorder | None = None,
        schedule: Schedule | None = None,
        until: int | None = None,
    ) -> Tensor:
        x = torch.randn(36, generator=torch.Generator().manual_seed(prompt), dtype=torch.float64)
        cache = None if schedule is None else VelocityCache(schedule, self.sigmas)
        memo = self.memo.for_run(prompt, schedule) if self.memo and schedule else None
        for i, sigma in enumerate(self.sigmas[:-1][:until]):
            if cache is not None and not cache.must_compute(i, x):
                denoised = cache.estimate(i, sigma, x)
            else:
                predict = partial(self._denoised, x, sigma)
                denoised = predict() if memo is None else memo(i, x, predict)
                if recorder is not None:
                    recorder.add(x, denoised)
                if cache is not None:
                    denoised = cache.observe(i, sigma, x, denoised)
            x = x + (x - denoised) / sigma * (self.sigmas[i + 1] - sigma)
        self.cosine = None if cache is None else cache.mean_cosine()
        return x

    def steadiness(self, schedule: Schedule, prompt: int) -> float | None:
        self._sample(prompt, schedule=schedule)
        return None if self.cosine is None else steadiness_of(float(self.cosine), schedule.budget)

    def full_run(self, prompt: int) -> tuple[Trajectory, NDArray[np.uint8]]:
        self.ran_in_full.append(prompt)
        recorder = TrajectoryRecorder(self.sigmas)
        state = self._sample(prompt, recorder)
        # 36 numbers of 8 bytes
        return recorder.finish(), state.numpy().view(np.uint8).reshape(1, 8, 12, 3)

    def loss(self, schedule: Schedule, prompt: int, reference: NDArray[np.uint8]) -> float:
        self.asked.append((schedule, prompt))
        state = self._sample(prompt, None, schedule).numpy()
        full = np.ascontiguousarray(reference).reshape(-1).view(np.float64)
        return float(np.abs(state - full).mean())

    def state_at(self, schedule: Schedule, prompt: int, step: int) -> State:
        self.arrived.append((schedule, prompt, step))
        return state_elements(self._sample(prompt, None, schedule, step))

    def remembered_runs(self, budget: int) -> int:
        return 100

    def mean_loss(self, schedule: Schedule) -> float:
        """Loss over all prompts, from full runs of its own."""
        losses = [self.loss(schedule, p, self.full_run(p)[1]) for p in range(self.prompts)]
        return sum(losses) / len(losses)


def _calibrate(
    runner: Analytic, settings: Settings = SETTINGS, **options: Any
) -> tuple[Anchor, Report]:
    return calibrate(
        runner,
        settings,
        name="two points",
        architecture="Analytic",
        sampling=Sampling("euler", "power", sigmas=runner.sigmas),
        **options,
    )


def _graphs(estimator: str) -> Graphs:
    graphs, runner = Graphs(STEPS, estimator), Analytic()
    for prompt in range(PROMPTS):
        graphs.add(FullRun.of(*runner.full_run(prompt)))
    return graphs


def _schedule(anchor: Anchor, of: Candidate) -> Schedule:
    edges = anchor.look_back_for(of.computed_steps, STEPS)
    return Schedule(
        *(STEPS, of.computed_steps, anchor.estimator, edges, SIGMAS, of.slope_gain, of.drift)
    )


@pytest.fixture(scope="module", params=CALIBRATED_ESTIMATORS)
def calibrated(request: pytest.FixtureRequest) -> tuple[Analytic, Anchor, Report]:
    runner = Analytic()
    anchor, report = _calibrate(runner, replace(SETTINGS, estimator=request.param))
    return runner, anchor, report


Calibrated = tuple[Analytic, Anchor, Report]


# What is found


def test_the_anchor_is_no_worse_than_any_cheap_candidate(calibrated: Calibrated) -> None:
    _, anchor, report = calibrated
    warm = [trial for trial in report.search.trials if trial.phase == "warm start"]

    assert anchor.objective is not None
    assert anchor.objective.best <= min(trial.loss for trial in warm)
    assert anchor.objective.warm_start == warm[0].loss
    assert uniform_steps(4, STEPS) in {trial.candidate.computed_steps for trial in warm}


def test_objective_values_are_those_of_the_schedules(calibrated: Calibrated) -> None:
    _, anchor, report = calibrated
    assert anchor.objective is not None
    first = _schedule(anchor, report.search.trials[0].candidate)

    assert anchor.objective.metric == "mean error"
    assert anchor.objective.best == pytest.approx(Analytic().mean_loss(anchor.anchor))
    assert anchor.objective.warm_start == pytest.approx(Analytic().mean_loss(first))


def _mean_root(schedule: Schedule) -> float:
    runner = Analytic()
    losses = [runner.loss(schedule, p, runner.full_run(p)[1]) for p in range(PROMPTS)]
    return float(np.mean(np.sqrt(losses)))


def _made(of: Candidate) -> Schedule:
    return Schedule(STEPS, of.computed_steps, sigmas=SIGMAS, **coefficients(of))


def _predicted_towards(anchor: Anchor, kind: Steps, budget: int) -> Steps:
    towards = replace(anchor, reference=_made(candidate(kind)))
    return predict_schedule(towards, budget).schedule.computed_steps


def test_stage_one_decides_reference_and_warm_starts(calibrated: Calibrated) -> None:
    runner, anchor, report = calibrated
    graphs = _graphs(anchor.estimator)

    # Of the kinds of paths, the one that does better at the anchor's budget goes on.
    tried = {path: [] for path in graphs.paths(4)}  # type: ignore[var-annotated]
    for trial in report.search.trials:
        tried.get(trial.candidate.computed_steps, []).append(trial.loss)
    best = min(tried, key=lambda path: min(tried[path]))
    expected = graphs.paths(9, LATEST_REFERENCE)[graphs.paths(4).index(best)]
    shape = realise(warping_curve(report.search.best.computed_steps, STEPS), 9, STEPS, EARLIER)
    if anchor.estimator == "slope":
        # Each kind was judged by what it predicts half-way, and those that did not lose there by
        # themselves; the one that loses least at both was taken.
        asked = {s.computed_steps: s for s, _ in reversed(runner.asked)}  # the first of each
        kinds = {expected, shape, graphs.path(9)}
        plain = replace(anchor, rho=USUAL_RHO, fitted=(), anchor=_made(report.search.best))
        lost = {
            kind: _mean_root(asked[half_way]) * _mean_root(asked[kind])
            for kind in kinds
            for half_way in [_predicted_towards(plain, kind, RHO_BUDGETS[-1])]
            if kind in asked
        }
        assert expected in lost
        expected = min(lost, key=lambda kind: lost[kind])
    assert anchor.reference.computed_steps == expected
    assert (len(tried) > 2) == (anchor.estimator == "slope")
    path, *others = graphs.candidates(4)
    first, *rest = (trial.candidate for trial in report.search.trials)
    assert first == path
    # With the slope, each comes with the coefficients that go with its steps.
    assert {of.computed_steps for of in others} <= {of.computed_steps for of in rest}
    assert anchor.look_back_table == graphs.look_back_table()


def test_look_backs_follow_the_table(calibrated: Calibrated) -> None:
    runner, anchor, _ = calibrated

    for schedule in (anchor.anchor, anchor.reference, *(asked for asked, _ in runner.asked)):
        assert schedule.look_back == (
            anchor.look_back_for(schedule.computed_steps, STEPS) or (1,) * (schedule.budget - 1)
        )
    if anchor.estimator == "meancache":
        assert set(anchor.reference.look_back) != {1}


def test_edges_are_fitted_for_the_slope_alone(calibrated: Calibrated) -> None:
    runner, anchor, _ = calibrated

    for name, plain in (("slope_gain", 1.0), ("drift", 0.0)):
        values = {value for schedule, _ in runner.asked for value in getattr(schedule, name)}
        assert (len(values) > 3) == (anchor.estimator == "slope")
        assert (values == {plain}) == (anchor.estimator != "slope")


def test_edges_are_fitted_at_every_budget_that_was_not_searched(calibrated: Calibrated) -> None:
    _, anchor, _ = calibrated

    expected = [5, 6, 7, 8, 11] if anchor.estimator == "slope" else []
    assert [schedule.budget for schedule in anchor.fitted] == expected
    coefficients = replace(anchor, learned_in_runs=None)  # whatever was judged better
    for schedule in anchor.fitted:
        assert predict_schedule(coefficients, schedule.budget).schedule == schedule


def test_workers_that_begin_apart_fit_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of budgets is a worker's own and leaves no trace in the anchor."""
    anchor, _ = _calibrate(Analytic())
    asked: list[int] = []
    fit_well = CalibrationRun.fit_well

    def noted(run: CalibrationRun, of: Candidate) -> Candidate:
        asked.append(len(of.computed_steps))
        return fit_well(run, of)

    monkeypatch.setattr(CalibrationRun, "fit_well", noted)
    apart, _ = _calibrate(Analytic(), first_prompt=2)

    assert (apart.fitted, apart.fidelity) == (anchor.fitted, anchor.fidelity)
    assert asked[-5:] == [6, 7, 8, 11, 5]  # 4 and 9 are the anchor's and the reference's own


def test_the_runner_samples_with_the_runs_sigmas(calibrated: Calibrated) -> None:
    runner, _, _ = calibrated

    assert {schedule.sigmas for schedule, _ in runner.asked} == {SIGMAS}


def test_rho_is_the_best_candidate(calibrated: Calibrated) -> None:
    _, anchor, report = calibrated

    assert anchor.rho in report.rho_losses
    assert set(report.rho_losses) <= set(RHO_CANDIDATES)
    assert report.rho_losses[anchor.rho] == min(report.rho_losses.values())
    runner, logarithms = Analytic(), []
    fitted = anchor.anchor.estimator == "slope"
    for budget in RHO_BUDGETS if fitted else RHO_BUDGETS[:1]:
        schedule = predict_schedule(anchor, budget).schedule
        losses = [runner.loss(schedule, p, runner.full_run(p)[1]) for p in range(PROMPTS)]
        logarithms.append(np.log(np.mean(np.sqrt(losses) if fitted else losses)))
    assert report.rho_losses[anchor.rho] == pytest.approx(np.exp(np.mean(logarithms)))


def test_rhos_are_compared_with_edges_fitted_as_the_anchor_will_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    well: set[Candidate] = set()
    fit_well = CalibrationRun.fit_well

    def noted(run: CalibrationRun, of: Candidate) -> Candidate:
        well.add(of)
        return fit_well(run, of)

    monkeypatch.setattr(CalibrationRun, "fit_well", noted)
    anchor, report = _calibrate(Analytic())

    for budget in RHO_BUDGETS:
        steps = {of.computed_steps for of in well if len(of.computed_steps) == budget}
        for rho in report.rho_losses:
            assert predict_schedule(anchor, budget, rho=rho).schedule.computed_steps in steps
    assert len(report.rho_losses) > 1


def test_the_curve_is_that_of_the_predictions(calibrated: Calibrated) -> None:
    _, anchor, _ = calibrated

    assert tuple(point.budget for point in anchor.fidelity) == CURVE_BUDGETS
    for point in anchor.fidelity:
        schedule, runner = predict_schedule(anchor, point.budget).schedule, Analytic()
        losses = [runner.loss(schedule, p, runner.full_run(p)[1]) for p in range(PROMPTS)]
        assert point.mean == pytest.approx(np.mean(losses))
        assert point.spread == pytest.approx(np.std(losses))


def test_predictions_from_the_anchor_are_no_worse_than_uniform_steps(
    calibrated: Calibrated,
) -> None:
    _, anchor, _ = calibrated
    uniform, predicted = [], []
    for budget in RHO_BUDGETS:
        even = _schedule(anchor, candidate(uniform_steps(budget, STEPS)))
        uniform.append(Analytic().mean_loss(even))
        predicted.append(Analytic().mean_loss(predict_schedule(anchor, budget).schedule))

    # For meancache, the searched anchor and the prediction are uniform themselves.
    assert np.prod(predicted) <= np.prod(uniform)


def test_the_anchor_says_where_it_comes_from(calibrated: Calibrated, tmp_path: Path) -> None:
    _, anchor, report = calibrated

    assert (anchor.name, anchor.architecture) == ("two points", "Analytic")
    assert (anchor.anchor.budget, anchor.reference.budget, anchor.middle) == (4, 9, None)
    assert anchor.anchor.sigmas == anchor.reference.sigmas == anchor.sampling.sigmas == SIGMAS
    assert anchor.calibration.prompts == PROMPTS
    assert anchor.calibration.trials == len(report.search.trials) <= 24
    save_anchor(anchor, tmp_path / "a.otanchor.json")
    assert load_anchor(tmp_path / "a.otanchor.json") == anchor


def test_model_calls_are_counted_to_the_end(calibrated: Calibrated) -> None:
    """16 a full run, the budget for each prompt that a schedule was tried on, and the fits'."""
    runner, anchor, report = calibrated

    expected = PROMPTS * STEPS + sum(schedule.budget for schedule, _ in runner.asked)
    for schedule, _, step in runner.arrived:  # no memo here: each probe runs from the start
        expected += sum(t < step for t in schedule.computed_steps)
    assert anchor.calibration.model_calls == report.model_calls == runner.model_calls == expected


def test_nothing_is_measured_twice(calibrated: Calibrated) -> None:
    """The curve takes what the search for the anchor and rho have measured."""
    runner, _, _ = calibrated

    assert runner.ran_in_full == [0, 1, 2]
    assert set(Counter(runner.asked).values()) == {1}


def test_a_seed_decides_the_calibration() -> None:
    settings = replace(SETTINGS, search=replace(SEARCH, seed=5))
    (first, report), (second, other) = (_calibrate(Analytic(), settings) for _ in range(2))

    assert first == second
    assert report == other
    assert first.calibration.seed == 5


# A third schedule


def test_a_middle_schedule_is_searched_around_what_the_two_predict() -> None:
    runner = Analytic()
    anchor, report = _calibrate(runner, replace(SETTINGS, middle_budget=7, curve=False))

    assert anchor.middle is not None
    assert (anchor.middle.budget, anchor.middle.sigmas) == (7, SIGMAS)
    assert predict_schedule(anchor, 7).schedule == anchor.middle
    two = predict_schedule(replace(anchor, middle=None, rho=None), 7).schedule
    tried = [schedule for schedule, _ in runner.asked if schedule.budget == 7]
    assert tried[0].computed_steps == two.computed_steps
    losses = {schedule: Analytic().mean_loss(schedule) for schedule in {two, anchor.middle}}
    assert losses[anchor.middle] <= losses[two]
    assert report.model_calls == runner.model_calls
    assert anchor.calibration.trials == len(report.search.trials)


def test_rho_is_not_calibrated_where_the_middle_stands() -> None:
    settings = replace(SETTINGS, middle_budget=RHO_BUDGETS[0], gains=False, curve=False)
    anchor, report = _calibrate(Analytic(1), settings)

    assert (anchor.rho, report.rho_losses) == (None, {})


class Tipping(Analytic):
    """Even spacing is the best on most prompts but far off on one; all else is as bad on each."""

    def loss(self, schedule: Schedule, prompt: int, reference: NDArray[np.uint8]) -> float:
        if schedule.computed_steps != uniform_steps(4, STEPS):
            return 0.008
        return 0.027 if prompt == 1 else 0.002


@pytest.mark.parametrize("estimator", ["slope", "reuse"])
def test_a_picture_that_tips_over_counts_by_its_root(estimator: str) -> None:
    """Means are 0.0103 and 0.008, but (2 sqrt 0.002 + sqrt 0.027) / 3 is less than sqrt 0.008."""
    search = replace(SEARCH, proposer="none", polish=False)
    settings = replace(SETTINGS, estimator=estimator, search=search, curve=False)

    anchor, report = _calibrate(Tipping(), settings)

    even = anchor.anchor.computed_steps == uniform_steps(4, STEPS)
    assert even == settings.by_roots == (estimator == "slope")
    # What is told are losses as they are.
    assert anchor.objective is not None
    assert anchor.objective.warm_start == pytest.approx(0.008)
    assert anchor.objective.best == pytest.approx(0.031 / 3 if even else 0.008)
    told = {loss for trial in report.search.trials for loss in trial.losses.values()}
    assert sorted(told) == pytest.approx([0.002, 0.008, 0.027])


# What the caller is told


def test_progress_is_told_stage_by_stage() -> None:
    told: list[tuple[str, int, int]] = []
    results: list[SearchResult] = []

    _, report = _calibrate(
        Analytic(), on_progress=lambda *progress: told.append(progress), on_trial=results.append
    )

    stages = [stage for stage, _ in itertools.groupby(told, key=lambda progress: progress[0])]
    assert stages == ["full runs", "anchor search", "rho", "fidelity"]
    assert [p for p in told if p[0] == "full runs"] == [("full runs", i, 3) for i in (1, 2, 3)]
    assert {p[2] for p in told if p[0] == "anchor search"} == {24}
    for _, group in itertools.groupby(told, key=lambda progress: progress[0]):
        done = [progress[1] for progress in group]
        assert done == sorted(done)
    # Each stage but the search, which may end early, ends with all that it has.
    assert [p[1:] for p in told if p[0] == "rho"][-1] == (len(RHO_BUDGETS),) * 2
    # All budgets from 4 to 9, and 11: gains are fitted at each, the loss is measured at some.
    assert told[-1] == ("fidelity", 7, 7)
    # Gains may be fitted once more after the search.
    assert results[-1].trials == report.search.trials
    assert report.search.best_loss <= results[-1].best_loss


def test_every_better_anchor_is_handed_out_on_the_way() -> None:
    better: list[Anchor] = []

    anchor, report = _calibrate(Analytic(), on_better=better.append)

    best = [a.objective.best for a in better if a.objective is not None]
    losses = [trial.loss for trial in report.search.trials if trial.complete]
    assert best == [v for v, _ in itertools.groupby(itertools.accumulate(losses, min))]
    assert better[-1].anchor.computed_steps == anchor.anchor.computed_steps
    # The kind of the reference's path is decided in the end.
    assert better[-1].reference.computed_steps == _graphs("slope").path(9)
    # 16 calls for each full run, those of the fitted warm start, 4 for each prompt of the one trial
    calls = better[0].calibration.model_calls
    assert PROMPTS * (16 + 4) <= calls < anchor.calibration.model_calls
    assert (better[0].calibration.trials, better[0].fidelity, better[0].rho) == (1, (), None)


def test_stop_ends_with_what_there_is() -> None:
    results: list[SearchResult] = []

    anchor, report = _calibrate(Analytic(), on_trial=results.append, stop=lambda: len(results) >= 3)

    assert len(report.search.trials) == 3
    assert (anchor.rho, anchor.fidelity, report.rho_losses) == (None, (), {})
    assert Anchor.from_json(anchor.to_json()) == anchor


@pytest.mark.parametrize("curve", [False, True])
def test_the_curve_is_an_option(curve: bool) -> None:
    anchor, _ = _calibrate(Analytic(1), replace(SETTINGS, curve=curve))

    assert bool(anchor.fidelity) == curve


# Going on


class _CutShort(Analytic):
    """Is interrupted when it has run so many schedules and full runs."""

    class Interrupted(BaseException):
        pass

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def _sample(self, *arguments: Any) -> Tensor:
        if len(self.asked) + len(self.ran_in_full) > self.after:
            raise self.Interrupted
        return super()._sample(*arguments)


@pytest.mark.parametrize("after", [0, 2, 3, 10, 40, 90])
def test_a_calibration_goes_on_where_it_was_cut_short(after: int, tmp_path: Path) -> None:
    """In the full runs, at the first trial, in the search, and near its end."""
    settings = replace(SETTINGS, search=replace(SEARCH, proposer="none"))
    storage = optuna.storages.InMemoryStorage()
    options: dict[str, Any] = {"full_runs": FullRuns(tmp_path), "storage": storage}
    expected, _ = _calibrate(Analytic(), settings)
    cut, resumed = _CutShort(after), Analytic()
    with pytest.raises(_CutShort.Interrupted):
        _calibrate(cut, settings, **options)

    anchor, _ = _calibrate(resumed, settings, **options)

    assert anchor.anchor == expected.anchor
    assert anchor.reference == expected.reference
    # What was under way is run again, and nothing else.
    assert len(cut.ran_in_full) + len(resumed.ran_in_full) == PROMPTS + (after < PROMPTS)
    again = set(cut.asked) & set(resumed.asked)
    assert len({schedule for schedule, _ in again}) <= 1
    # A third sitting has nothing to do.
    nothing = Analytic()
    assert _calibrate(nothing, settings, **options)[0] == anchor
    assert nothing.model_calls == 0


def test_model_calls_of_earlier_sittings_count(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "full_runs": FullRuns(tmp_path), "storage": optuna.storages.InMemoryStorage(),
    }  # fmt: skip
    results: list[SearchResult] = []
    first, second = Analytic(), Analytic()
    _calibrate(first, on_trial=results.append, stop=lambda: len(results) >= 5, **options)

    anchor, report = _calibrate(second, **options)

    assert anchor.calibration.model_calls == first.model_calls + second.model_calls
    assert anchor.calibration.trials == len(report.search.trials) > 5


def test_workers_that_share_a_folder_share_the_full_runs(tmp_path: Path) -> None:
    first, second = Analytic(), Analytic()
    settings = replace(SETTINGS, curve=False, search=replace(SEARCH, trials=1))

    _calibrate(first, settings, full_runs=FullRuns(tmp_path), first_prompt=2)
    _calibrate(second, settings, full_runs=FullRuns(tmp_path), first_prompt=1)

    assert first.ran_in_full == [2, 0, 1]
    assert second.ran_in_full == []


def test_a_damaged_full_run_is_run_again(tmp_path: Path) -> None:
    settings = replace(SETTINGS, curve=False, search=replace(SEARCH, trials=1))
    _calibrate(Analytic(), settings, full_runs=FullRuns(tmp_path))
    (tmp_path / "prompt_0001.npz").write_bytes(b"half a fi")
    runner = Analytic()

    _calibrate(runner, settings, full_runs=FullRuns(tmp_path))

    assert runner.ran_in_full == [1]


def test_calibrations_of_other_names_share_no_trials() -> None:
    storage, counts = optuna.storages.InMemoryStorage(), []
    for name in ("flux", "sdxl"):
        runner = Analytic()
        _calibrate(runner, replace(SETTINGS, curve=False), storage=storage, study_name=name)
        counts.append(runner.model_calls)

    assert counts[0] == counts[1]


# Failures


class _Failing(Analytic):
    """Fails at chosen evaluations of the loss, by an error or by NaN in turn."""

    def __init__(self, failing: set[int]) -> None:
        super().__init__()
        self.failing = failing

    def loss(self, schedule: Schedule, prompt: int, reference: NDArray[np.uint8]) -> float:
        value = super().loss(schedule, prompt, reference)
        number = len(self.asked)
        if number not in self.failing:
            return value
        if number % 2:
            raise EvaluationError("no picture")
        return math.nan


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failed_warm_start_is_survived(number: int) -> None:
    anchor, report = _calibrate(_Failing({number}))

    assert report.search.trials[0].failure
    assert anchor.objective is not None
    assert anchor.objective.warm_start == anchor.objective.best > 0


def test_a_failed_rho_is_not_chosen() -> None:
    made, report = _calibrate(Analytic())
    first = replace(made, rho=RHO_CANDIDATES[0], fitted=())
    failing = predict_schedule(first, RHO_BUDGETS[0]).schedule.computed_steps

    class Failing(Analytic):
        def loss(self, schedule: Schedule, prompt: int, reference: NDArray[np.uint8]) -> float:
            if schedule.computed_steps == failing:
                raise EvaluationError("no picture")
            return super().loss(schedule, prompt, reference)

    anchor, other = _calibrate(Failing())

    # Every rho whose schedule is that of the first one is out.
    assert RHO_CANDIDATES[0] not in other.rho_losses
    assert anchor.rho in other.rho_losses
    assert {*other.rho_losses} < {*report.rho_losses}
    left = {rho: report.rho_losses[rho] for rho in other.rho_losses}
    assert other.rho_losses == pytest.approx(left)


def test_without_any_rho_the_papers_stays(caplog: pytest.LogCaptureFixture) -> None:
    class NoRho(Analytic):
        def loss(self, schedule: Schedule, prompt: int, reference: NDArray[np.uint8]) -> float:
            if schedule.budget in RHO_BUDGETS:
                raise EvaluationError("no picture")
            return super().loss(schedule, prompt, reference)

    anchor, report = _calibrate(NoRho())

    assert (anchor.rho, report.rho_losses) == (None, {})
    assert [point.budget for point in anchor.fidelity] == [4, 9, 11]
    messages = [record.getMessage() for record in caplog.records]
    assert any("rho could not be calibrated" in text and "no picture" in text for text in messages)
    assert any("loss at 6 calls could not be had" in text for text in messages)


def test_a_calibration_in_which_all_fail_says_why() -> None:
    with pytest.raises(EvaluationError, match="all .*failed, the last one with: .*no picture"):
        _calibrate(_Failing(set(range(1, 1000, 2)) | {2}))


def test_a_model_that_gives_nan_is_refused() -> None:
    class Broken(Analytic):
        def _denoised(self, x: Tensor, sigma: float) -> Tensor:
            return super()._denoised(x, sigma) * (math.nan if sigma < 0.5 else 1.0)

    with pytest.raises(OTCacheError, match="model's output must be finite"):
        _calibrate(Broken())


def test_no_prompts_are_refused() -> None:
    with pytest.raises(OTCacheError, match="at least 1 trajectory but have 0"):
        _calibrate(Analytic(prompts=0))


def test_full_runs_that_vanish_are_named(tmp_path: Path) -> None:
    """Another process may tidy the folder while this one runs."""

    def remove(stage: str, done: int, total: int) -> None:
        (tmp_path / "prompt_0000.npz").unlink(missing_ok=True)

    with pytest.raises(OTCacheError, match="the full run of prompt 0 must be there but is gone"):
        _calibrate(Analytic(), full_runs=FullRuns(tmp_path), on_progress=remove)


@pytest.mark.parametrize("stage", ["full_run", "loss"])
def test_an_interrupt_is_passed_on(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*args: object) -> None:
        raise Interrupted

    runner = Analytic()
    monkeypatch.setattr(runner, stage, interrupt)

    with pytest.raises(Interrupted):
        _calibrate(runner)


# Settings


def test_defaults_are_the_papers() -> None:
    settings = Settings()

    assert (settings.steps, settings.reference_budget, settings.anchor_budget) == (50, 20, 8)
    assert (settings.search.trials, settings.search.patience) == (200, 50)
    assert (settings.rho_budgets, settings.curve_budgets) == ((11, 15), (8, 11, 15, 20, 26))
    assert settings.fitted_budgets == (*range(8, 21), 26)
    assert settings.most_tail == 0


@pytest.mark.parametrize(
    ("low", "high", "rhos", "curve"),
    [
        (4, 9, RHO_BUDGETS, CURVE_BUDGETS),
        (3, 15, (6, 10), (3, 6, 10, 15)),  # 3 + 12 // 4; 15 + 12 // 2 is above the steps
        (3, 4, (), (3, 4)),  # nothing lies in between
        (3, 5, (4,), (3, 4, 5, 6)),
    ],
)
def test_measured_budgets_by_hand(
    low: int, high: int, rhos: tuple[int, ...], curve: tuple[int, ...]
) -> None:
    settings = Settings(steps=16, reference_budget=high, anchor_budget=low)

    assert (settings.rho_budgets, settings.curve_budgets) == (rhos, curve)


@pytest.mark.parametrize("most", [13, 16, 100])
def test_all_budgets_are_fitted_where_there_are_no_more(most: int) -> None:
    """13 budgets from 8 to 20; spaced in proportion and rounded, 18 would not be among them."""
    settings = Settings(most_fitted=most)

    assert settings.fitted_budgets == (*range(8, 21), 26)
    # 12, each 2.5^(1/11) = 1.087 times the one before: from 12.2 on some are left out.
    few = replace(settings, most_fitted=12).fitted_budgets
    assert few == (8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 26)


def test_few_of_many_budgets_are_fitted() -> None:
    settings = Settings(steps=200, reference_budget=80, anchor_budget=5)

    # Each 16^(1/15) = 1.203 times the one before, and those where the loss is measured.
    geometric = (5, 6, 7, 9, 10, 13, 15, 18, 22, 26, 32, 38, 46, 55, 66, 80)
    assert set(settings.fitted_budgets) == {*geometric, 23, 51, 117}
    # 5, 20 and 80 alone
    assert set(replace(settings, most_fitted=3).fitted_budgets) == {5, 20, 80, 23, 51, 117}
    assert replace(settings, gains=False).fitted_budgets == ()


def test_the_smallest_budgets_that_can_be_calibrated() -> None:
    anchor, report = _calibrate(Analytic(1), replace(SETTINGS, anchor_budget=3, reference_budget=4))

    assert (anchor.anchor.budget, anchor.reference.budget) == (3, 4)
    # No budget lies between the two, so there is nothing to calibrate rho at.
    assert (anchor.rho, report.rho_losses) == (None, {})


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


@pytest.mark.parametrize("budget", [4, 9, 3, 15, -1])
def test_the_middle_lies_between(budget: int) -> None:
    with pytest.raises(
        OTCacheError, match=f"`middle_budget` must be 0 or between 4 and 9 but got {budget}"
    ):
        replace(SETTINGS, middle_budget=budget)


@pytest.mark.parametrize("estimator", ["magic", "adaptive"])
def test_estimators_that_nothing_is_calibrated_for_are_refused(estimator: str) -> None:
    message = f"`estimator` must be one of slope, meancache, reuse but got '{estimator}'"
    with pytest.raises(OTCacheError, match=message):
        replace(SETTINGS, estimator=estimator)


def test_fits_are_an_option() -> None:
    runner = Analytic(1)
    _calibrate(runner, replace(SETTINGS, gains=False))

    assert {gain for schedule, _ in runner.asked for gain in schedule.slope_gain} == {1.0}
    assert {drift for schedule, _ in runner.asked for drift in schedule.drift} == {0.0}
    assert runner.arrived == []


# Without a search

LONG = tuple((1 - i / 50) ** 1.2 for i in range(51))
QUICK = Settings.quick(metric="mean error")


def test_quick_is_no_search() -> None:
    """Four of the paths once, and nothing to choose afterwards but how to estimate."""
    assert (QUICK.steps, QUICK.reference_budget, QUICK.anchor_budget) == (50, 20, 8)
    assert not QUICK.searches
    assert Settings().searches
    assert (QUICK.search.trials, QUICK.search.proposer, QUICK.search.polish) == (4, "none", False)
    assert (QUICK.rhos, QUICK.refine, QUICK.gains) == ((1.0,), False, True)
    # Each 2.5^(1/3) = 1.357 times the one before
    assert QUICK.fitted_budgets == QUICK.curve_budgets == (8, 11, 15, 20)
    assert QUICK.judged_budgets == (20, 11)


def test_quick_leaves_to_the_caller_what_he_decides() -> None:
    settings = Settings.quick(
        steps=30, reference_budget=12, anchor_budget=6, estimator="reuse", rhos=(1.0, 1.2)
    )

    assert (settings.steps, settings.reference_budget, settings.anchor_budget) == (30, 12, 6)
    assert (settings.estimator, settings.rhos, settings.searches) == ("reuse", (1.0, 1.2), False)
    # Each 2^(1/3) = 1.26 times the one before
    assert settings.curve_budgets == (6, 8, 10, 12)
    assert settings.fitted_budgets == settings.judged_budgets == ()


def test_quick_takes_at_most_500_calls_on_three_prompts() -> None:
    runner = Analytic(3, LONG, PrefixMemo())

    anchor, report = _calibrate(runner, QUICK)

    assert runner.model_calls <= 500
    assert runner.model_calls == report.model_calls == anchor.calibration.model_calls
    # The first step is one for all: three paths at 8 calls and the chosen one with all
    # coefficients, one each at the other budgets, and at each the last call at four places.
    told = calibration_cost(QUICK, 3)
    assert told.most == 3 * (50 + 4 * 8 + (11 + 15 + 20) + (20 + 11) + 4 * 4)
    assert runner.model_calls <= told.most - 3 * 7
    assert len(report.search.trials) == anchor.calibration.trials == 3
    assert {trial.phase for trial in report.search.trials} == {"warm start"}
    assert (anchor.rho, report.rho_losses) == (1.0, {})


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((1.0, 2.0, 3.0, 4.0), (0, 1, 2)),
        ((2.0, 1.0, 3.0, 4.0), (0, 1, 2)),
        ((3.0, 2.0, 2.0, 3.0), (0, 1, 2)),
        ((4.0, 3.0, 2.0, 3.0), (1, 2, 3)),
        ((4.0, 3.0, 2.0, 1.0), (1, 2, 3)),
        ((4.0, None, 2.0, 1.0), (0, 1, 2, 3)),
    ],
)
def test_quick_compares_the_kinds_of_paths_around_the_better_of_the_inner_two(
    monkeypatch: pytest.MonkeyPatch, losses: tuple[float | None, ...], expected: tuple[int, ...]
) -> None:
    """All four where a picture of these is not to be had."""
    paths = [(0, first, 16, 22, 28, 34, 39, 49) for first in (2, 4, 6, 8)]
    compared: list[Sequence[Candidate]] = []

    def badness(run: CalibrationRun, of: Candidate) -> float:
        found = losses[paths.index(of.computed_steps)]
        if found is None:
            raise EvaluationError("no picture")
        return found

    def search(run: CalibrationRun, role: str, starts: Sequence[Candidate], *rest: Any) -> Any:
        compared.append(starts)
        raise InterruptedError

    monkeypatch.setattr(Graphs, "paths", lambda *_: paths)
    monkeypatch.setattr(CalibrationRun, "badness", badness)
    monkeypatch.setattr(CalibrationRun, "search", search)

    with pytest.raises(InterruptedError):
        _calibrate(Analytic(3, LONG), QUICK)

    assert [of.computed_steps for of in compared[0]] == [paths[kind] for kind in expected]


def test_quick_fits_at_every_budget_and_is_better_for_it() -> None:
    runner = Analytic(3, LONG, PrefixMemo())

    anchor, report = _calibrate(runner, QUICK)

    for trial in report.search.trials:
        plain = Analytic(3, LONG).mean_loss(Schedule(50, trial.candidate.computed_steps))
        assert trial.loss < 0.97 * plain
    assert anchor.objective is not None
    # Of what is about as good, the plainest: the first path.
    roots = [np.mean([loss**0.5 for loss in t.losses.values()]) for t in report.search.trials]
    paths = [trial.candidate.computed_steps[:-1] for trial in report.search.trials]
    place = paths.index(report.search.best.computed_steps[:-1])  # it may have a tail
    assert roots[place] <= 1.1 * min(roots)
    assert all(root > 1.1 * min(roots) for root in roots[:place])
    # Paths are told apart by gains and drifts; what goes into the anchor has all coefficients.
    assert not any(any(trial.candidate.bend) for trial in report.search.trials)
    assert anchor.objective.best == report.search.best_loss < report.search.trials[place].loss
    assert all(any(known.bend) for known in (anchor.anchor, *anchor.fitted, anchor.reference))
    assert [schedule.budget for schedule in anchor.fitted] == [11, 15]
    assert [point.budget for point in anchor.fidelity] == [*QUICK.curve_budgets]
    assert fit_prompts(runner.prompts) == 3  # all that there are
    for known in (anchor.anchor, *anchor.fitted, anchor.reference):
        assert any(known.drift)
        assert predict_schedule(anchor, known.budget).schedule == known
