"""Trials of stage 2, as they are read off an Optuna study."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from ..documents.schedule import COEFFICIENTS, coefficients
from ..gaps import Candidate, candidate

if TYPE_CHECKING:
    import optuna

WORKER = uuid4().hex[:12]
"""This process's name in a study."""


@dataclass(frozen=True)
class Trial:
    """One finished candidate.

    Attributes:
        candidate: What was tried.
        loss: Mean loss over the prompts; an estimate where it was given up, NaN where it failed.
        phase: ``"warm start"``, ``"search"`` or ``"polish"``.
        losses: Loss by prompt, for the prompts it was tried on.
        given_up: Whether it was losing and not tried on all prompts.
        failure: Why it failed, or empty.
        model_calls: Guided predictions spent on it.
    """

    candidate: Candidate
    loss: float
    phase: str
    losses: dict[int, float] = field(default_factory=dict, repr=False)
    given_up: bool = False
    failure: str = ""
    model_calls: int = 0

    @property
    def complete(self) -> bool:
        """Whether it was tried on every prompt and did not fail."""
        return not self.given_up and not self.failure


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        best: The best candidate.
        best_loss: Its mean loss.
        warm_start_loss: Loss of the first warm start; NaN where it failed or is not known yet.
        trials: Every distinct candidate in the order in which they finished.
    """

    best: Candidate
    best_loss: float
    warm_start_loss: float
    trials: tuple[Trial, ...] = field(default=(), repr=False)

    @property
    def model_calls(self) -> int:
        """Guided predictions spent on all trials."""
        return sum(trial.model_calls for trial in self.trials)

    def top(self, count: int = 5) -> list[Trial]:
        """The ``count`` best distinct candidates that were tried on every prompt, best first."""
        return sorted((t for t in self.trials if t.complete), key=lambda t: t.loss)[:count]

    def trial(self, of: Candidate) -> Trial | None:
        """The trial of a candidate."""
        return next((t for t in self.trials if t.candidate == of), None)


def from_roots(found: SearchResult, warm_start: Candidate) -> SearchResult:
    """The result of a search over square roots of losses, with losses as they were.

    Args:
        found: What the search found; its best candidate stays the best.
        warm_start: The first warm start.
    """
    trials = tuple(map(_squared, found.trials))
    means = {t.candidate: t.loss for t in trials}
    return SearchResult(found.best, means[found.best], means.get(warm_start, math.nan), trials)


def _squared(trial: Trial) -> Trial:
    losses = {prompt: root * root for prompt, root in trial.losses.items()}
    mean = sum(losses.values()) / len(losses) if trial.complete else trial.loss * trial.loss
    return replace(trial, loss=mean, losses=losses)


def ended_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Every ended trial in the order in which they ended, repeated proposals too."""
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)
    listed = study.get_trials(deepcopy=False, states=states)
    return sorted(listed, key=lambda t: (t.datetime_complete or t.datetime_start, t.number))


def finished_trials(study: optuna.Study) -> list[Trial]:
    """Every distinct finished candidate in the order in which they finished."""
    distinct: dict[Candidate, Trial] = {}
    for ended in ended_trials(study):
        trial = None if "duplicate" in ended.user_attrs else _read(ended)
        if trial is not None:
            distinct.setdefault(trial.candidate, trial)
    return list(distinct.values())


def running_candidates(study: optuna.Study) -> set[Candidate]:
    """Candidates that some worker, perhaps a dead one, is on."""
    return {_candidate(t) for t in _running(study)}


def has_company(study: optuna.Study, since: int) -> bool:
    """Whether another worker began a trial of this number or a later one."""
    newest = study.get_trials(deepcopy=False)[since:]
    return any(t.user_attrs.get("candidate", {}).get("worker", WORKER) != WORKER for t in newest)


def taken_before(trial: optuna.Trial, of: Candidate) -> bool:
    """Whether another running trial, begun before this one, is about the same candidate."""
    return any(t.number < trial.number and _candidate(t) == of for t in _running(trial.study))


def _running(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The running trials whose candidates are noted."""
    import optuna

    listed = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    return [t for t in listed if "candidate" in t.user_attrs]


def note_candidate(trial: optuna.Trial, of: Candidate, phase: str) -> None:
    """Writes into a trial what it is about, at once: others read it while it runs."""
    note = {
        "computed_steps": list(of.computed_steps),
        **coefficients(of),
        "phase": phase,
        "worker": WORKER,
    }
    trial.set_user_attr("candidate", note)


def _candidate(trial: optuna.trial.FrozenTrial) -> Candidate:
    note = trial.user_attrs["candidate"]
    return candidate(tuple(note["computed_steps"]), **{name: note[name] for name in COEFFICIENTS})


def _read(trial: optuna.trial.FrozenTrial) -> Trial | None:
    """A finished trial of the study; ``None`` for one that was cut short and may come again."""
    attributes = trial.user_attrs
    failure = attributes.get("failure", "")
    if trial.value is None and not failure:
        return None
    return Trial(
        _candidate(trial),
        math.nan if trial.value is None else trial.value,
        attributes["candidate"]["phase"],
        dict(trial.intermediate_values),
        bool(attributes.get("given_up", False)),
        failure,
        attributes.get("model_calls", 0),
    )
