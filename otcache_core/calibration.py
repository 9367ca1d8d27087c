"""Calibration: stages 1 and 2 in order, then gains, rho and what each budget costs (Sec. 3.3).

The host stays outside: a ``Runner`` runs the model, this module decides what to run. Everything
that took model calls is kept where the caller says, so that the same calibration goes on where it
was cut short.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .anchor import Anchor, Calibration, LookBackTable, Objective, Sampling
from .calibration_settings import RHO_CANDIDATES, Settings
from .errors import EvaluationError, OTCacheError
from .fidelity import FidelityPoint
from .full_runs import FullRun, FullRuns, rotated
from .gain_fit import GainFits, State, fit_gains, refine_gains
from .gaps import Candidate, candidate
from .schedule import Schedule
from .search import SearchSettings, search_anchor
from .trajectory import Trajectory
from .transport import predict_schedule
from .trials import SearchResult, Trial
from .warm_starts import Graphs

__all__ = ["RHO_CANDIDATES", "Report", "Runner", "Settings", "calibrate"]

logger = logging.getLogger("otcache")

LEAST_FIT_PROMPTS, MOST_FIT_PROMPTS = 4, 16
"""Prompts that gains are fitted on: one number an edge needs few."""


class Runner(Protocol):
    """Runs one model on the calibration prompts.

    Attributes:
        prompts: Number of prompts.
        model_calls: Guided predictions made so far.
    """

    prompts: int
    model_calls: int

    def full_run(self, prompt: int) -> tuple[Trajectory, NDArray[np.uint8]]:
        """Runs all steps on one prompt; the run, and its pictures ``(N, H, W, 3)``."""

    def loss(self, schedule: Schedule, prompt: int, reference: NDArray[np.uint8]) -> float:
        """Perceptual distance of the schedule's picture to the full run's (Eq. 6).

        Raises:
            EvaluationError: If there is no picture.
        """

    def state_at(self, schedule: Schedule, prompt: int, step: int) -> State:
        """Elements of the latent when the schedule's run arrives at a computed step, before the
        model runs there; those of ``full_runs.state_elements``.

        Raises:
            EvaluationError: If the run fails.
        """

    def remembered_runs(self, budget: int) -> int:
        """How many prompts' runs of so many model calls are remembered at once."""


@dataclass(frozen=True)
class Report:
    """What calibration found on the way, for its picture and its log.

    Attributes:
        search: Stage 2's result.
        rho_losses: Mean loss at ``Settings.rho_budget`` per rho; candidates given up are left out.
        model_calls: Guided predictions in all, those of earlier sittings and other workers too.
    """

    search: SearchResult
    rho_losses: dict[float, float] = field(default_factory=dict)
    model_calls: int = 0


Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the units done and the units there are at most."""


@dataclass
class _Job:
    """One calibration under way."""

    runner: Runner
    settings: Settings
    sampling: Sampling
    about: dict[str, Any]
    full_runs: FullRuns
    storage: Any
    study_name: str
    progress: Progress
    stop: Callable[[], bool]

    def __post_init__(self) -> None:
        settings = self.settings
        self.graphs = Graphs(settings.steps, settings.estimator, settings.gamma)
        self.spent = self.runner.prompts * settings.steps
        self.measured: dict[Candidate, dict[int, float]] = {}
        self.fits = GainFits(self.storage, f"{self.study_name} fits")

    # Stage 1

    def run_in_full(self, start: int) -> None:
        """Every prompt's full run, those that are not there yet; then the graphs."""
        prompts = self.runner.prompts
        for done, prompt in enumerate(rotated(prompts, start), 1):
            if self.full_runs.get(prompt) is None:
                self.full_runs.put(prompt, FullRun.of(*self.runner.full_run(prompt)))
            self.progress("full runs", done, prompts)
        for prompt in range(prompts):
            run = self.full_runs.get(prompt)
            if run is None:
                raise OTCacheError(f"the full run of prompt {prompt} must be there but is gone.")
            self.graphs.add(run)
        self.table = self.graphs.look_back_table()
        path = self.graphs.path(self.settings.reference_budget)
        self.reference = self.schedule(candidate(path))

    def schedule(self, of: Candidate) -> Schedule:
        """A candidate as a schedule that can be sampled with."""
        settings = self.settings
        return Schedule(
            *(settings.steps, of.computed_steps, settings.estimator),
            *(_look_backs(self.table, of), self.sampling.sigmas, of.slope_gain),
        )

    # Stage 2 and what follows

    def search(
        self,
        role: str,
        starts: Sequence[Candidate],
        search: SearchSettings,
        on_trial: Callable[[SearchResult], None] | None = None,
    ) -> SearchResult:
        """Searches, or only compares, candidates of one budget in a study of their own."""
        settings = self.settings
        budget = len(starts[0].computed_steps)
        digest = hashlib.sha256(
            repr((starts, settings.gains, settings.most_tail, search.proposer)).encode()
        ).hexdigest()[:8]
        found = search_anchor(
            self.loss,
            prompts=self.runner.prompts,
            steps=settings.steps,
            budget=budget,
            warm_starts=starts,
            gains=settings.fits_gains,
            tail=settings.most_tail,
            follow=self.fit,
            settings=search,
            on_trial=on_trial,
            stop=self.stop,
            model_calls=lambda: self.runner.model_calls,
            storage=self.storage,
            study_name=f"{self.study_name} {role} {budget} {digest}",
        )
        self.measured |= {t.candidate: t.losses for t in found.trials if t.complete}
        return found

    def fit(self, of: Candidate) -> Candidate:
        """The candidate with gains fitted edge by edge, or as it is where they cannot be had."""
        return self._fitted(fit_gains, of, of.computed_steps)

    def refine(self, of: Candidate) -> Candidate:
        """The candidate with all gains fitted together, or as it is."""
        return self._fitted(refine_gains, of, of)

    def _fitted(self, how: Callable[..., Candidate], of: Candidate, what: object) -> Candidate:
        if not self.settings.fits_gains or self.stop():
            return of
        runner, budget = self.runner, len(of.computed_steps)
        prompts = min(MOST_FIT_PROMPTS, runner.prompts, runner.remembered_runs(budget))
        if prompts < min(LEAST_FIT_PROMPTS, runner.prompts):
            logger.info("OTCache: gains at %d calls are not fitted: the memo is too small", budget)
            return of

        def arrive(tried: Candidate, prompt: int, step: int) -> State:
            return runner.state_at(self.schedule(tried), prompt, step)

        try:
            return self.fits.keep(
                what,
                lambda: how(of, range(prompts), arrive, self.full_runs.states),
                lambda: runner.model_calls,
            )
        except EvaluationError as error:
            logger.warning("OTCache: gains at %d calls could not be fitted: %s", budget, error)
            return of

    def losses(self, of: Candidate) -> dict[int, float]:
        """Loss by prompt, measured now or before."""
        if of not in self.measured:
            self.compare("fidelity", [of])
        return self.measured[of]

    def compare(self, role: str, starts: Sequence[Candidate]) -> SearchResult:
        """Compares a few candidates over all prompts."""
        search = replace(self.settings.search, trials=len(starts), proposer="none", polish=False)
        found = self.search(role, starts, search)
        self.spent += found.model_calls
        return found

    def loss(self, of: Candidate, prompt: int) -> float:
        """Loss of a candidate on one prompt."""
        return self.runner.loss(self.schedule(of), prompt, self.full_runs.picture(prompt))

    def anchor(self, found: SearchResult) -> Anchor:
        """The anchor as far as it is known."""
        warm = found.best_loss if math.isnan(found.warm_start_loss) else found.warm_start_loss
        calls = self.spent + self.fits.model_calls + found.model_calls
        seed = self.settings.search.seed
        return Anchor(
            reference=self.reference,
            anchor=self.schedule(found.best),
            sampling=self.sampling,
            look_back_table=self.table,
            objective=Objective(self.settings.metric, warm, found.best_loss),
            calibration=Calibration(self.runner.prompts, len(found.trials), calls, seed),
            **self.about,
        )


def calibrate(
    runner: Runner,
    settings: Settings,
    *,
    name: str,
    architecture: str,
    sampling: Sampling,
    provenance: str = "",
    versions: dict[str, str] | None = None,
    full_runs: FullRuns | None = None,
    first_prompt: int = 0,
    storage: Any = None,
    study_name: str = "otcache",
    on_progress: Progress | None = None,
    on_trial: Callable[[SearchResult], None] | None = None,
    on_better: Callable[[Anchor], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[Anchor, Report]:
    """Calibrates an anchor for one model.

    Args:
        runner: Runs the model.
        settings: Budgets, trials, estimator.
        name, architecture, sampling, provenance, versions: Go into the anchor as they are.
        full_runs: Where full runs are kept, those of an earlier sitting among them.
        first_prompt: Prompt to begin the full runs with; workers that begin apart share them.
        storage: Optuna storage of the trials; in memory by default.
        study_name: Name of the calibration there; one that exists is continued.
        on_progress: Told how far each stage is.
        on_trial: Told of what was found after each candidate of stage 2.
        on_better: Given the anchor so far whenever stage 2 finds a better one, so that nothing is
            lost when the calibration is cut short.
        stop: Asked between candidates whether to end early with the best so far.

    Returns:
        The anchor, with calibrated rho and fidelity curve, and what was found on the way.

    Raises:
        OTCacheError: If a full run is not finite or every candidate failed.
    """
    about = {"name": name, "architecture": architecture, "provenance": provenance}
    job = _Job(
        *(runner, settings, sampling, about | {"versions": versions or {}}),
        *(full_runs or FullRuns(), storage, study_name),
        *(on_progress or (lambda stage, done, total: None), stop or (lambda: False)),
    )
    job.run_in_full(first_prompt)
    kept: Candidate | None = None

    def observed(result: SearchResult) -> None:
        nonlocal kept
        if on_better is not None and result.best != kept:
            kept = result.best
            on_better(job.anchor(result))
        if on_trial is not None:
            on_trial(result)
        job.progress("anchor search", len(result.trials), settings.search.trials)

    starts = job.graphs.candidates(settings.anchor_budget)
    starts = list(dict.fromkeys([starts[0], job.fit(starts[0]), *starts[1:]]))
    found = job.search("anchor", starts, settings.search, observed)
    logger.info(
        "OTCache anchor search: %s %.4f -> %.4f in %d trials",
        settings.metric, found.warm_start_loss, found.best_loss, len(found.trials),
    )  # fmt: skip
    return _completed(job, found)


def _completed(job: _Job, found: SearchResult) -> tuple[Anchor, Report]:
    """What follows the search: gains, a middle schedule, rho and the fidelity curve."""
    found = _with_fitted_gains(job, found)
    job.reference = job.schedule(job.fit(candidate(job.reference.computed_steps)))
    anchor = _with_middle(job, job.anchor(found))
    rho_losses = calibrate_rho(job, anchor)
    if rho_losses:
        anchor = replace(anchor, rho=min(rho_losses, key=lambda r: rho_losses[r]))
    if job.settings.curve:
        anchor = measure_fidelity(job, anchor)
    calls = job.spent + job.fits.model_calls + found.model_calls
    anchor = replace(anchor, calibration=replace(anchor.calibration, model_calls=calls))
    return anchor, Report(found, rho_losses, calls)


def _look_backs(table: LookBackTable | None, of: Candidate) -> tuple[int, ...]:
    if table is None:
        return ()
    edges = zip(of.computed_steps, of.computed_steps[1:], strict=False)
    return tuple(table[t][s - t - 1] for t, s in edges)


def _predicted(job: _Job, anchor: Anchor, budget: int, rho: float | None = None) -> Candidate:
    """What an anchor predicts, with gains fitted where the budget is not a searched one."""
    schedule = predict_schedule(anchor, budget, rho=rho).schedule
    predicted = candidate(schedule.computed_steps, schedule.slope_gain)
    return predicted if budget in (s.budget for _, s in anchor.searched) else job.fit(predicted)


def _with_fitted_gains(job: _Job, found: SearchResult) -> SearchResult:
    """The search's best with its gains fitted once more, by the ways that make it better still."""
    for how in (job.fit, job.refine):
        fitted = how(found.best)
        try:
            loss = float(np.mean(list(job.losses(fitted).values())))
        except EvaluationError as error:
            logger.warning("OTCache: fitted gains could not be measured: %s", error)
            continue
        if loss < found.best_loss:
            found = replace(found, best=fitted, best_loss=loss)
    return found


def _with_middle(job: _Job, anchor: Anchor) -> Anchor:
    """The anchor with a third schedule, searched around what the two predict, if one is wanted."""
    budget = job.settings.middle_budget
    if not budget:
        return anchor
    starts = [_predicted(job, anchor, budget), *job.graphs.candidates(budget)]
    found = job.search("middle", list(dict.fromkeys(starts)), job.settings.search)
    job.spent += found.model_calls
    found = _with_fitted_gains(job, found)
    return replace(anchor, middle=job.schedule(found.best))


def calibrate_rho(job: _Job, anchor: Anchor) -> dict[float, float]:
    """Losses of the schedules that each of ``RHO_CANDIDATES`` predicts at one budget.

    Returns:
        Mean loss per rho, the smallest is the one to take; those that lost early are left out.
    """
    budget = job.settings.rho_budget
    if budget in (s.budget for _, s in anchor.searched) or job.stop():
        return {}
    job.progress("rho", 0, len(RHO_CANDIDATES))
    by_rho = {rho: _predicted(job, anchor, budget, rho) for rho in RHO_CANDIDATES}
    starts = list(dict.fromkeys(by_rho.values()))
    try:
        found = job.compare("rho", starts)
    except EvaluationError as error:
        logger.warning("OTCache: rho could not be calibrated: %s", error)
        return {}
    job.progress("rho", len(RHO_CANDIDATES), len(RHO_CANDIDATES))
    trials: dict[Candidate, Trial] = {t.candidate: t for t in found.trials if t.complete}
    return {rho: trials[c].loss for rho, c in by_rho.items() if c in trials}


def measure_fidelity(job: _Job, anchor: Anchor) -> Anchor:
    """The anchor with gains fitted at a few budgets, and mean, spread and median of the loss."""
    points, fitted = [], []
    budgets = job.settings.curve_budgets
    for done, budget in enumerate(budgets):
        if job.stop():
            break
        job.progress("fidelity", done, len(budgets))
        predicted = _predicted(job, anchor, budget)
        try:
            losses = np.array(list(job.losses(predicted).values()))
        except EvaluationError as error:
            logger.warning("OTCache: the loss at %d calls could not be had: %s", budget, error)
            continue
        fitted.append(job.schedule(predicted))
        measured = (losses.mean(), losses.std(), np.median(losses))
        points.append(FidelityPoint(budget, *map(float, measured)))
    job.progress("fidelity", len(budgets), len(budgets))
    searched = {schedule.budget for _, schedule in anchor.searched}
    further = tuple(s for s in fitted if s.budget not in searched)
    return replace(anchor, fidelity=tuple(points), fitted=further)
