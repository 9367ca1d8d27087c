"""One calibration under way: the parts that ``calibration.calibrate`` puts in order.

The host stays outside: a ``Runner`` runs the model. Everything that took model calls is kept where
the caller says, so that the same calibration goes on where it was cut short.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..documents.anchor import (
    Anchor,
    Calibration,
    LearnedInRuns,
    LookBackTable,
    Objective,
    Sampling,
)
from ..documents.schedule import COEFFICIENTS, Schedule, coefficients
from ..errors import EvaluationError, OTCacheError
from ..estimate.edge_fit import (
    LEAST_FOR_ALL,
    LEAST_TO_LEAVE_OUT,
    State,
    fit_edges,
    refine_gains,
)
from ..gaps import Candidate, Fit, candidate, unfitted
from ..search.anchor_search import search_anchor
from ..search.settings import SearchSettings
from ..search.trials import SearchResult, from_roots
from ..trajectory import Trajectory
from ..transport import predict_schedule
from .full_runs import FullRun, FullRuns, rotated
from .kept_fits import GainFits
from .settings import Settings
from .warm_starts import Graphs

logger = logging.getLogger("otcache")

LEAST_FIT_PROMPTS, MOST_FIT_PROMPTS = 4, 16
"""Prompts that coefficients are fitted on, as many as there are at most."""


def fit_prompts(prompts: int) -> int:
    """Of so many prompts, how many every candidate of a search is fitted on: a third."""
    return min(max(prompts // 3, LEAST_FIT_PROMPTS), MOST_FIT_PROMPTS, prompts)


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

    def steadiness(self, schedule: Schedule, prompt: int) -> float | None:
        """What a run that learns shows of how slopes go on; see ``run_time.slope_trust``.

        ``None`` where it computes too few steps to tell.

        Raises:
            EvaluationError: If the run fails.
        """

    def remembered_runs(self, budget: int) -> int:
        """How many prompts' runs of so many model calls are remembered at once."""


Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the units done and the units there are at most."""


@dataclass
class CalibrationRun:
    """One calibration under way.

    Attributes:
        runner: Runs the model.
        settings: Budgets, trials, estimator.
        sampling: What the model is sampled with; goes into the anchor.
        about: Fields of the anchor that are taken as they are.
        full_runs: Where full runs are kept.
        storage: Optuna storage, or ``None`` for memory.
        study_name: Name of the calibration there.
        progress: Told how far each stage is.
        stop: Asked between candidates whether to end early with the best so far.
    """

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
        self.graphs = Graphs(
            settings.steps, settings.estimator, settings.gamma, fitted=settings.fits_gains
        )
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

    def schedule(self, of: Candidate, learned: LearnedInRuns | None = None) -> Schedule:
        """A candidate as a schedule that can be sampled with; with what runs learn, adaptive.

        The adaptive estimator has no use for the candidate's coefficients.
        """
        settings = self.settings
        return Schedule(
            *(settings.steps, of.computed_steps, settings.estimator if not learned else "adaptive"),
            *(_look_backs(self.table, of), self.sampling.sigmas),
            **coefficients(of),
            steadiness=learned.believed if learned else None,
        )

    # Stage 2 and what follows

    def search(
        self,
        role: str,
        starts: Sequence[Candidate],
        search: SearchSettings,
        fit: Fit,
        on_trial: Callable[[SearchResult], None] | None = None,
        learned: LearnedInRuns | None = None,
    ) -> SearchResult:
        """Searches, or only compares, candidates of one budget in a study of their own.

        What runs that learn are found to lose is not ``measured``.
        """
        settings = self.settings
        budget = len(starts[0].computed_steps)
        by_roots = settings.by_roots
        about = (
            starts,
            settings.gains,
            settings.most_tail,
            by_roots,
            search.proposer,
            COEFFICIENTS,
        )
        earliest = min(start.computed_steps[-1] for start in starts)
        digest = hashlib.sha256(repr(about).encode()).hexdigest()[:8]

        def loss(of: Candidate, prompt: int) -> float:
            loss = self.loss(of, prompt, learned)
            return math.sqrt(loss) if by_roots and loss > 0.0 else loss

        def observe(result: SearchResult) -> None:
            if on_trial is not None:
                on_trial(from_roots(result, starts[0]) if by_roots else result)

        found = search_anchor(
            loss,
            prompts=self.runner.prompts,
            steps=settings.steps,
            budget=budget,
            warm_starts=starts,
            fit=fit if settings.fits_gains else unfitted,
            tail=max(settings.most_tail, settings.steps - 1 - earliest),
            settings=search,
            on_trial=observe,
            stop=self.stop,
            model_calls=lambda: self.runner.model_calls,
            storage=self.storage,
            study_name=f"{self.study_name} {role} {budget} {digest}",
        )
        found = from_roots(found, starts[0]) if by_roots else found
        if not learned:
            self.measured |= {t.candidate: t.losses for t in found.trials if t.complete}
        return found

    def fit(self, of: Candidate) -> Candidate:
        """The candidate fitted edge by edge, or as it is where that cannot be had.

        To be told from others, on a few prompts: ``fit_well`` for what goes into the anchor.
        """
        return self._fitted(fit_edges, of, of.computed_steps, fit_prompts(self.runner.prompts))

    def fit_well(self, of: Candidate) -> Candidate:
        """All coefficients on all prompts, on which it will be judged: that adds few calls."""
        prompts = min(MOST_FIT_PROMPTS, self.runner.prompts)
        if LEAST_FOR_ALL <= prompts == fit_prompts(self.runner.prompts):
            return self.fit(of)
        how = partial(fit_edges, least_for_all=LEAST_TO_LEAVE_OUT)
        return self._fitted(how, of, (of.computed_steps, prompts), prompts)

    def fit_end(self, of: Candidate) -> Candidate:
        """The last edge alone on all prompts, the others as they are."""
        prompts = min(MOST_FIT_PROMPTS, self.runner.prompts)
        last = len(of.computed_steps) - 2
        how = partial(fit_edges, least_for_all=LEAST_TO_LEAVE_OUT, first=last)
        return self._fitted(how, of, ("end", of), prompts)

    def refine(self, of: Candidate) -> Candidate:
        """The candidate with all gains fitted together, or as it is."""
        return self._fitted(refine_gains, of, of, min(MOST_FIT_PROMPTS, self.runner.prompts))

    def _fitted(
        self, how: Callable[..., Candidate], of: Candidate, what: object, prompts: int
    ) -> Candidate:
        if not self.settings.fits_gains or self.stop():
            return of
        runner, budget = self.runner, len(of.computed_steps)
        prompts = min(prompts, runner.remembered_runs(budget))
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

    def predicted(
        self, anchor: Anchor, budget: int, rho: float | None = None, *, fit: Fit | None = None
    ) -> Candidate:
        """What an anchor predicts, fitted where the budget is not a searched one.

        Args:
            anchor: The anchor.
            budget: Model calls.
            rho: As ``predict_schedule`` has it.
            fit: ``fit`` by default, or ``fit_well``.
        """
        schedule = predict_schedule(anchor, budget, rho=rho).schedule
        predicted = candidate(schedule.computed_steps, **coefficients(schedule))
        searched = budget in (known.budget for _, known in anchor.searched)
        return predicted if searched else (fit or self.fit)(predicted)

    def badness(self, of: Candidate) -> float:
        """What stage 2 minimises, for a candidate that is or will be tried on every prompt."""
        losses = np.array(list(self.losses(of).values()))
        return float(np.mean(np.sqrt(losses) if self.settings.by_roots else losses))

    def losses(self, of: Candidate) -> dict[int, float]:
        """Loss by prompt, measured now or before."""
        if of not in self.measured:
            self.compare("fidelity", [of])
        return self.measured[of]

    def losses_learned(self, of: Candidate, learned: LearnedInRuns) -> dict[int, float]:
        """Loss by prompt of a candidate's steps in runs that learn, with what is known for them."""
        known = learned.believed
        role = "learned in runs" if known is None else f"learned in runs {known:.4f}"
        [trial] = self.compare(role, [of], learned).trials
        return trial.losses

    def compare(
        self, role: str, starts: Sequence[Candidate], learned: LearnedInRuns | None = None
    ) -> SearchResult:
        """Compares a few candidates over all prompts."""
        search = replace(self.settings.search, trials=len(starts), proposer="none", polish=False)
        found = self.search(role, starts, search, lambda given: given, learned=learned)
        self.spent += found.model_calls
        return found

    def loss(self, of: Candidate, prompt: int, learned: LearnedInRuns | None = None) -> float:
        """Loss of a candidate on one prompt, measured now or before."""
        if learned is None and prompt in (known := self.measured.get(of, {})):
            return known[prompt]
        picture = self.full_runs.picture(prompt)
        return self.runner.loss(self.schedule(of, learned), prompt, picture)

    def steadiness(self, of: Candidate, prompts: int) -> list[float]:
        """What runs of a candidate's steps show of the model, a number a prompt.

        Raises:
            EvaluationError: If a run fails.
        """
        schedule = self.schedule(of, LearnedInRuns(2))

        def shown() -> list[float]:
            runs = (self.runner.steadiness(schedule, prompt) for prompt in range(prompts))
            return [value for value in runs if value is not None]

        what = ("steadiness", schedule.computed_steps, prompts)
        return self.fits.keep_numbers(what, shown, lambda: self.runner.model_calls)

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


def _look_backs(table: LookBackTable | None, of: Candidate) -> tuple[int, ...]:
    if table is None:
        return ()
    edges = zip(of.computed_steps, of.computed_steps[1:], strict=False)
    return tuple(table[t][s - t - 1] for t, s in edges)
