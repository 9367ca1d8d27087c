"""One candidate's loss, prompt by prompt, given up as soon as a paired test says that it loses."""
# Wilcoxon's signed-rank test over problem instances, as Optuna's pruner has it.

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import EvaluationError
from ..gaps import Candidate

if TYPE_CHECKING:
    import optuna

Loss = Callable[[Candidate, int], float]
"""(candidate, prompt index) -> loss, lower is better.

Raises ``EvaluationError``, or returns NaN or infinity, where the candidate failed."""

OnPrompt = Callable[[Candidate, int, int], None]
"""Told of the candidate, the prompts done and the prompts in all."""


@dataclass(frozen=True)
class Judge:
    """Tries candidates on the prompts.

    Attributes:
        loss: Loss of a candidate on one prompt.
        prompts: Number of prompts.
        p_threshold: See ``SearchSettings``.
        seed: Seed of the order of prompts, which is another one for each trial.
        on_prompt: Told after each prompt.
    """

    loss: Loss
    prompts: int
    p_threshold: float
    seed: int
    on_prompt: OnPrompt | None = None

    def pruner(self) -> optuna.pruners.BasePruner:
        """The paired test."""
        import optuna

        if self.p_threshold <= 0.0:
            return optuna.pruners.NopPruner()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.pruners.WilcoxonPruner(p_threshold=self.p_threshold)

    def mean_loss(self, trial: optuna.Trial, candidate: Candidate, *, spare: bool) -> float:
        """Mean loss over the prompts, or an estimate above the best one where it was given up.

        Args:
            trial: Receives each loss, and ``given_up``.
            candidate: What to try.
            spare: Whether it is tried on every prompt in any case.

        Raises:
            EvaluationError: If a loss cannot be had.
        """
        losses: dict[int, float] = {}
        order = np.random.default_rng((self.seed, trial.number)).permutation(self.prompts)
        for done, prompt in enumerate(order.tolist(), 1):
            loss = float(self.loss(candidate, prompt))
            if not math.isfinite(loss):
                raise EvaluationError(f"the loss at prompt {prompt} must be finite but is {loss}.")
            losses[prompt] = loss
            trial.report(loss, prompt)
            if self.on_prompt is not None:
                self.on_prompt(candidate, done, self.prompts)
            estimate = None if spare or done == self.prompts else self._losing(trial, losses)
            if estimate is not None:
                trial.set_user_attr("given_up", True)
                return estimate
        return sum(losses.values()) / len(losses)

    def _losing(self, trial: optuna.Trial, losses: dict[int, float]) -> float | None:
        """An estimate of the mean loss if the candidate loses to the best by the paired test."""
        if self.p_threshold <= 0.0 or not trial.should_prune():
            return None
        best = trial.study.best_trial
        pairs = [(loss, best.intermediate_values.get(p, math.nan)) for p, loss in losses.items()]
        behind = sum(mine - its for mine, its in pairs) / len(pairs)
        # Never at or below the best, so that no estimate passes for one.
        return float(best.values[0]) + behind if behind > 0.0 else None
