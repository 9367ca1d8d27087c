"""OTCache Sigmas: a schedule's steps as noise levels, for solvers that take large steps well."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..otcache_core.documents.schedule import Schedule
from ..otcache_core.errors import OTCacheError
from ..otcache_core.message import Message
from ..otcache_core.run_time.run_plan import fit_to_run
from .shared.declare import declare
from .shared.newer import FASTER, found_by
from .shared.news import HIDDEN, place_of, result
from .shared.types import ScheduleType

NO_SCHEDULE = Message("all_levels_kept", "No schedule: all levels kept.")


class Sigmas(io.ComfyNode):
    """Keeps the noise levels of computed steps only."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [io.Sigmas.Input("sigmas"), ScheduleType.Input("schedule", optional=True)]
        return declare(
            "OTCacheSigmas",
            inputs,
            [io.Sigmas.Output("kept_sigmas")],
            hidden=HIDDEN,
            **found_by(*FASTER),
        )

    @classmethod
    def execute(cls, sigmas: torch.Tensor, schedule: Schedule | None = None) -> io.NodeOutput:
        place = place_of(cls.hidden)
        if schedule is None:
            return io.NodeOutput(sigmas, ui=result(NO_SCHEDULE, place))
        if len(sigmas) < 2:
            raise OTCacheError(
                f"`sigmas` must hold at least 2 levels but has {len(sigmas)}: connect the output "
                "of a scheduler node."
            )
        plan = fit_to_run(schedule, sigmas.tolist())
        kept = sigmas[[*plan.schedule.computed_steps, len(sigmas) - 1]]
        budget, steps = plan.schedule.budget, len(sigmas) - 1
        said = Message("levels_kept", "{kept} of {steps} steps kept", kept=budget, steps=steps)
        return io.NodeOutput(kept, ui=result([said, *filter(None, [plan.note])], place))
