"""Stage 2: the anchor, found by black-box search on the end-to-end objective (Eq. 6 and 7).

First every cheap candidate has its turn, the schedule of stage 1 leading. Then the evolution
strategy of Optuna searches the space of gaps. Last comes a local polish, which moves one computed
step at a time by one or two. All three phases are trials of one study.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import OTCacheError
from .schedule import MAX_STEPS

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger("otcache")

Steps = tuple[int, ...]
Objective = Callable[[Steps], float]
"""Computed steps -> loss, lower is better; NaN or infinity marks a failed candidate."""

POLISH_MOVES = (-1, 1, -2, 2)


@dataclass(frozen=True)
class Trial:
    """One evaluated candidate; ``loss`` is NaN where the evaluation failed."""

    computed_steps: Steps
    loss: float
    phase: str


@dataclass
class SearchResult:
    """What a search found.

    Attributes:
        best: The best candidate's computed steps.
        best_loss: Its loss.
        warm_start_loss: Loss of the first warm start.
        trials: Every distinct candidate in order of evaluation.
    """

    best: Steps
    best_loss: float
    warm_start_loss: float
    trials: list[Trial] = field(default_factory=list, repr=False)

    def top(self, count: int = 5) -> list[Trial]:
        """The ``count`` best distinct candidates, best first."""
        good = [trial for trial in self.trials if not math.isnan(trial.loss)]
        return sorted(good, key=lambda trial: trial.loss)[:count]


def steps_from_gaps(gaps: Sequence[float], steps: int) -> Steps:
    """Projects positive real gaps to computed steps: scaled to sum T-1, largest remainders first.

    Integer gaps that already sum to ``steps - 1`` come back as they are.

    Args:
        gaps: ``B - 1`` positive numbers.
        steps: Step count T, at least B.
    """
    spare = steps - 1 - len(gaps)
    above_one = np.maximum(np.asarray(gaps, dtype=float) - 1.0, 0.0)
    total = above_one.sum()
    share = above_one * (spare / total) if total > 0 else np.full(len(gaps), spare / len(gaps))
    whole = np.floor(share + 1e-9).astype(int)
    rest = spare - int(whole.sum())
    largest = np.argsort(-(share - whole), kind="stable")[:rest]
    whole[largest] += 1
    return (0, *np.cumsum(whole + 1).tolist())


def gaps_from_steps(computed_steps: Steps) -> list[int]:
    """First differences of the computed steps."""
    return np.diff(computed_steps).tolist()


def uniform_steps(budget: int, steps: int) -> Steps:
    """Computed steps as evenly spaced as integers allow."""
    return tuple(round(i * (steps - 1) / (budget - 1)) for i in range(budget))


class _Search:
    """One search: the study, what was evaluated, and the rules when to stop."""

    def __init__(
        self, objective: Objective, study: optuna.Study, steps: int, edges: int, trials: int
    ) -> None:
        self.objective, self.study, self.steps = objective, study, steps
        self.edges, self.trials = edges, trials
        self.losses: dict[Steps, float] = {}
        self.record: list[Trial] = []
        self.on_trial: Callable[[Trial, SearchResult], None] | None = None
        self.phase = "warm start"

    @property
    def spent(self) -> bool:
        return len(self.record) >= self.trials

    def result(self) -> SearchResult:
        good = {s: loss for s, loss in self.losses.items() if not math.isnan(loss)}
        if not good:
            raise OTCacheError(
                "at least 1 candidate must be evaluated but all failed: see the log."
            )
        best = min(good, key=lambda s: good[s])
        return SearchResult(best, good[best], self.record[0].loss, self.record)

    def _suggest(self, trial: optuna.Trial) -> Steps:
        high = float(self.steps - self.edges)
        gaps = [trial.suggest_float(f"gap_{i}", 1.0, high) for i in range(self.edges)]
        return steps_from_gaps(gaps, self.steps)

    def _loss(self, candidate: Steps) -> float:
        loss = float(self.objective(candidate))
        return loss if math.isfinite(loss) else math.nan

    def _evaluate(self, trial: optuna.Trial) -> float:
        candidate = self._suggest(trial)
        trial.set_user_attr("computed_steps", list(candidate))
        trial.set_user_attr("phase", self.phase)
        if candidate not in self.losses:
            loss = self.losses[candidate] = self._loss(candidate)
            self.record.append(Trial(candidate, loss, self.phase))
            if self.on_trial is not None and not all(math.isnan(v) for v in self.losses.values()):
                self.on_trial(self.record[-1], self.result())
        return self.losses[candidate]

    def run_one(self, candidate: Steps | None = None) -> float:
        """Evaluates one trial: the given candidate, or the sampler's next proposal."""
        if candidate is not None:
            gaps = gaps_from_steps(candidate)
            self.study.enqueue_trial({f"gap_{i}": float(g) for i, g in enumerate(gaps)})
        self.study.optimize(self._evaluate, n_trials=1)
        value = self.study.trials[-1].value
        return math.nan if value is None else value

    def sample(self, patience: int, limit: int) -> None:
        """The sampler's own proposals, until ``patience`` in a row bring nothing better."""
        self.phase = "search"
        best, since = self.result().best_loss, 0
        proposals = 0
        while since < patience and len(self.record) < limit and proposals < 4 * self.trials:
            loss = self.run_one()
            proposals += 1
            best, since = (loss, 0) if loss < best else (best, since + 1)

    def polish(self) -> None:
        """Moves single steps of the best candidate until no move helps (first improvement)."""
        self.phase = "polish"
        improved = True
        while improved and not self.spent:
            improved = False
            best = self.result()
            for candidate in _neighbours(best.best):
                if self.spent:
                    return
                if candidate not in self.losses and self.run_one(candidate) < best.best_loss:
                    improved = True
                    break


def _neighbours(computed_steps: Steps) -> Iterator[Steps]:
    """The schedules that differ in one inner step by 1 or 2, small moves first."""
    for move in POLISH_MOVES:
        for i in range(1, len(computed_steps) - 1):
            low, high = computed_steps[i - 1], computed_steps[i + 1]
            if low < computed_steps[i] + move < high:
                yield (*computed_steps[:i], computed_steps[i] + move, *computed_steps[i + 1 :])


def _check(steps: int, budget: int, warm_starts: Sequence[Steps], trials: int) -> None:
    if not 3 <= budget < steps <= MAX_STEPS:
        raise OTCacheError(
            f"anchor search needs 3 <= budget < steps <= {MAX_STEPS} but got budget {budget} "
            f"and steps {steps}."
        )
    if trials < 1:
        raise OTCacheError(f"`trials` must be at least 1 but got {trials}.")
    if not warm_starts:
        raise OTCacheError("`warm_starts` must hold at least 1 schedule but is empty.")
    for start in warm_starts:
        gaps = gaps_from_steps(start)
        if len(start) != budget or start[0] != 0 or start[-1] != steps - 1 or min(gaps) < 1:
            raise OTCacheError(
                f"a warm start must be {budget} increasing steps from 0 to {steps - 1} "
                f"but got {list(start)}."
            )


def _cma_es(start: Steps, spread: float, seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's CMA-ES around one schedule."""
    import optuna

    with warnings.catch_warnings():
        # `x0` and `sigma0` go in Optuna 6; the pack asks for Optuna below 6.
        warnings.simplefilter("ignore", FutureWarning)
        return optuna.samplers.CmaEsSampler(
            x0={f"gap_{i}": float(g) for i, g in enumerate(gaps_from_steps(start))},
            sigma0=spread,
            seed=seed,
            n_startup_trials=0,
            warn_independent_sampling=False,
        )


def search_anchor(
    objective: Objective,
    *,
    steps: int,
    budget: int,
    warm_starts: Sequence[Steps],
    trials: int = 200,
    patience: int = 50,
    seed: int = 0,
    spread: float = 1.5,
    polish_share: float = 0.5,
    on_trial: Callable[[Trial, SearchResult], None] | None = None,
    storage: Any = None,
    study_name: str | None = None,
) -> SearchResult:
    """Searches the schedule that minimises ``objective`` at a low budget (Eq. 7).

    Trial 0 is the first warm start, so the result is never worse than it. Identical integer
    schedules are evaluated once. What the objective raises ends the search and is passed on.

    Args:
        objective: Loss of a candidate, such as mean LPIPS against the full runs (Eq. 6); NaN for a
            candidate that failed.
        steps: Step count, T.
        budget: Computed steps, B; from 3 to T-1.
        warm_starts: Candidates to evaluate first, the stage-1 schedule leading.
        trials: Bound on distinct candidates evaluated.
        patience: CMA-ES stops after so many proposals in a row without a better one.
        seed: Seed of CMA-ES.
        spread: CMA-ES's initial standard deviation, in steps.
        polish_share: Share of the trials left after the warm starts that is kept for the polish.
        on_trial: Called after each new candidate with it and the result so far.
        storage: Optuna storage; in memory by default.
        study_name: Name of the study in that storage.

    Raises:
        OTCacheError: If the arguments do not fit together or every candidate failed.
    """
    import optuna

    _check(steps, budget, warm_starts, trials)
    verbosity = optuna.logging.get_verbosity()
    # Optuna logs a traceback for whatever ends a search, a user's interrupt too.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(storage=storage, study_name=study_name, load_if_exists=True)
        search = _Search(objective, study, steps, budget - 1, trials)
        search.on_trial = on_trial
        return _run(search, warm_starts, spread, seed, patience, polish_share)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _run(
    search: _Search,
    warm_starts: Sequence[Steps],
    spread: float,
    seed: int,
    patience: int,
    polish_share: float,
) -> SearchResult:
    """The three phases in order."""
    losses = {s: search.run_one(s) for s in list(dict.fromkeys(warm_starts))[: search.trials]}
    good = {s: loss for s, loss in losses.items() if not math.isnan(loss)}
    if good:
        search.study.sampler = _cma_es(min(good, key=lambda s: good[s]), spread, seed)
        left = search.trials - len(search.record)
        search.sample(patience, limit=search.trials - math.ceil(left * polish_share))
        search.polish()
    return search.result()
