"""OTCache Sampler and Apply OTCache: two ways into the same sampling."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import comfy.samplers
from comfy_api.latest import io

import nodes as comfy_nodes

from ..otcache_core.documents.schedule import Schedule
from ..otcache_core.message import Message
from .sampling.host import RunStatistics, apply_schedule, has_schedule
from .shared.declare import declare
from .shared.newer import FASTER, found_by
from .shared.news import HIDDEN, place_now, place_of, result, show_text
from .shared.types import ScheduleType

SEEN_ELSEWHERE = Message("seen_elsewhere", "statistics are on Apply OTCache")
NOTHING_SAMPLED = Message("nothing_sampled", "nothing was sampled")


def report(done: RunStatistics) -> dict[str, Any]:
    """Statistics as plain values, for the front end and for scripts over the API."""
    values = asdict(done)
    del values["computed_seconds"]
    return values | {"speedup": done.speedup, "note": done.note}


class Sampler(io.ComfyNode):
    """KSampler with a schedule."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.Model.Input("model"),
            io.Int.Input(
                "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True
            ),
            io.Int.Input("steps", default=50, min=1, max=1000),
            io.Float.Input("cfg", default=1.0, min=0.0, max=100.0, step=0.1, round=0.01),
            io.Combo.Input(
                "sampler_name", options=comfy.samplers.KSampler.SAMPLERS, default="euler"
            ),
            io.Combo.Input(
                "scheduler", options=comfy.samplers.KSampler.SCHEDULERS, default="simple"
            ),
            io.Conditioning.Input("positive"),
            io.Conditioning.Input("negative"),
            io.Latent.Input("latent_image"),
            io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01),
            ScheduleType.Input("schedule", optional=True),
        ]
        return declare(
            "OTCacheSampler",
            inputs,
            [io.Latent.Output("latent"), io.String.Output("statistics")],
            hidden=HIDDEN,
            **found_by(*FASTER),
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Any,
        negative: Any,
        latent_image: dict[str, Any],
        denoise: float,
        schedule: Schedule | None = None,
    ) -> io.NodeOutput:
        finished: list[RunStatistics] = []
        cached = model
        if schedule is not None or not has_schedule(model):
            # A full schedule is the plain sampler, and brings the same statistics.
            plan = Schedule.full(steps) if schedule is None else schedule
            cached = apply_schedule(model, plan, finished.append, scheduler=scheduler)
        (latent,) = comfy_nodes.common_ksampler(
            cached, seed, steps, cfg, sampler_name, scheduler, positive, negative, latent_image,
            denoise=denoise,
        )  # fmt: skip
        if schedule is None and finished:
            finished[-1].notes.clear()  # nothing was asked to be skipped
        unseen = SEEN_ELSEWHERE if cached is model else NOTHING_SAMPLED
        said = finished[-1].lines() if finished else [unseen]
        ui = result(said, place_of(cls.hidden), *map(report, finished))
        return io.NodeOutput(latent, "\n".join(said), ui=ui)


NO_SCHEDULE = Message("no_schedule", "No schedule is connected: every step runs the model.")


class ApplySchedule(io.ComfyNode):
    """A MODEL that samples by a schedule in any sampler node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [io.Model.Input("model"), ScheduleType.Input("schedule", optional=True)]
        return declare(
            "OTCacheApply",
            inputs,
            [io.Model.Output("cached_model")],
            hidden=HIDDEN,
            **found_by(*FASTER),
        )

    @classmethod
    def execute(cls, model: Any, schedule: Schedule | None = None) -> io.NodeOutput:
        place = place_of(cls.hidden)
        if schedule is None:
            show_text(NO_SCHEDULE, place)
            return io.NodeOutput(model)

        def show(done: RunStatistics) -> None:
            show_text(done.lines(), place_now(place), report(done))

        return io.NodeOutput(apply_schedule(model, schedule, show))
