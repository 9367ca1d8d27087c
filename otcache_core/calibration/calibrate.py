"""Calibration: stages 1 and 2 in order, then reference, rho, tail, gains, learning and costs."""
# Source: OTCache, Sec. 3.3.

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..documents.anchor import Anchor, Sampling
from ..documents.fidelity import FidelityPoint
from ..documents.schedule import Schedule
from ..errors import EvaluationError
from ..gaps import Candidate, Fit, Steps, candidate
from ..search.trials import SearchResult
from .choices import log_losses
from .full_runs import FullRuns, rotated
from .last_call import with_best_last_call
from .learning import choose_learning
from .reference import choose_reference
from .run import CalibrationRun, Progress, Runner
from .settings import RHO_CANDIDATES, Settings
from .tail import Tail, choose_tail

__all__ = ["RHO_CANDIDATES", "Report", "Runner", "Settings", "calibrate"]

logger = logging.getLogger("otcache")

ABOUT_AS_GOOD = 1.1
"""Without a search, how far a plainer kind of path may be from the best one and still be taken."""


@dataclass(frozen=True)
class Report:
    """What calibration found on the way, for its picture and its log.

    Attributes:
        search: Stage 2's result.
        rho_losses: Per rho, the geometric mean over ``Settings.rho_budgets`` of what stage 2
            minimises; those given up are left out.
        model_calls: Guided predictions in all, those of earlier sittings and other workers too.
    """

    search: SearchResult
    rho_losses: dict[float, float] = field(default_factory=dict)
    model_calls: int = 0


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
        first_prompt: Prompt to begin the full runs with, and budget to begin the fits with; workers
            that begin apart share them.
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
    run = CalibrationRun(
        *(runner, settings, sampling, about | {"versions": versions or {}}),
        *(full_runs or FullRuns(), storage, study_name),
        *(on_progress or (lambda stage, done, total: None), stop or (lambda: False)),
    )
    run.run_in_full(first_prompt)
    kept: Candidate | None = None

    def observed(result: SearchResult) -> None:
        nonlocal kept
        if on_better is not None and result.best != kept:
            kept = result.best
            on_better(run.anchor(result))
        if on_trial is not None:
            on_trial(result)
        run.progress("anchor search", len(result.trials), settings.search.trials)

    starts = _starts(run, settings.anchor_budget)
    found = run.search("anchor", starts, settings.search, run.fit, observed)
    logger.info(
        "OTCache anchor search: %s %.4f -> %.4f in %d trials",
        settings.metric, found.warm_start_loss, found.best_loss, len(found.trials),
    )  # fmt: skip
    return _completed(run, found, first_prompt)


def _starts(run: CalibrationRun, budget: int) -> list[Candidate]:
    """What stage 2 begins with; without a search, paths with fitted edges are all there is."""
    if run.settings.searches:
        return run.graphs.candidates(budget)
    paths = list(dict.fromkeys(run.graphs.paths(budget)[: run.settings.search.trials]))
    if len(paths) > 3 and not run.stop():
        paths = _three_of(run, paths)
    return list(dict.fromkeys(run.fit(candidate(path)) for path in paths))


def _three_of(run: CalibrationRun, paths: list[Steps]) -> list[Steps]:
    """Of four kinds of paths the inner two, and the outer one beside the better of them.

    From kind to kind early steps get longer, and losses fall and rise once: on none of the proving
    ground's models is the path left out the best. Its calls pay for ``fit_well`` of the chosen one.
    """
    try:
        one, other = (run.badness(run.fit(candidate(path))) for path in paths[1:3])
    except EvaluationError as error:
        logger.warning("OTCache: a path could not be judged: %s", error)
        return paths
    return paths[:3] if one <= other else paths[1:]


def _completed(run: CalibrationRun, found: SearchResult, first: int) -> tuple[Anchor, Report]:
    """What follows the search: a middle schedule, rho, the tail, gains and the fidelity curve."""
    if not run.settings.searches:
        found = _plainest(run, found)
    run.reference = run.schedule(choose_reference(run, found))
    anchor = _with_middle(run, run.anchor(found))
    if len(run.settings.rhos) == 1:
        anchor = replace(anchor, rho=run.settings.rhos[0])
    rho_losses = calibrate_rho(run, anchor)
    if rho_losses:
        anchor = replace(anchor, rho=min(rho_losses, key=lambda r: rho_losses[r]))
    tail = choose_tail(run, anchor, found)
    if tail is not None:
        found = tail.found(run, found)
    found = _if_better(run, found, run.fit_well)
    if run.settings.refine:
        found = _if_better(run, found, run.refine)
    anchor = replace(anchor, anchor=run.schedule(found.best))
    found = _with_best(run, found, with_best_last_call(run, found.best))
    anchor = replace(anchor, objective=run.anchor(found).objective)
    if run.settings.curve:
        anchor = measure_fidelity(run, anchor, tail, first)
    calls = run.spent + run.fits.model_calls + found.model_calls
    anchor = replace(anchor, calibration=replace(anchor.calibration, model_calls=calls))
    return anchor, Report(found, rho_losses, calls)


def _plainest(run: CalibrationRun, found: SearchResult) -> SearchResult:
    """Paths alone, on few prompts: the first kind that is about as good as the best one."""
    good = [trial for trial in found.trials if trial.complete]
    least = min(run.badness(trial.candidate) for trial in good)
    plain = next(t for t in good if run.badness(t.candidate) <= ABOUT_AS_GOOD * least)
    return replace(found, best=plain.candidate, best_loss=plain.loss)


def _if_better(run: CalibrationRun, found: SearchResult, fit: Fit) -> SearchResult:
    """The search's best fitted once more, if that makes it better still."""
    fitted = fit(found.best)
    if fitted == found.best:
        return found
    try:
        better = run.badness(fitted) < run.badness(found.best)
    except EvaluationError as error:
        logger.warning("OTCache: fitted gains could not be measured: %s", error)
        return found
    if not better:
        return found
    return _with_best(run, found, fitted)


def _with_best(run: CalibrationRun, found: SearchResult, best: Candidate) -> SearchResult:
    """What the search found, with another schedule as its best."""
    if best == found.best:
        return found
    mean = float(np.mean(list(run.losses(best).values())))
    return replace(found, best=best, best_loss=mean)


def _with_middle(run: CalibrationRun, anchor: Anchor) -> Anchor:
    """The anchor with a third schedule, searched around what the two predict, if one is wanted."""
    budget = run.settings.middle_budget
    if not budget:
        return anchor
    starts = [run.predicted(anchor, budget), *run.graphs.candidates(budget)]
    found = run.search("middle", list(dict.fromkeys(starts)), run.settings.search, run.fit)
    run.spent += found.model_calls
    found = _if_better(run, found, run.fit_well)
    if run.settings.refine:
        found = _if_better(run, found, run.refine)
    return replace(anchor, middle=run.schedule(found.best))


def calibrate_rho(run: CalibrationRun, anchor: Anchor) -> dict[float, float]:
    """What the schedules that each of ``Settings.rhos`` predicts lose over ``rho_budgets``.

    Returns:
        What ``Report.rho_losses`` holds, the smallest is the one to take.
    """
    searched = {schedule.budget for _, schedule in anchor.searched}
    left = {rho: 0.0 for rho in run.settings.rhos}
    judged = 0
    for budget in run.settings.rho_budgets:
        if budget in searched or len(left) < 2 or run.stop():
            continue
        run.progress("rho", judged, len(run.settings.rho_budgets))
        try:
            # Fitted as what goes into the anchor is: on few prompts, another rho may seem the best.
            by_rho = {rho: run.predicted(anchor, budget, rho, fit=run.fit_well) for rho in left}
            lost = log_losses(run, "rho", by_rho)
        except EvaluationError as error:
            logger.warning("OTCache: rho could not be calibrated at %d calls: %s", budget, error)
            continue
        left = {rho: left[rho] + lost[rho] for rho in left if rho in lost}
        judged += 1
    if not judged:
        return {}
    run.progress("rho", len(run.settings.rho_budgets), len(run.settings.rho_budgets))
    return {rho: math.exp(logarithms / judged) for rho, logarithms in left.items()}


def measure_fidelity(
    run: CalibrationRun, anchor: Anchor, tail: Tail | None = None, first: int = 0
) -> Anchor:
    """The anchor with schedules fitted at further budgets, at some of them the loss, and learning.

    The last call of each of them, the anchor's and the reference's too, is where it serves best.

    Args:
        run: The calibration.
        anchor: Predicts the schedules.
        tail: What the shape of predicted schedules leaves of a run's end.
        first: Where in the list of budgets to begin; workers that begin apart share the fits.
    """
    settings, searched = run.settings, {s.budget for _, s in anchor.searched}
    budgets = sorted({*settings.curve_budgets, *settings.fitted_budgets})
    made: dict[int, Schedule] = {}
    points, given = [], {}
    for done, place in enumerate(rotated(len(budgets), first)):
        budget = budgets[place]
        if run.stop():
            break
        run.progress("fidelity", done, len(budgets))
        if tail is None or budget in searched:
            predicted = run.predicted(anchor, budget, fit=run.fit_well)
        else:
            predicted = tail.predicted(run, budget, run.fit_well)
        predicted = with_best_last_call(run, predicted)
        if budget in settings.curve_budgets:
            try:
                given[budget] = run.losses(predicted)
            except EvaluationError as error:
                logger.warning("OTCache: the loss at %d calls could not be had: %s", budget, error)
                continue
            points.append(FidelityPoint.of(budget, given[budget].values()))
        if budget in settings.fitted_budgets:
            made[budget] = run.schedule(predicted)
    anchor = replace(
        anchor,
        anchor=made.get(anchor.anchor.budget, anchor.anchor),
        reference=made.get(anchor.reference.budget, anchor.reference),
        fidelity=tuple(sorted(points, key=lambda point: point.budget)),
        fitted=tuple(made[budget] for budget in sorted({*made} - searched)),
    )
    anchor = choose_learning(run, anchor, given)
    run.progress("fidelity", len(budgets), len(budgets))
    return anchor
