"""Which schedule of many calls the predictions are drawn towards: stage 1's path, or another.

The paper takes the shortest path. Its costs are those of full runs, in which no edge meets what the
edges before it have left missing. The anchor was judged by pictures, and where its own shape, taken
to many calls, is plainly closer there, it serves better than the path at all budgets between; on
other models it is several times as far, so LPIPS at the reference's budget decides.
"""
# Source of the path: OTCache, Sec. 3.3, Eq. 5. The choice is not in the paper.

from __future__ import annotations

import logging
from math import inf

from ..errors import EvaluationError
from ..gaps import Candidate, Steps, candidate
from ..search.trials import SearchResult
from ..transport import realise, warping_curve
from .run import CalibrationRun
from .warm_starts import LATEST_REFERENCE

logger = logging.getLogger("otcache")

EARLIER = 1.15
"""Exponent by which the anchor's shape has more of its many steps early. With 1 it was level with
the path where with this it was closer."""


def choose_reference(run: CalibrationRun, found: SearchResult) -> Candidate:
    """The schedule at the reference's budget, fitted.

    Args:
        run: The calibration.
        found: Of stage 2.
    """
    path = run.fit_well(candidate(reference_path(run, found)))
    if not run.settings.judges_choices or run.stop():
        return path
    shape = run.fit_well(candidate(anchor_shape(run, found.best)))
    try:
        best = min((path, shape), key=run.badness)
    except EvaluationError as error:
        logger.warning("OTCache: the anchor's shape at many calls could not be judged: %s", error)
        return path
    if best != path:
        budget = run.settings.reference_budget
        logger.info("OTCache: at %d calls the anchor's shape is closer than the path", budget)
    return best


def anchor_shape(run: CalibrationRun, best: Candidate) -> Steps:
    """The anchor's own curve, sampled as often as the reference has calls."""
    steps = run.settings.steps
    curve = warping_curve(best.computed_steps, steps)
    return realise(curve, run.settings.reference_budget, steps, EARLIER)


def reference_path(run: CalibrationRun, found: SearchResult) -> Steps:
    """Stage 1's path at the reference's budget, of the kind that does better at the anchor's.

    But not of the latest kind: with many calls what early edges leave missing counts for more.
    """
    low, high = run.settings.anchor_budget, run.settings.reference_budget
    losses = {
        path: min((t.loss for t in found.trials if t.candidate.computed_steps == path), default=inf)
        for path in run.graphs.paths(low)
    }
    steps = found.best.computed_steps
    best = steps if steps in losses else min(losses, key=lambda path: losses[path])
    paths = run.graphs.paths(high, LATEST_REFERENCE)
    kinds = list(zip(run.graphs.paths(low), paths, strict=True))
    # Kinds that agree at the low budget may differ at the high one: the first one's counts.
    return dict(reversed(kinds))[best]
