"""What Predict Cache Schedule draws on itself: a prediction as plain JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...otcache_core.documents.anchor import Anchor
from ...otcache_core.documents.fidelity import choose_budget
from ...otcache_core.documents.fields import Fields
from ...otcache_core.documents.schedule import MAX_STEPS, Schedule
from ...otcache_core.errors import OTCacheError
from ...otcache_core.expectation import expected_loss
from ...otcache_core.message import document
from ...otcache_core.transport import (
    MAX_RHO,
    MIN_RHO,
    RESOLUTION,
    Prediction,
    choose_rho,
    predict_schedule,
)
from .advice import Planned, notes_on

CURVE_POINTS = 101


def _expected(anchor: Anchor, schedule: Schedule) -> dict[str, Any] | None:
    """The loss to expect of a schedule, where the anchor has measured it."""
    expected = expected_loss(anchor, schedule)
    if expected is None:
        return None
    typical, mean = expected
    metric = anchor.objective.metric if anchor.objective is not None else "lpips"
    return {"metric": metric, "typical": typical, "mean": mean}


def _curves(anchor: Anchor, prediction: Prediction) -> list[dict[str, Any]]:
    """The warping curves, thinned to what a node's width can show; the prediction comes last."""
    every = (RESOLUTION - 1) // (CURVE_POINTS - 1)
    budgets = (anchor.reference.budget, anchor.anchor.budget, prediction.schedule.budget)
    return [
        {"budget": budget, "steps": np.round(curve[::every], 3).tolist()}
        for budget, curve in zip(budgets, prediction.curves.values(), strict=True)
    ]


def view_of(anchor: Anchor, fields: Fields) -> dict[str, Any]:
    """Predicts what the node would, from untrusted slider values.

    Args:
        anchor: The anchor at the node's input.
        fields: ``budget``, ``steps``, ``rho`` and ``anchor_rho`` as the node has them; 0 steps are
            those of the run where the page knows them, else the anchor's.

    Returns:
        What the sliders may say, under ``allowed``, and the prediction; or, in place of it, under
        ``refused`` why there is none for these values and what to do, and under ``said`` the same
        as a message's document.

    Raises:
        OTCacheError: If a value is of the wrong type or out of any range.
    """
    steps = fields.integer("steps", 0, MAX_STEPS) or anchor.steps
    slider_budget = fields.integer("budget", 1, MAX_STEPS)
    target = fields.number("target_lpips", 0.0, 1.0) if "target_lpips" in fields else 0.0
    slider = fields.number("rho", MIN_RHO, MAX_RHO)
    rho, from_anchor = choose_rho(anchor, slider, fields.flag("anchor_rho"))
    allowed = {
        "lowest": min(anchor.anchor.budget, steps), "highest": steps,
        "budget": target == 0.0, "rho": not from_anchor,
    }  # fmt: skip
    try:
        budget = choose_budget(anchor.fidelity, slider_budget, target)
        prediction = predict_schedule(anchor, budget, steps=steps, rho=rho)
    except OTCacheError as error:
        said = document(error.args[0])
        return {"allowed": allowed, "refused": str(error), "said": said}
    return {
        **_drawn(anchor, prediction),
        "allowed": allowed,
        "by_target": target or None,
        "rho_from_anchor": from_anchor,
        "notes": notes_on(steps, prediction.schedule.budget, Planned(steps=steps)),
    }


def _drawn(anchor: Anchor, prediction: Prediction) -> dict[str, Any]:
    schedule = prediction.schedule
    return {
        "steps": schedule.steps,
        "budget": schedule.budget,
        "computed_steps": list(schedule.computed_steps),
        "look_back": list(schedule.look_back),
        "estimator": schedule.estimator,
        "sigmas": None if schedule.sigmas is None else list(schedule.sigmas),
        "rho": round(prediction.rho, 4),
        "as_calibrated": schedule in (anchor.anchor, anchor.reference),
        "speedup": schedule.steps / schedule.budget,
        "expected": _expected(anchor, schedule),
        "curves": _curves(anchor, prediction),
        "anchor": {"name": anchor.name, "steps": anchor.steps},
    }
