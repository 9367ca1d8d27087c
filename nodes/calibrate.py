"""Calibrate OT Anchor: stages 1 and 2 inside a workflow."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io

from ..otcache_core.calibration.memo import PLACES
from ..otcache_core.documents.schedule import CALIBRATED_ESTIMATORS
from ..otcache_core.errors import OTCacheError
from ..otcache_core.packages import missing_packages, require_packages
from ..otcache_core.search.proposals import PROPOSERS
from .calibration.job import CalibrationRequest, run_calibration
from .calibration.runner import Job
from .calibration.sizes import MAX_PROMPTS, SIZES, settings_of_size
from .shared.declare import declare
from .shared.newer import RARE, found_by
from .shared.news import HIDDEN, place_of
from .shared.types import AnchorType

NEEDS = ("Calibrate OT Anchor", "lpips", "torchvision", "optuna", "cmaes")
"""Who needs which packages."""


class CalibrateAnchor(io.ComfyNode):
    """Searches the anchor of a model and saves it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.Model.Input("model"),
            io.Vae.Input("vae"),
            io.Conditioning.Input("positive"),
            io.Conditioning.Input("negative"),
            io.Latent.Input("latent_image"),
            io.String.Input("name", default="my model"),
            io.Int.Input("steps", default=50, min=10, max=1000),
            io.Float.Input("cfg", default=1.0, min=0.0, max=100.0, step=0.1),
            io.Combo.Input(
                "sampler_name", options=comfy.samplers.KSampler.SAMPLERS, default="euler"
            ),
            io.Combo.Input(
                "scheduler", options=comfy.samplers.KSampler.SCHEDULERS, default="simple"
            ),
            io.Int.Input("reference_budget", default=20, min=4, max=999, **RARE),
            io.Int.Input("anchor_budget", default=8, min=3, max=998),
            io.Int.Input("trials", default=200, min=1, max=100_000, **RARE),
            io.Int.Input("patience", default=50, min=1, max=100_000, **RARE),
            io.Int.Input(
                "seed", default=0, min=0, max=0xFFFFFFFF, control_after_generate=False, **RARE
            ),
            io.Combo.Input(
                "estimator",
                options=list(CALIBRATED_ESTIMATORS),
                default=CALIBRATED_ESTIMATORS[0],
                **RARE,
            ),
            io.Combo.Input("size", options=list(SIZES), default="standard"),
            io.Combo.Input("search", options=list(PROPOSERS), default=PROPOSERS[0], **RARE),
            io.Int.Input("middle_budget", default=0, min=0, max=998, **RARE),
            io.Int.Input("minutes", default=0, min=0, max=100_000),
            io.Combo.Input("memo", options=list(PLACES), default=PLACES[0], **RARE),
        ]
        outputs = [
            AnchorType.Output("anchor"),
            io.Image.Output("report"),
            io.String.Output("report_json"),
        ]
        return declare(
            "OTCacheCalibrateAnchor",
            inputs,
            outputs,
            is_input_list=True,
            is_output_node=True,
            hidden=[*HIDDEN, io.Hidden.prompt],
            **found_by("tune", "optimize", "search", "OTCache"),
        )

    @classmethod
    def validate_inputs(cls, name: list[str]) -> bool | str:
        # Before a model is loaded. ComfyUI asks only those that name an input.
        return missing_packages(*NEEDS) or True

    @classmethod
    def execute(cls, positive: list[Any], negative: list[Any], **lists: Any) -> io.NodeOutput:
        require_packages(*NEEDS)
        one = {name: values[0] for name, values in lists.items()}
        if len(positive) > MAX_PROMPTS:
            raise OTCacheError(
                f"calibration takes at most {MAX_PROMPTS} prompts but got {len(positive)}."
            )
        size = SIZES[one.get("size", "custom")]
        settings = settings_of_size(size, one)
        job = Job(
            one["model"], one["vae"], negative, one["latent_image"], one["steps"], one["cfg"],
            one["sampler_name"], one["scheduler"], one["seed"],
        )  # fmt: skip
        prompts = positive[: size.prompts] if size.prompts else positive
        request = CalibrationRequest(
            job=job,
            positive=prompts,
            settings=settings,
            name=one["name"],
            memo=one.get("memo", PLACES[0]),
            minutes=one.get("minutes", 0),
            shown_on=place_of(cls.hidden),
            prompt=cls.hidden.prompt if cls.hidden else None,
        )
        return run_calibration(request)
