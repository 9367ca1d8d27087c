"""Whether the last call had better come before a run's last step.

The paper computes the last step. Where guidance is not strong, the velocity hardly changes any more
there, and where a scheduler ends with very short steps, neither does the state: a call is spent on
little. Somewhat earlier it serves the whole end, and the edge before it is shorter. Under strong
guidance the model takes errors back up to the last step, and without it pictures can be off by half
as much again. So LPIPS decides, for each schedule that goes into an anchor by itself: the last call
comes earlier as long as a typical prompt's picture is closer for it. All calls before it are the
same, so that what is tried costs one call a prompt.
"""
# Not in the paper.

from __future__ import annotations

import logging
from dataclasses import replace

from ..documents.schedule import longest_tail
from ..errors import EvaluationError
from ..gaps import Candidate
from .learning import typical_ratio
from .run import CalibrationRun
from .settings import Settings

logger = logging.getLogger("otcache")

TAILS = (0.02, 0.04, 0.06)
"""Lengths that are tried, as shares of a run, as long as each is better than the one before."""


def tails(steps: int) -> list[int]:
    """Lengths in steps that are tried in a run of so many, the shortest first."""
    lengths = {max(1, round(share * steps)) for share in TAILS}
    return sorted(length for length in lengths if length <= longest_tail(steps))


def leaves_tails(settings: Settings) -> bool:
    """Whether a calibration tries any: not without fits, nor in the paper's way."""
    fits_all = settings.fits_gains and settings.curve and not settings.middle_budget
    return fits_all and bool(tails(settings.steps))


def with_tail(run: CalibrationRun, of: Candidate) -> Candidate:
    """The candidate with its last call where it serves best, or as it is where that is not known.

    Args:
        run: The calibration.
        of: Its last edge is fitted anew, all others stay.
    """
    if not leaves_tails(run.settings) or run.stop():
        return of
    try:
        return _closest(run, of)
    except EvaluationError as error:
        logger.warning("OTCache: a tail could not be judged: %s", error)
        return of


def _closest(run: CalibrationRun, of: Candidate) -> Candidate:
    best = of
    *before, _ = of.computed_steps
    for tail in tails(run.settings.steps):
        last = run.settings.steps - 1 - tail
        if last >= best.computed_steps[-1]:
            continue  # it has a longer one already
        if last <= before[-1]:
            break
        tried = run.fit_end(replace(best, computed_steps=(*before, last)))
        if typical_ratio(run.losses(tried), run.losses(best)) >= 0.0:
            break
        best = tried
    return best
