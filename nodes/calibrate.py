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
from .shared.newer import RARE, found_by
from .shared.news import HIDDEN, place_of
from .shared.types import CATEGORY, AnchorType

NEEDS = ("Calibrate OT Anchor", "lpips", "torchvision", "optuna", "cmaes")
"""Who needs which packages."""


class CalibrateAnchor(io.ComfyNode):
    """Searches the anchor of a model and saves it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OTCacheCalibrateAnchor",
            display_name="Calibrate OT Anchor",
            category=CATEGORY,
            description="Finds which steps matter for a model: full runs, a shortest path, then a "
            "search on LPIPS. Runs once per model. The best anchor so far is always on disk, and "
            "queueing the same workflow again goes on where it stopped.",
            is_input_list=True,
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="The model to calibrate."),
                io.Vae.Input("vae", tooltip="Its VAE: the search compares pictures."),
                io.Conditioning.Input("positive", tooltip="A list: one conditioning per prompt."),
                io.Conditioning.Input("negative", tooltip="One for all prompts, or a list."),
                io.Latent.Input("latent_image", tooltip="An empty latent of the size you use."),
                io.String.Input("name", default="my model", tooltip="The anchor's file name."),
                io.Int.Input("steps", default=50, min=10, max=1000, tooltip="Steps of a full run."),
                io.Float.Input(
                    "cfg", default=1.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance scale."
                ),
                io.Combo.Input(
                    "sampler_name",
                    options=comfy.samplers.KSampler.SAMPLERS,
                    default="euler",
                    tooltip="A sampler with one evaluation per step and no noise of its own.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.KSampler.SCHEDULERS,
                    default="simple",
                    tooltip="How noise falls over the steps; best the one you will use.",
                ),
                io.Int.Input(
                    "reference_budget",
                    default=20,
                    min=4,
                    max=999,
                    tooltip="Model calls of the reference schedule, found by shortest path.",
                    **RARE,
                ),
                io.Int.Input(
                    "anchor_budget",
                    default=8,
                    min=3,
                    max=998,
                    tooltip="Model calls of the anchor: the lowest budget you want to use.",
                ),
                io.Int.Input(
                    "trials",
                    default=200,
                    min=1,
                    max=100_000,
                    tooltip="Size custom only: at most so many schedules are tried.",
                    **RARE,
                ),
                io.Int.Input(
                    "patience",
                    default=50,
                    min=1,
                    max=100_000,
                    tooltip="Size custom only: the sampler's turn ends after so many proposals "
                    "without a better one; a polish of the best schedule follows.",
                    **RARE,
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    control_after_generate=False,
                    tooltip="Seed of the search and of the noise; prompt i takes seed + i.",
                    **RARE,
                ),
                io.Combo.Input(
                    "estimator",
                    options=list(CALIBRATED_ESTIMATORS),
                    default=CALIBRATED_ESTIMATORS[0],
                    tooltip="How skipped steps are estimated: slope extrapolates from the last two "
                    "model calls, meancache is the paper's way, reuse repeats the last call.",
                    **RARE,
                ),
                io.Combo.Input(
                    "size",
                    options=list(SIZES),
                    default="standard",
                    tooltip="How much to spend. quick: 3 prompts, no search, about 500 model "
                    "calls of 50 steps. small: 6 prompts, 30 schedules. standard: 10 "
                    "prompts, 40 schedules. paper: 50 prompts, 200 schedules, searched as in the "
                    "paper. custom: all prompts, and trials and patience as set above.",
                ),
                io.Combo.Input(
                    "search",
                    options=list(PROPOSERS),
                    default=PROPOSERS[0],
                    tooltip="Who proposes schedules. none leaves it to the shortest paths and the "
                    "polish.",
                    **RARE,
                ),
                io.Int.Input(
                    "middle_budget",
                    default=0,
                    min=0,
                    max=998,
                    tooltip="Search a third schedule at so many model calls, between the two; 0 "
                    "for none.",
                    **RARE,
                ),
                io.Int.Input(
                    "minutes",
                    default=0,
                    min=0,
                    max=100_000,
                    tooltip="End after so many minutes with the best so far; 0 for no limit. Queue "
                    "again to go on.",
                ),
                io.Combo.Input(
                    "memo",
                    options=list(PLACES),
                    default=PLACES[0],
                    tooltip="Where up to 1 GiB of model results that schedules share is kept.",
                    **RARE,
                ),
            ],
            outputs=[
                AnchorType.Output("anchor", display_name="anchor"),
                io.Image.Output("report", display_name="report"),
                io.String.Output("report_json", display_name="report_json"),
            ],
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
