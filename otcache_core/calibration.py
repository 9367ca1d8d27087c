"""Calibration: stages 1 and 2 in order, then rho (OTCache, Sec. 3.3).

The host stays outside: a ``Runner`` runs the model, this module decides what to run.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .anchor import Anchor, Calibration, LookBackTable, Objective, Sampling
from .errors import OTCacheError
from .graph import (
    DEFAULT_GAMMA,
    LOOK_BACKS,
    PairCosts,
    TripleCosts,
    shortest_path_over_pairs,
    shortest_path_over_triples,
)
from .schedule import DEFAULT_ESTIMATOR, ESTIMATORS, Schedule
from .search import SearchResult, Steps, Trial, search_anchor, uniform_steps
from .trajectory import Trajectory
from .transport import predict_schedule

logger = logging.getLogger("otcache")

WARM_START_GAMMAS = (2.0, 4.0)
"""Other peak suppressions whose shortest paths are tried before the search."""

RHO_CANDIDATES = (1.0, 1.1, 1.2, 1.3, 1.5)


class Runner(Protocol):
    """Runs one model on the calibration prompts."""

    prompts: int
    model_calls: int

    def full_run(self, prompt: int) -> Trajectory:
        """Runs all steps on one prompt, keeps its picture as the reference, returns the run."""

    def loss(self, schedule: Schedule) -> float:
        """Mean perceptual distance of the schedule's pictures to the full runs' (Eq. 6)."""


@dataclass(frozen=True)
class Settings:
    """What to calibrate.

    Attributes:
        steps: Step count, T.
        reference_budget: B of stage 1, the paper's 20.
        anchor_budget: B of stage 2, the paper's 8.
        trials: Bound on candidates in stage 2, the paper's 200.
        patience: Early stop of CMA-ES, the paper's 50.
        estimator: How skipped steps are estimated; decides the graph of stage 1.
        gamma: Peak suppression of the shortest paths (Eq. 4).
        seed: Seed of the search.
        metric: Name of the loss, for the anchor.
    """

    steps: int = 50
    reference_budget: int = 20
    anchor_budget: int = 8
    trials: int = 200
    patience: int = 50
    estimator: str = DEFAULT_ESTIMATOR
    gamma: float = DEFAULT_GAMMA
    seed: int = 0
    metric: str = "lpips-alex"

    def __post_init__(self) -> None:
        if not 3 <= self.anchor_budget < self.reference_budget < self.steps:
            raise OTCacheError(
                "budgets must satisfy 3 <= anchor < reference < steps but got anchor "
                f"{self.anchor_budget}, reference {self.reference_budget}, steps {self.steps}."
            )
        if self.estimator not in ESTIMATORS:
            raise OTCacheError(
                f"`estimator` must be one of {', '.join(ESTIMATORS)} but got {self.estimator!r}."
            )


@dataclass
class Report:
    """What calibration found on the way, for its picture and its log.

    Attributes:
        search: Stage 2's result.
        rho_losses: Geometric mean loss over the middle budgets per rho.
    """

    search: SearchResult
    rho_losses: dict[float, float] = field(default_factory=dict)


Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the units done and the units there are at most."""


class _Graphs:
    """Stage 1's costs, over pairs always (for the look-backs), over triples for the slope."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        look_backs = (1,) if settings.estimator == "reuse" else LOOK_BACKS
        self.pairs = PairCosts(settings.steps, look_backs)
        self.triples = TripleCosts(settings.steps) if settings.estimator == "slope" else None

    def add(self, trajectory: Trajectory) -> None:
        self.pairs.add(trajectory)
        if self.triples is not None:
            self.triples.add(trajectory)

    def path(self, budget: int, gamma: float) -> Steps:
        if self.triples is not None:
            return shortest_path_over_triples(self.triples.mean(), budget, gamma=gamma)
        return shortest_path_over_pairs(self.pairs.mean(), budget, gamma=gamma)

    def warm_starts(self) -> list[Steps]:
        """Every cheap candidate at the anchor's budget, the default path first."""
        budget = self.settings.anchor_budget
        gammas = (self.settings.gamma, *WARM_START_GAMMAS)
        pairs = self.pairs.mean()
        return [
            *(self.path(budget, gamma) for gamma in gammas),
            *(shortest_path_over_pairs(pairs, budget, gamma=gamma) for gamma in gammas),
            uniform_steps(budget, self.settings.steps),
        ]

    def look_back_table(self) -> LookBackTable | None:
        return self.pairs.look_back_table() if self.settings.estimator == "meancache" else None


@dataclass
class _Draft:
    """What every anchor of one calibration shares, finished or not."""

    runner: Runner
    settings: Settings
    graphs: _Graphs
    sampling: Sampling
    about: dict[str, Any]

    def __post_init__(self) -> None:
        self.table = self.graphs.look_back_table()
        path = self.graphs.path(self.settings.reference_budget, self.settings.gamma)
        self.reference = self.schedule(path)

    def schedule(self, computed_steps: Steps) -> Schedule:
        settings, edges = self.settings, _look_backs(self.table, computed_steps)
        return Schedule(
            settings.steps, computed_steps, settings.estimator, edges, self.sampling.sigmas
        )

    def anchor(self, found: SearchResult) -> Anchor:
        spent = Calibration(
            self.runner.prompts, len(found.trials), self.runner.model_calls, self.settings.seed
        )
        return Anchor(
            reference=self.reference,
            anchor=self.schedule(found.best),
            sampling=self.sampling,
            look_back_table=self.table,
            objective=_objective(self.settings.metric, found),
            calibration=spent,
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
    on_progress: Progress | None = None,
    on_trial: Callable[[Trial, SearchResult], None] | None = None,
    on_better: Callable[[Anchor], None] | None = None,
) -> tuple[Anchor, Report]:
    """Calibrates an anchor for one model.

    Args:
        runner: Runs the model.
        settings: Budgets, trials, estimator.
        name, architecture, sampling, provenance, versions: Go into the anchor as they are.
        on_progress: Told how far each stage is.
        on_trial: Told of each new candidate of stage 2.
        on_better: Given the anchor so far whenever stage 2 finds a better one, so that nothing is
            lost when the calibration is cut short.

    Returns:
        The anchor, with calibrated rho, and what was found on the way.

    Raises:
        OTCacheError: If a full run is not finite or every candidate failed.
    """
    progress = on_progress or (lambda stage, done, total: None)
    graphs = _Graphs(settings)
    for prompt in range(runner.prompts):
        graphs.add(runner.full_run(prompt))
        progress("full runs", prompt + 1, runner.prompts)
    about = {"name": name, "architecture": architecture, "provenance": provenance}
    draft = _Draft(runner, settings, graphs, sampling, about | {"versions": versions or {}})

    def observed(trial: Trial, result: SearchResult) -> None:
        if on_better is not None and trial.computed_steps == result.best:
            on_better(draft.anchor(result))
        if on_trial is not None:
            on_trial(trial, result)
        progress("anchor search", len(result.trials), settings.trials)

    found = search_anchor(
        lambda steps: runner.loss(draft.schedule(steps)),
        steps=settings.steps,
        budget=settings.anchor_budget,
        warm_starts=graphs.warm_starts(),
        trials=settings.trials,
        patience=settings.patience,
        seed=settings.seed,
        on_trial=observed,
    )
    logger.info(
        "OTCache anchor search: %s %.4f -> %.4f in %d trials",
        settings.metric, found.warm_start_loss, found.best_loss, len(found.trials),
    )  # fmt: skip
    report = Report(found, calibrate_rho(runner, draft.anchor(found), progress))
    rho = min(report.rho_losses, key=lambda r: report.rho_losses[r])
    return replace(draft.anchor(found), rho=rho), report


def _look_backs(table: LookBackTable | None, computed_steps: Steps) -> tuple[int, ...]:
    if table is None:
        return ()
    edges = zip(computed_steps, computed_steps[1:], strict=False)
    return tuple(table[t][s - t - 1] for t, s in edges)


def _objective(metric: str, found: SearchResult) -> Objective:
    warm = found.warm_start_loss
    return Objective(metric, found.best_loss if math.isnan(warm) else warm, found.best_loss)


def calibrate_rho(
    runner: Runner, anchor: Anchor, progress: Progress | None = None
) -> dict[float, float]:
    """Losses of predicted schedules over ``RHO_CANDIDATES``, at two budgets between the endpoints.

    Returns:
        Geometric mean of the losses over both budgets, per rho; the smallest is the one to take.
        It is infinite where a picture failed.
    """
    low, high = anchor.anchor.budget, anchor.reference.budget
    middles = sorted({min(low + 2, high - 1), round(math.sqrt(low * high))} - {low, high})
    seen: dict[Steps, float] = {}
    losses: dict[float, float] = {}
    for done, rho in enumerate(RHO_CANDIDATES):
        logs = []
        for budget in middles:
            predicted = predict_schedule(anchor, budget, rho=rho).schedule
            if predicted.computed_steps not in seen:
                loss = runner.loss(predicted)
                seen[predicted.computed_steps] = loss if math.isfinite(loss) else math.inf
            logs.append(math.log(max(seen[predicted.computed_steps], 1e-12)))
        losses[rho] = math.exp(sum(logs) / len(logs)) if logs else 0.0
        if progress is not None:
            progress("rho", done + 1, len(RHO_CANDIDATES))
    return losses
