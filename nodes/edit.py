"""Edit Cache Schedule: a schedule changed step by step, and as a mask in and out."""

from __future__ import annotations

from comfy_api.latest import io

from ..otcache_core.documents.mask import write_mask
from ..otcache_core.documents.schedule import Schedule
from ..otcache_core.edit import edit_schedule
from ..otcache_core.message import Message
from .sampler import NO_SCHEDULE
from .shared.declare import declare
from .shared.newer import FASTER, found_by
from .shared.news import HIDDEN, place_of, result
from .shared.types import ScheduleType


class EditSchedule(io.ComfyNode):
    """A schedule whose computed steps are written by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.String.Input("mask", default="", multiline=True),
            ScheduleType.Input("schedule", optional=True),
        ]
        outputs = [ScheduleType.Output("edited_schedule"), io.String.Output("edited_mask")]
        return declare(
            "OTCacheEditSchedule", inputs, outputs, hidden=HIDDEN, **found_by("mask", *FASTER)
        )

    @classmethod
    def execute(cls, mask: str, schedule: Schedule | None = None) -> io.NodeOutput:
        place = place_of(cls.hidden)
        edited = edit_schedule(schedule, mask)
        if edited is None:
            return io.NodeOutput(None, "", ui=result(NO_SCHEDULE, place))
        said = Message(
            "calls_of_steps",
            "{budget} calls of {steps} steps, {estimator}",
            budget=edited.budget,
            steps=edited.steps,
            estimator=edited.estimator,
        )
        # The page shows it where it cannot know what came in: whether it was edited matters there.
        report = {**edited.to_document(), "edited": edited is not schedule}
        return io.NodeOutput(edited, write_mask(edited), ui=result(said, place, report))
