"""One calibration from request to saved anchor: where it is kept, run, shown and reported."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io

from ...otcache_core.calibration.calibrate import Settings, calibrate
from ...otcache_core.calibration.cost import calibration_cost
from ...otcache_core.calibration.full_runs import FullRuns
from ...otcache_core.calibration.memo import Place, PrefixMemo
from ...otcache_core.documents.anchor import Anchor, Sampling
from ...otcache_core.drawing.report import render_report
from ...otcache_core.message import Message
from ...otcache_core.version import __version__
from ..library.description import calibrated_with
from ..library.files import new_anchor_path, store_anchor
from ..library.lpips import load_lpips
from ..library.weights import weights_fingerprint
from ..sampling.host import architecture_of
from ..shared.news import NodePlace, result
from ..shared.types import image_from_picture
from .display import Display, cost_text
from .fingerprint import fingerprint
from .report import describe, report_document
from .runner import HostRunner, Job, streams
from .study_place import StudyPlace, first_prompt, open_place

logger = logging.getLogger("otcache")

VERSION = 4
"""Part of the fingerprint: a change of how losses are measured makes old trials useless."""


@dataclass(frozen=True)
class CalibrationRequest:
    """What the node was asked for.

    Attributes:
        job: Model and sampling.
        positive: One conditioning per prompt.
        settings: Budgets and search.
        name: The anchor's name.
        memo: Where shared model results are kept.
        minutes: Time limit, 0 for none.
        shown_on, prompt: The node, and what was queued with it.
    """

    job: Job
    positive: list[Any]
    settings: Settings
    name: str
    memo: Place
    minutes: int
    shown_on: NodePlace
    prompt: Any


def run_calibration(request: CalibrationRequest) -> io.NodeOutput:
    """Runs the calibration; the best anchor so far is on disk whatever ends it."""
    job, settings = request.job, request.settings
    runner = HostRunner(job, request.positive, load_lpips(), PrefixMemo(request.memo))
    place = open_place(_fingerprint(request))
    path = _anchor_path(place, request.name)
    full_runs = FullRuns(place.folder)
    cost = calibration_cost(settings, runner.prompts)
    plan = [_begin(place), cost_text(cost, runner.prompts, settings.anchor_budget)]
    logger.info("OTCache calibration %s", ": ".join(plan))
    display = Display(request.shown_on, plan, settings, runner, full_runs)
    display.show()
    end = time.monotonic() + 60 * request.minutes if request.minutes else float("inf")
    weights = weights_fingerprint(job.model)
    saved = False

    def keep(anchor: Anchor) -> None:
        nonlocal saved
        store_anchor(replace(anchor, weights=weights), path)
        saved = True

    try:
        anchor, report = calibrate(
            runner,
            settings,
            name=request.name,
            architecture=architecture_of(job.model),
            sampling=_sampling(job, request.positive),
            provenance=str(calibrated_with(__version__)),
            versions=_versions(),
            full_runs=full_runs,
            first_prompt=first_prompt(runner.prompts),
            storage=place.storage,
            study_name=place.folder.name,
            on_progress=display.progress,
            on_trial=display.trial,
            on_better=keep,
            stop=lambda: time.monotonic() > end,
        )
    except BaseException:
        kept = f"its best anchor is {path.name}" if saved else "no anchor was found yet"
        logger.warning("OTCache calibration ended early, %s; queue it again to go on", kept)
        display.stopped(kept)
        raise
    finally:
        runner.memo.clear()
    anchor = replace(anchor, weights=weights)
    store_anchor(anchor, path)
    lines = describe(anchor, report, runner, path)
    display.found = report.search  # one that was searched before has had no trials to show
    display.finished(lines)
    document = report_document(anchor, report, runner)
    (place.folder / "report.json").write_text(document, encoding="utf-8")
    picture = render_report(anchor, report.search, "\n".join(lines[:2]))
    ui = result(lines, request.shown_on, {"saved": path.name})
    return io.NodeOutput(anchor, image_from_picture(picture), document, ui=ui)


def _begin(place: StudyPlace) -> Message:
    if not place.resumed:
        return Message("starts", "starts")
    return Message("goes_on", "goes on where it stopped, in {place}", place=place.described)


def _fingerprint(request: CalibrationRequest) -> str:
    job, settings = request.job, request.settings
    shapes = [tuple(part.shape) for part in streams(job.latent)]
    search = settings.search
    matters = (
        VERSION, job.steps, job.cfg, job.sampler, job.scheduler, job.seed, *shapes,
        settings.reference_budget, settings.anchor_budget, settings.middle_budget,
        settings.estimator, settings.gamma, settings.metric, settings.gains,
        search.proposer, search.polish, search.p_threshold, len(request.positive),
    )  # fmt: skip
    conditioning = [request.positive, job.negative]
    return fingerprint(job.model, matters, request.prompt, request.shown_on.node, conditioning)


def _anchor_path(place: StudyPlace, name: str) -> Path:
    """Where to save: a calibration that goes on replaces what it saved before."""
    note = place.folder / "saved_as.json"
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
        path = Path(new_anchor_path(name).parent, str(before["file"]))
        if before["name"] == name and path.is_file() and path.name == before["file"]:
            return path
    except (OSError, ValueError, KeyError, TypeError):
        pass
    path = new_anchor_path(name)
    note.write_text(json.dumps({"name": name, "file": path.name}), encoding="utf-8")
    return path


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


def _sampling(job: Job, positive: list[Any]) -> Sampling:
    samples = streams(job.latent)[0]
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
