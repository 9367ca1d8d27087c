"""Whether the last call had better come before a run's last step, and up to which budget.

The paper computes the last step. Where guidance is not strong, the velocity hardly changes any more
there, and a call is spent on one step; a little earlier it serves the whole end, and all edges
before it are shorter. Under strong guidance the model takes errors back up to the last step, and
without it pictures can be off by half as much again; and where calls are many, none is missed
elsewhere. So LPIPS decides, at the anchor's budget and at predicted ones, as it does of learning: a
tail that was judged at the former alone has cost threefold at the latter.
"""
# Not in the paper.

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..documents.anchor import Anchor
from ..documents.schedule import longest_tail
from ..errors import EvaluationError
from ..gaps import Candidate, Fit, candidate, ending_at
from ..search.trials import SearchResult
from ..transport import predict_schedule
from .learning import HOPELESS, line_over_budgets, typical_ratio
from .run import CalibrationRun
from .settings import Settings

logger = logging.getLogger("otcache")

TAILS = (0.02, 0.04, 0.06)
"""Lengths that are tried at the anchor's budget, as shares of a run, as long as each is better than
the one before. At predicted budgets it is the first one."""


@dataclass(frozen=True)
class Tail:
    """Which tail is left.

    Attributes:
        best: The anchor's schedule with its tail.
        whole: The anchor without one, which predicts all other schedules.
        last: Where the last call of these is.
        until: The highest budget with a tail.
    """

    best: Candidate
    whole: Anchor
    last: int
    until: int

    def predicted(self, run: CalibrationRun, budget: int, fit: Fit) -> Candidate:
        """What is predicted at a budget, fitted and with the tail that it is to have."""
        steps = predict_schedule(self.whole, budget).schedule.computed_steps
        if budget > self.until or steps[-1] <= self.last:
            return run.predicted(self.whole, budget, fit=fit)
        return fit(candidate(ending_at(steps, self.last)))

    def found(self, run: CalibrationRun, found: SearchResult) -> SearchResult:
        """What stage 2 found, with the tail."""
        losses = run.losses(self.best).values()
        return replace(found, best=self.best, best_loss=float(np.mean(list(losses))))


def tails(steps: int) -> list[int]:
    """Lengths in steps that are tried in a run of so many, the shortest first."""
    lengths = {max(1, round(share * steps)) for share in TAILS}
    return sorted(length for length in lengths if length <= longest_tail(steps))


def leaves_tails(settings: Settings) -> bool:
    """Whether a calibration tries any: not without a search or fits, nor in the paper's way."""
    return settings.judges_choices and bool(tails(settings.steps))


def choose_tail(run: CalibrationRun, anchor: Anchor, found: SearchResult) -> Tail | None:
    """The tail that wins from the anchor's budget up to some other, or ``None`` for none.

    Args:
        run: The calibration.
        anchor: Has the search's best as its anchor, and predicts the schedules of other budgets.
        found: Of stage 2.
    """
    if not leaves_tails(run.settings) or run.stop():
        return None
    try:
        best, ratio = _best_at_anchor(run, found.best)
        if ratio >= 0.0:
            return None
        last = run.settings.steps - 1 - tails(run.settings.steps)[0]
        tail = Tail(best, anchor, last, run.settings.reference_budget)
        ratios = {run.settings.anchor_budget: ratio} | _ratios_above(run, tail)
    except EvaluationError as error:
        logger.warning("OTCache: a tail could not be judged: %s", error)
        return None
    until = last_winning_budget(ratios)
    if until is None:
        return None
    logger.info(
        "OTCache: up to %d calls the last one is not at the last step, but at step %d",
        until, best.computed_steps[-1],
    )  # fmt: skip
    return replace(tail, until=until)


def last_winning_budget(ratios: Mapping[int, float]) -> int | None:
    """Up to which budget a tail wins, ``None`` where it does not at the lowest.

    Args:
        ratios: By budget, the logarithm of what schedules with a tail lose over those without.
    """
    line = line_over_budgets(ratios)
    wins = [budget for budget in range(min(ratios), max(ratios) + 1) if line(budget) < 0.0]
    return max(wins) if min(ratios) in wins else None


def _best_at_anchor(run: CalibrationRun, best: Candidate) -> tuple[Candidate, float]:
    """The anchor's best tail, and the logarithm of what it loses over the anchor without one."""
    without, last, ratio = best, run.settings.steps - 1, 0.0
    for tail in tails(run.settings.steps):
        if without.computed_steps[-1] <= last - tail:
            continue  # it has a longer one already
        tried = run.fit(candidate(ending_at(without.computed_steps, last - tail)))
        if typical_ratio(run.losses(tried), run.losses(best)) >= 0.0:
            break
        best, ratio = tried, typical_ratio(run.losses(tried), run.losses(without))
    return best, ratio


def _ratios_above(run: CalibrationRun, tail: Tail) -> dict[int, float]:
    """The same at predicted budgets, upwards until a tail is hopeless."""
    ratios: dict[int, float] = {}
    for budget in run.settings.predicted_budgets:
        tried, predicted = tail.predicted(run, budget, run.fit), run.predicted(tail.whole, budget)
        ratios[budget] = typical_ratio(run.losses(tried), run.losses(predicted))
        if ratios[budget] > HOPELESS or run.stop():
            break
    return ratios
