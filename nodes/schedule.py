"""Predict Cache Schedule: stage 3 on two sliders."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..otcache_core.documents.anchor import Anchor
from ..otcache_core.documents.fidelity import choose_budget
from ..otcache_core.documents.schedule import Schedule
from ..otcache_core.drawing.schedule_plot import render_schedule
from ..otcache_core.expectation import expectation
from ..otcache_core.transport import (
    DEFAULT_RHO,
    MAX_RHO,
    MIN_RHO,
    Prediction,
    choose_rho,
    predict_schedule,
)
from .sampling.origin import origin_of
from .shared.declare import declare
from .shared.newer import FASTER, found_by
from .shared.news import HIDDEN, place_of, result
from .shared.types import AnchorType, ScheduleType, image_from_picture


def caption(anchor: Anchor, prediction: Prediction, origin: str) -> str:
    """One line under the picture: budget, steps, rho and what to expect."""
    schedule = prediction.schedule
    stored = schedule in (anchor.anchor, anchor.reference)
    placed = "as calibrated" if stored else f"rho {prediction.rho:.2f} {origin}"
    if schedule.steps != anchor.steps:
        placed += f", transferred from {anchor.steps} steps"
    return (
        f"{schedule.budget} of {schedule.steps} steps run the model, "
        f"{schedule.steps / schedule.budget:.1f}x fewer model calls, {placed}, "
        f"{schedule.estimator}, {expectation(anchor, schedule)}"
    )


class PredictSchedule(io.ComfyNode):
    """Predicts the schedule for a budget from an anchor."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            AnchorType.Input("anchor"),
            io.Int.Input(
                "budget", default=10, min=2, max=100, display_mode=io.NumberDisplay.slider
            ),
            io.Float.Input(
                "rho",
                default=DEFAULT_RHO,
                min=MIN_RHO,
                max=MAX_RHO,
                step=0.05,
                display_mode=io.NumberDisplay.slider,
            ),
            io.Boolean.Input("anchor_rho", default=True),
            io.Int.Input("steps", default=0, min=0, max=1000),
            io.Float.Input("target_lpips", default=0.0, min=0.0, max=1.0, step=0.0001),
        ]
        outputs = [ScheduleType.Output("schedule"), io.Image.Output("picture")]
        return declare(
            "OTCachePredictSchedule", inputs, outputs, hidden=HIDDEN, **found_by(*FASTER)
        )

    @classmethod
    def execute(
        cls,
        anchor: Anchor,
        budget: int,
        rho: float,
        anchor_rho: bool,
        steps: int,
        target_lpips: float = 0.0,
    ) -> io.NodeOutput:
        budget = choose_budget(anchor.fidelity, budget, target_lpips)
        rho, from_anchor = choose_rho(anchor, rho, anchor_rho)
        origin = "from the anchor" if from_anchor else "from the slider"
        prediction = predict_schedule(anchor, budget, steps=steps or anchor.steps, rho=rho)
        schedule = prediction.schedule
        made_on = origin_of(anchor.architecture, anchor.sampling)

        def of_steps(steps: int) -> Schedule:
            """The prediction for the steps that a run turns out to have."""
            there = predict_schedule(anchor, min(budget, steps), steps=steps, rho=rho)
            return replace(there.schedule, origin=made_on)

        text = caption(anchor, prediction, origin)
        picture = render_schedule(
            steps=schedule.steps,
            computed_steps=schedule.computed_steps,
            curves={name: curve.tolist() for name, curve in prediction.curves.items()},
            caption=text,
        )
        return io.NodeOutput(
            replace(schedule, origin=made_on, of_steps=None if steps else of_steps),
            image_from_picture(picture),
            ui=result(text, place_of(cls.hidden), schedule.to_document()),
        )
