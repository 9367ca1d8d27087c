"""Calibration Prompts and Calibrate OT Anchor: stages 1 and 2 inside a workflow."""

from __future__ import annotations

import logging
import math
from importlib import metadata
from pathlib import Path
from typing import Any

import comfy.samplers
import comfy.utils
import torch
from comfy_api.latest import io
from PIL import Image

from ..otcache_core import __version__
from ..otcache_core.anchor import Anchor, Sampling
from ..otcache_core.calibration import Report, Settings, calibrate
from ..otcache_core.errors import OTCacheError
from ..otcache_core.plots import render_search
from ..otcache_core.schedule import ESTIMATORS
from ..otcache_core.search import SearchResult, Trial
from .calibration_runner import HostRunner, Job
from .compare import load_lpips
from .host import architecture_of
from .library import new_anchor_path, store_anchor
from .types import CATEGORY, AnchorType, image_from_picture, show_text

logger = logging.getLogger("otcache")

MAX_PROMPTS = 1000
PREVIEW_PIXELS = 768
STAGE_WEIGHTS = {"full runs": (0.0, 0.15), "anchor search": (0.15, 0.9), "rho": (0.9, 1.0)}
"""Share of the progress bar that each stage covers."""


class CalibrationPrompts(io.ComfyNode):
    """Splits a text into a list of prompts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OTCacheCalibrationPrompts",
            display_name="Calibration Prompts",
            category=CATEGORY,
            description="One prompt a line, as a list: CLIP Text Encode and the like then run once "
            "per prompt. Empty lines and lines that begin with # are left out.",
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip="One prompt a line. 20 to 50 varied prompts make a good calibration.",
                ),
                io.Int.Input(
                    "limit",
                    default=50,
                    min=1,
                    max=MAX_PROMPTS,
                    tooltip="Use at most so many prompts, from the top.",
                ),
            ],
            outputs=[
                io.String.Output("prompts", display_name="prompts", is_output_list=True),
                io.Int.Output("count", display_name="count"),
            ],
        )

    @classmethod
    def execute(cls, text: str, limit: int) -> io.NodeOutput:
        lines = [line.strip() for line in text.splitlines()]
        prompts = [line for line in lines if line and not line.startswith("#")][:limit]
        if not prompts:
            raise OTCacheError("calibration needs at least 1 prompt but the text holds none.")
        return io.NodeOutput(prompts, len(prompts))


class _Display:
    """Progress bar, preview picture and text on the node while a calibration runs."""

    def __init__(self, node_id: str | None) -> None:
        self.node_id = node_id
        self.bar = comfy.utils.ProgressBar(1000, node_id=node_id)
        self.preview: tuple[str, Image.Image, int] | None = None

    def progress(self, stage: str, done: int, total: int) -> None:
        low, high = STAGE_WEIGHTS[stage]
        share = low + (high - low) * min(done / max(total, 1), 1.0)
        self.bar.update_absolute(int(1000 * share), 1000, self.preview)
        show_text(f"{stage}: {done} of {total}", self.node_id)

    def trial(self, trial: Trial, result: SearchResult) -> None:
        picture = Image.fromarray(_search_picture(result))
        self.preview = ("JPEG", picture, PREVIEW_PIXELS)


def _search_picture(result: SearchResult, title: str = "anchor search") -> Any:
    losses = [None if math.isnan(trial.loss) else trial.loss for trial in result.trials]
    warm = result.best_loss if math.isnan(result.warm_start_loss) else result.warm_start_loss
    return render_search(losses=losses, warm_start=warm, best=result.best_loss, title=title)


def _versions() -> dict[str, str]:
    """Versions of what made an anchor."""
    versions = {"otcache": __version__, "torch": torch.__version__.split("+")[0]}
    versions["optuna"] = metadata.version("optuna")
    try:
        from comfyui_version import __version__ as host_version

        versions["comfyui"] = host_version
    except ImportError:
        versions["comfyui"] = "unknown"
    return versions


def _guidance(positive: list[Any]) -> float | None:
    """FLUX's distilled guidance, where the conditioning carries one."""
    value = positive[0][1].get("guidance") if positive else None
    return None if value is None else float(value)


def _describe(anchor: Anchor, report: Report, path: Path) -> str:
    goal = anchor.objective
    assert goal is not None
    gain = 100.0 * (1.0 - goal.best / goal.warm_start) if goal.warm_start else 0.0
    return (
        f"{goal.metric} at {anchor.anchor.budget} calls: {goal.warm_start:.4f} -> {goal.best:.4f} "
        f"({gain:.0f} % lower) in {len(report.search.trials)} trials\n"
        f"rho {anchor.rho}, {anchor.calibration.model_calls} model calls\nsaved as {path.name}"
    )


class CalibrateAnchor(io.ComfyNode):
    """Searches the anchor of a model and saves it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OTCacheCalibrateAnchor",
            display_name="Calibrate OT Anchor",
            category=CATEGORY,
            description="Finds which steps matter for a model: full runs, a shortest path, then a "
            "search on LPIPS. Runs once per model; the best anchor so far is always on disk.",
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
                    tooltip="At most so many schedules are tried; each costs anchor_budget model "
                    "calls per prompt.",
                ),
                io.Int.Input(
                    "patience",
                    default=50,
                    min=1,
                    max=100_000,
                    tooltip="The random search ends after so many proposals without a better one; "
                    "a polish of the best schedule follows.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    control_after_generate=False,
                    tooltip="Seed of the search and of the noise; prompt i takes seed + i.",
                ),
                io.Combo.Input(
                    "estimator",
                    options=list(ESTIMATORS),
                    default=ESTIMATORS[0],
                    tooltip="How skipped steps are estimated: slope extrapolates from the last two "
                    "model calls, meancache is the paper's way, reuse repeats the last call.",
                ),
            ],
            outputs=[
                AnchorType.Output("anchor", display_name="anchor"),
                io.Image.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, positive: list[Any], negative: list[Any], **lists: Any) -> io.NodeOutput:
        one = {name: values[0] for name, values in lists.items()}
        settings = Settings(
            steps=one["steps"],
            reference_budget=one["reference_budget"],
            anchor_budget=one["anchor_budget"],
            trials=one["trials"],
            patience=one["patience"],
            estimator=one["estimator"],
            seed=one["seed"],
        )
        job = Job(
            one["model"], one["vae"], negative, one["latent_image"], one["steps"], one["cfg"],
            one["sampler_name"], one["scheduler"], one["seed"],
        )  # fmt: skip
        if len(positive) > MAX_PROMPTS:
            raise OTCacheError(
                f"calibration takes at most {MAX_PROMPTS} prompts but got {len(positive)}."
            )
        return _calibrate(job, settings, positive, one["name"], cls.hidden.unique_id)


def _calibrate(
    job: Job, settings: Settings, positive: list[Any], name: str, node_id: str | None
) -> io.NodeOutput:
    """Runs the calibration; the best anchor so far is on disk whatever ends it."""
    runner = HostRunner(job, positive, load_lpips())
    path = new_anchor_path(name)
    display = _Display(node_id)
    saved = False

    def keep(anchor: Anchor) -> None:
        nonlocal saved
        store_anchor(anchor, path)
        saved = True

    try:
        anchor, report = calibrate(
            runner,
            settings,
            name=name,
            architecture=architecture_of(job.model),
            sampling=_sampling(job, positive),
            provenance=f"calibrated with OTCache {__version__} by Calibrate OT Anchor",
            versions=_versions(),
            on_progress=display.progress,
            on_trial=display.trial,
            on_better=keep,
        )
    except BaseException:
        if saved:
            logger.warning("OTCache calibration ended early; its best anchor is in %s", path.name)
        raise
    store_anchor(anchor, path)
    text = _describe(anchor, report, path)
    show_text(text, node_id)
    picture = image_from_picture(_search_picture(report.search, text.splitlines()[0]))
    ui = {"text": (text,), "otcache": [{"saved": path.name}]}
    return io.NodeOutput(anchor, picture, ui=ui)


def _sampling(job: Job, positive: list[Any]) -> Sampling:
    samples = job.latent["samples"]
    scale = int(job.vae.spacial_compression_decode())
    return Sampling(
        sampler=job.sampler,
        scheduler=job.scheduler,
        cfg=float(job.cfg),
        guidance=_guidance(positive[0]),
        width=int(samples.shape[-1]) * scale,
        height=int(samples.shape[-2]) * scale,
        frames=int(samples.shape[2]) if samples.ndim == 5 else 1,
        sigmas=job.sigmas(),
    )
