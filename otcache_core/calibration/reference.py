"""Which schedule of many calls the predictions are drawn towards: stage 1's path, or another.

The paper takes the shortest path. Its costs are those of full runs, in which no edge meets what the
edges before it have left missing, and there are several kinds of them: the one that does best at
the anchor's budget need not do so at many calls. The anchor was judged by pictures, and its own
shape, taken to many calls, may be closer there too. So LPIPS decides between that path, the
plainest one and the shape: of what each would predict half-way, where its steps and the anchor's
are mixed, and of itself.
"""
# Source of the path: OTCache, Sec. 3.3, Eq. 5. The choice is not in the paper.

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from math import inf

from ..errors import EvaluationError
from ..gaps import Candidate, Steps, candidate
from ..search.trials import SearchResult
from ..transport import realise, warping_curve
from .choices import log_losses
from .run import CalibrationRun
from .warm_starts import LATEST_REFERENCE

logger = logging.getLogger("otcache")

EARLIER = 1.15
"""Exponent by which the anchor's shape has more of its many steps early. With 1 it was level with
the path where with this it was closer."""

USUAL_RHO = 1.1
"""The exponent of predictions that kinds of references are compared by: about what calibrations
choose once they have one. With the paper's, steps of the anchor's shape crowd early, and it was
given up where it is the closest."""


def choose_reference(run: CalibrationRun, found: SearchResult) -> Candidate:
    """The schedule at the reference's budget, fitted.

    Args:
        run: The calibration.
        found: Of stage 2.
    """
    path = reference_path(run, found)
    if run.settings.judges_choices and not run.stop():
        try:
            return _closest(run, found, path)
        except EvaluationError as error:
            logger.warning("OTCache: kinds of references could not be judged: %s", error)
    return run.fit_well(candidate(path))


def _closest(run: CalibrationRun, found: SearchResult, path: Steps) -> Candidate:
    """Of three kinds the one that loses least half-way and at its own budget, by geometric mean."""
    plainest = run.graphs.path(run.settings.reference_budget)
    lost = dict.fromkeys((path, plainest, anchor_shape(run, found.best)), 0.0)
    for budget in run.settings.predicted_budgets[-1:]:
        lost = log_losses(run, "reference", _predicted_towards(run, found, budget, lost))
    fitted = {steps: run.fit_well(candidate(steps)) for steps in lost}
    there = log_losses(run, "reference", fitted)
    best = min(there, key=lambda steps: lost[steps] + there[steps])
    if best != path:
        logger.info("OTCache: another kind of reference is closer than the anchor's kind of path")
    return fitted[best]


def _predicted_towards(
    run: CalibrationRun, found: SearchResult, budget: int, kinds: Iterable[Steps]
) -> dict[Steps, Candidate]:
    """What the anchor would predict at a budget with each kind as its reference."""
    anchor = run.anchor(found)
    anchors = {steps: replace(anchor, reference=run.schedule(candidate(steps))) for steps in kinds}
    return {
        steps: run.predicted(of, budget, USUAL_RHO, fit=run.fit_well)
        for steps, of in anchors.items()
    }


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
