"""Where the last call of each schedule that goes into an anchor comes.

The paper computes the last step. Where guidance is not strong, the velocity hardly changes any more
there, and where a scheduler ends with very short steps, neither does the state: a call is spent on
little. Somewhat earlier it serves the whole end, and the edge before it is shorter. Under strong
guidance the model takes errors back up to the last step. So the last call comes earlier as long as
a typical prompt's picture is closer for it. All calls before it stay, so that what is tried costs
one call a prompt, and no search has to pay for it: ``tail`` moves a whole shape, for many more.
"""
# Not in the paper.

from __future__ import annotations

import logging
from dataclasses import replace

from ..errors import EvaluationError
from ..gaps import Candidate
from .learning import typical_ratio
from .run import CalibrationRun
from .settings import Settings
from .tail import tails

logger = logging.getLogger("otcache")


def moves_last_calls(settings: Settings) -> bool:
    """Whether a calibration tries any: not without fits, nor in the paper's way."""
    fits_all = settings.fits_gains and settings.curve and not settings.middle_budget
    return fits_all and bool(tails(settings.steps))


def with_best_last_call(run: CalibrationRun, of: Candidate) -> Candidate:
    """The candidate with its last call where it serves best, or as it is where that is not known.

    Args:
        run: The calibration.
        of: Its last edge is fitted anew, all others stay.
    """
    if not moves_last_calls(run.settings) or run.stop():
        return of
    try:
        return _with_earlier_call(run, of)
    except EvaluationError as error:
        logger.warning("OTCache: an earlier last call could not be judged: %s", error)
        return of


def _with_earlier_call(run: CalibrationRun, of: Candidate) -> Candidate:
    best = of
    *before, _ = of.computed_steps
    for tail in tails(run.settings.steps):
        last = run.settings.steps - 1 - tail
        if last >= best.computed_steps[-1]:
            continue  # it is there already, or earlier
        if last <= before[-1]:
            break
        tried = run.fit_end(replace(best, computed_steps=(*before, last)))
        if typical_ratio(run.losses(tried), run.losses(best)) >= 0.0:
            break
        best = tried
    return best
