"""Stage 2: the anchor, found by black-box search on the end-to-end objective (Eq. 6 and 7).

First every cheap candidate has its turn, the schedule of stage 1 leading. Then a sampler of Optuna
proposes candidates. Last comes a local polish, which moves computed steps of the best and, where
that leads no further, of the next best. A candidate is judged prompt by prompt, in random order,
and given up as soon as a paired test over the prompts says that it loses.

All of it is read off one Optuna study, so that a search goes on where it was cut short, and as many
workers as share the study's storage share its trials.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..documents.schedule import MAX_STEPS
from ..errors import EvaluationError, OTCacheError
from ..gaps import Candidate, Fit, gaps_from_steps, neighbours, unfitted
from .judging import Judge, Loss, OnPrompt
from .proposals import GapSpace, fixed_sampler, gap_space, make_sampler
from .settings import SearchSettings, paper_search
from .storage import quiet_optuna
from .trials import (
    WORKER,
    SearchResult,
    Trial,
    ended_trials,
    finished_trials,
    has_company,
    note_candidate,
    running_candidates,
    taken_before,
)

if TYPE_CHECKING:
    import optuna

__all__ = ["Loss", "SearchResult", "SearchSettings", "Trial", "paper_search", "search_anchor"]

logger = logging.getLogger("otcache")

MOST_FAILURES = 8
"""A search ends when so many candidates failed and none was good."""

POLISHED = 3
"""The polish moves the steps of so many of the best candidates."""


class _Search:
    """One worker's part in a search; where the search stands is read off the study each time."""

    def __init__(
        self,
        judge: Judge,
        study: optuna.Study,
        space: GapSpace,
        warm_starts: Sequence[Candidate],
        settings: SearchSettings,
        fit: Fit,
    ) -> None:
        self.judge, self.study, self.space = judge, study, space
        self.warm_starts, self.settings, self.fit = warm_starts, settings, fit
        self._first_trial = len(study.get_trials(deepcopy=False))
        self._phase = "warm start"
        self._chosen: Candidate | None = None
        self._shared = False
        self._sampler: optuna.samplers.BaseSampler | None = None
        self._cause: BaseException | None = None
        self.model_calls: Callable[[], int] = lambda: 0

    # Where the search stands

    def finished(self) -> list[Trial]:
        """Every distinct finished candidate in the order in which they finished."""
        return finished_trials(self.study)

    def result(self) -> SearchResult | None:
        """What was found so far, or ``None`` as long as no candidate is complete."""
        trials = tuple(self.finished())
        good = [t for t in trials if t.complete]
        if not good:
            return None
        best = min(good, key=lambda t: t.loss)
        first = next((t for t in trials if t.candidate == self.warm_starts[0]), None)
        warm = first.loss if first is not None else math.nan
        return SearchResult(best.candidate, best.loss, warm, trials)

    # What to do next

    def run_one(self) -> bool:
        """Evaluates the next candidate; ``False`` if there is none."""
        finished = self.finished()
        if len(finished) >= self.settings.trials:
            return False
        self._chosen = self._next(finished)
        if self._chosen is not None:
            # Not enqueued: on SQLite, two workers may take the same waiting trial.
            self.study.sampler = fixed_sampler(self.space.parameters(self._chosen))
        elif self._phase == "search":
            self.study.sampler = self._sampler
        else:
            return False
        self.study.optimize(self._evaluate, n_trials=1)
        if self._cause is not None:
            cause, self._cause = self._cause, None
            raise cause
        return True

    def _next(self, finished: list[Trial]) -> Candidate | None:
        """The next candidate, or ``None`` where the sampler proposes or nothing is left."""
        known = {t.candidate for t in finished}
        best = self.result()
        self._phase = "warm start"
        candidate = self._free(self._starts(), known, wait=best is None)
        if candidate is not None:
            return candidate
        if best is None and sum(bool(t.failure) for t in finished) >= MOST_FAILURES:
            raise EvaluationError(
                f"at least 1 of the first {MOST_FAILURES} candidates must give a picture but all "
                f"failed, the last one with: {finished[-1].failure}"
            )
        if self._sampler_has_turn(finished):
            self._phase = "search"
            self._prepare_sampler(best)
            return None
        if best is not None and self.settings.polish:
            self._phase = "polish"
            near = chain.from_iterable(
                self._fitted(neighbours(trial.candidate, ends=self.space.ends))
                for trial in best.top(POLISHED)
            )
            candidate = self._free(near, known, wait=True)
            if candidate is not None:
                return candidate
        self._phase = "warm start"  # one that a worker took and never finished
        return self._free(self._starts(), known, wait=True)

    def _starts(self) -> Iterator[Candidate]:
        """The first warm start as it is, then each with the coefficients that go with its steps."""
        yield self.warm_starts[0]
        yield from self._fitted(self.warm_starts)

    def _fitted(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """One at a time, for a fit may cost model calls.

        Beside other workers in an order of this one's own, or all would make the same fits.
        """
        listed = list(candidates)
        if has_company(self.study, self._first_trial):
            random.Random(WORKER).shuffle(listed)
        return map(self.fit, listed)

    def _free(
        self, candidates: Iterable[Candidate], known: set[Candidate], *, wait: bool
    ) -> Candidate | None:
        """The first candidate that nobody has or is on.

        With ``wait``, where others are on all that is left, the first of these: a worker that died
        leaves its candidate unfinished for ever, and nobody can tell a dead one from a slow one.
        """
        running: set[Candidate] | None = None
        taken: Candidate | None = None
        self._shared = False
        for candidate in candidates:
            if candidate in known:
                continue
            running = running_candidates(self.study) if running is None else running
            if candidate not in running:
                return candidate
            taken = candidate if taken is None else taken
        self._shared = wait and taken is not None
        return taken if wait else None

    def _sampler_has_turn(self, finished: list[Trial]) -> bool:
        settings = self.settings
        if settings.proposer == "none":
            return False
        share = settings.polish_share if settings.polish else 0.0
        left = settings.trials - len(self.warm_starts)
        if len(finished) >= settings.trials - math.ceil(left * share):
            return False
        best, since, proposals = math.inf, 0, 0
        for trial in ended_trials(self.study):
            phase = trial.user_attrs.get("candidate", {}).get("phase")
            if phase == "polish":
                continue
            proposed = phase == "search"
            value = math.inf if trial.value is None else trial.value
            proposals += proposed
            best, since = (value, 0) if value < best else (best, since + proposed)
        return since < settings.patience and proposals < 4 * settings.trials

    def _prepare_sampler(self, best: SearchResult | None) -> None:
        if self._sampler is not None:
            return
        settings = self.settings
        start = self.warm_starts[0] if best is None else best.best
        # A worker that joins later takes another seed, or it would propose the same again.
        seed = (settings.seed + len(self.study.get_trials(deepcopy=False))) % (1 << 32)
        self._sampler = make_sampler(settings.proposer, self.space, start, settings.spread, seed)

    # One candidate

    def _evaluate(self, trial: optuna.Trial) -> float:
        """Optuna's objective: the candidate's loss over the prompts, NaN where it failed."""
        proposed = self.space.suggest(trial)
        candidate = self.fit(proposed) if self._chosen is None else self._chosen
        note_candidate(trial, candidate, self._phase)
        alone = self._chosen is not None and not self._shared
        if alone and taken_before(trial, candidate):
            return math.nan  # another worker chose it at the same moment
        known = {t.candidate: t for t in self.finished()}.get(candidate)
        if known is not None:
            trial.set_user_attr("duplicate", True)
            for prompt, loss in known.losses.items():
                trial.report(loss, prompt)
            return known.loss
        before = self.model_calls()
        try:
            spare = candidate == self.warm_starts[0]
            return self.judge.mean_loss(trial, candidate, spare=spare)
        except EvaluationError as error:
            trial.set_user_attr("failure", str(error))
            logger.warning("OTCache: a candidate failed and is not tried again: %s", error)
        except BaseException as error:  # an interrupt too: raised again outside of Optuna
            self._cause = error
        finally:
            trial.set_user_attr("model_calls", self.model_calls() - before)
        return math.nan


def _check(
    steps: int, budget: int, warm_starts: Sequence[Candidate], settings: SearchSettings, tail: int
) -> None:
    if not 3 <= budget < steps <= MAX_STEPS:
        raise OTCacheError(
            f"anchor search needs 3 <= budget < steps <= {MAX_STEPS} but got budget {budget} "
            f"and steps {steps}."
        )
    if settings.trials < 1:
        raise OTCacheError(f"`trials` must be at least 1 but got {settings.trials}.")
    if not warm_starts:
        raise OTCacheError("`warm_starts` must hold at least 1 schedule but is empty.")
    for start in warm_starts:
        nodes = start.computed_steps
        gaps = gaps_from_steps(nodes)
        ends = 0 <= steps - 1 - nodes[-1] <= tail
        if len(nodes) != budget or nodes[0] != 0 or not ends or min(gaps) < 1:
            or_less = f" or up to {tail} less" if tail else ""
            raise OTCacheError(
                f"a warm start must be {budget} increasing steps from 0 to "
                f"{steps - 1}{or_less} but got {list(nodes)}."
            )


def search_anchor(
    loss: Loss,
    *,
    prompts: int,
    steps: int,
    budget: int,
    warm_starts: Sequence[Candidate],
    fit: Fit = unfitted,
    tail: int = 0,
    settings: SearchSettings = SearchSettings(),  # noqa: B008  (frozen)
    on_trial: Callable[[SearchResult], None] | None = None,
    on_prompt: OnPrompt | None = None,
    stop: Callable[[], bool] | None = None,
    model_calls: Callable[[], int] | None = None,
    storage: Any = None,
    study_name: str | None = None,
) -> SearchResult:
    """Searches the schedule that minimises the mean loss over prompts at a low budget (Eq. 7).

    The first warm start is tried first, as it is and on every prompt, so that the result is never
    worse than it.
    Identical integer schedules are evaluated once. What ``loss`` raises, but for
    ``EvaluationError``, ends the search and is passed on; with a storage, the same call goes on
    from there.

    Args:
        loss: Loss of a candidate on one prompt, such as LPIPS against the full run (Eq. 6).
        prompts: Number of prompts.
        steps: Step count, T.
        budget: Computed steps, B; from 3 to T-1.
        warm_starts: Candidates to evaluate first, the stage-1 schedule leading.
        fit: Gives candidates the coefficients that go with their steps; the plain slope by default.
        tail: How many steps after the last computed one there may be; none in the paper.
        settings: How to search.
        on_trial: Called after each candidate with what was found so far.
        on_prompt: Called after each prompt with the candidate, the prompts done and in all.
        stop: Asked between candidates whether to end early with the best so far.
        model_calls: Counts the model calls made so far, for the record of each trial.
        storage: Optuna storage; in memory by default.
        study_name: Name of the study in that storage; one that exists is continued.

    Raises:
        OTCacheError: If the arguments do not fit together or the first candidates all failed.
    """
    import optuna

    _check(steps, budget, warm_starts, settings, tail)
    with quiet_optuna():
        judge = Judge(loss, prompts, settings.p_threshold, settings.seed, on_prompt)
        study = optuna.create_study(
            storage=storage, study_name=study_name, load_if_exists=True, pruner=judge.pruner()
        )
        space = gap_space(settings.proposer, steps, budget, tail)
        search = _Search(judge, study, space, warm_starts, settings, fit)
        search.model_calls = model_calls or search.model_calls
        while not (stop is not None and stop() and search.result() is not None):
            if not search.run_one():
                break
            result = search.result()
            if on_trial is not None and result is not None:
                on_trial(result)
        result = search.result()
    if result is None:
        causes = [trial.failure for trial in search.finished()]
        raise EvaluationError(
            f"at least 1 candidate must give a picture but all {len(causes)} failed, the last one "
            f"with: {causes[-1] if causes else 'nothing tried'}"
        )
    return result
