"""Whether, and from how many model calls on, runs had better learn their coefficients themselves.

Coefficients that are fitted beforehand are the same for every picture. From some budget on, at high
guidance, those that a run learns from its own computed steps are closer. LPIPS on the calibration
prompts says where: at the reference's budget first, then further down.

Means do not say it. One picture that tips over into another composition weighs more than all others
together, so that each budget counts by what learning changes for a typical prompt, and neighbouring
budgets speak for each other: what it changes is taken to fall or rise evenly with the logarithm of
the budget.

The first runs that learn also show how steady the model is (``run_time.slope_trust``), which the
later ones and the anchor know from then on.
"""
# Not in the paper, whose estimator is the same at every budget.

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..documents.anchor import Anchor, LearnedInRuns
from ..documents.fidelity import FidelityPoint
from ..errors import EvaluationError
from ..gaps import Candidate, candidate
from ..transport import predict_schedule
from .run import CalibrationRun

logger = logging.getLogger("otcache")

EVENNESS = 0.5
"""How far steps move to even spacing for runs that learn. On the hard models of the proving ground
half of the way is better than none or all of it."""

HOPELESS = 0.2
"""From which logarithm of a ratio of losses on no lower budget is judged."""

SHOWN_BY = 4
"""From so many prompts' runs a model's steadiness is taken."""

ALIKE = 1e-4
"""Losses below are as good as none."""

Losses = Mapping[int, float]
"""Loss by prompt."""


def choose_learning(run: CalibrationRun, anchor: Anchor, given: Mapping[int, Losses]) -> Anchor:
    """The anchor, told from which budget on runs learn; its fidelity curve follows.

    Args:
        run: The calibration.
        anchor: Predicts the schedules.
        given: By budget, what the schedules with fitted coefficients lose.
    """
    judged: dict[int, Losses] = {}
    ratios: dict[int, float] = {}
    learned = LearnedInRuns(1, EVENNESS)
    for budget in run.settings.judged_budgets:
        if budget not in given or run.stop():
            break
        try:
            judged[budget] = _losses_learned(run, anchor, budget, learned)
        except EvaluationError as error:
            logger.warning("OTCache: learning in runs could not be judged: %s", error)
            break
        ratios[budget] = typical_ratio(judged[budget], given[budget])
        if ratios[budget] > HOPELESS:
            break
        if len(judged) == 1:
            learned = _with_steadiness(run, anchor, budget, learned)
    begin = switching_budget(ratios)
    if begin is None:
        return anchor
    return _with_learning(run, anchor, replace(learned, from_budget=begin), judged)


def typical_ratio(losses: Losses, others: Losses) -> float:
    """Logarithm of the ratio of two losses for a typical prompt.

    It is the median of the means of all pairs of prompts (Hodges and Lehmann), what Wilcoxon's test
    is about: as little moved by a picture that tips over as a median, and more certain.
    """
    prompts = sorted({*losses} & {*others})
    ratios = _logs(losses, prompts) - _logs(others, prompts)
    i, j = np.triu_indices(len(ratios))
    return float(np.median((ratios[i] + ratios[j]) / 2.0))


def _logs(losses: Losses, prompts: Sequence[int]) -> NDArray[np.float64]:
    logarithms: NDArray[np.float64] = np.log([max(losses[prompt], ALIKE) for prompt in prompts])
    return logarithms


def switching_budget(ratios: Mapping[int, float]) -> int | None:
    """From which budget on learning wins, ``None`` for nowhere.

    Args:
        ratios: By budget, the logarithm of what learning loses over what fitted coefficients lose.
    """
    if not ratios:
        return None
    line = line_over_budgets(ratios)
    wins = [budget for budget in range(min(ratios), max(ratios) + 1) if line(budget) < 0.0]
    return min(wins) if max(ratios) in wins else None


def line_over_budgets(ratios: Mapping[int, float]) -> Callable[[int], float]:
    """The line through ratios over the logarithm of their budgets, of which there is at least one.

    Args:
        ratios: By budget, the logarithm of what one way loses over what another loses.
    """
    degree = min(1, len(ratios) - 1)
    line = np.polyfit(np.log(list(ratios)), list(ratios.values()), degree)
    return lambda budget: float(np.polyval(line, np.log(budget)))


def _candidate(anchor: Anchor, budget: int, learned: LearnedInRuns) -> Candidate:
    """The steps of the anchor's prediction for runs that learn."""
    learning = replace(anchor, learned_in_runs=replace(learned, from_budget=budget))
    return candidate(predict_schedule(learning, budget).schedule.computed_steps)


def _losses_learned(
    run: CalibrationRun, anchor: Anchor, budget: int, learned: LearnedInRuns
) -> Losses:
    """What the anchor's prediction for runs that learn loses at this budget."""
    return run.losses_learned(_candidate(anchor, budget, learned), learned)


def _with_steadiness(
    run: CalibrationRun, anchor: Anchor, budget: int, learned: LearnedInRuns
) -> LearnedInRuns:
    """What is learned, with what the runs just judged have shown: the memo still knows them."""
    try:
        prompts = min(run.runner.prompts, SHOWN_BY)
        shown = run.steadiness(_candidate(anchor, budget, learned), prompts)
    except EvaluationError as error:
        logger.warning("OTCache: how steady the model is could not be seen: %s", error)
        return learned
    if not shown:
        return learned
    return replace(learned, steadiness=round(float(np.mean(shown)), 4), pictures=len(shown))


def _with_learning(
    run: CalibrationRun, anchor: Anchor, learned: LearnedInRuns, judged: Mapping[int, Losses]
) -> Anchor:
    """The anchor with learning, its curve with what that loses where it is known.

    Above the judged budgets it is measured now, or the curve would end earlier than it did.
    """
    anchor, losses = replace(anchor, learned_in_runs=learned), dict(judged)
    points = [point for point in anchor.fidelity if point.budget < learned.from_budget]
    for budget in (point.budget for point in anchor.fidelity if point.budget > max(judged)):
        try:
            losses[budget] = _losses_learned(run, anchor, budget, learned)
        except EvaluationError as error:
            logger.warning("OTCache: a loss with learning could not be had: %s", error)
    begin = learned.from_budget
    points += [FidelityPoint.of(b, losses[b].values()) for b in sorted(losses) if b >= begin]
    return replace(anchor, fidelity=tuple(points))
