"""Whether a run is like the one that its schedule's anchor was calibrated with, in words."""

from __future__ import annotations

from typing import Any

import comfy.model_sampling
import comfy.samplers

from ...otcache_core.documents.schedule import Origin, Schedule
from ...otcache_core.message import Message
from .sampler_rules import function_name

FLOW = "flow matching"
NOISE = "noise prediction"
"""Architectures of presets that are for a whole kind of models."""

CFG_TOLERANCE = 0.05


def architecture_of(model: Any) -> str:
    """The model's class in ComfyUI, such as ``"Flux"``."""
    return type(model.model).__name__


def kinds_of(model: Any) -> tuple[str, ...]:
    """Every name under which an anchor may be for a ModelPatcher's model, the closest first."""
    # The configuration tells apart what shares a class: Z-Image and Lumina 2, SD 1.5 and SD 2.
    kinds = [type(model.model.model_config).__name__, architecture_of(model)]
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.CONST):
        kinds.append(FLOW)
    elif isinstance(sampling, comfy.model_sampling.EPS):
        kinds.append(NOISE)
    return tuple(dict.fromkeys(kinds))


def wrong_architecture(architecture: str, model: Any) -> str:
    """What to tell where an anchor was made for another architecture; empty where it was not."""
    kinds = kinds_of(model)
    if not architecture or architecture in kinds:
        return ""
    return Message(
        "other_architecture",
        "The anchor is for {architecture} but the model is {model}: its steps were not chosen "
        "for this model. Choose another anchor or calibrate your own.",
        architecture=architecture,
        model=kinds[0],
    )


def differences(schedule: Schedule, guider: Any, sampler: Any, scheduler: str = "") -> list[str]:
    """How a run differs from the calibration behind its schedule, a line for each thing.

    Args:
        schedule: The schedule that the user made.
        guider: The host's guider, with the model and the guidance scale.
        sampler: The host's sampler.
        scheduler: The scheduler's name, where it is known.
    """
    origin = schedule.origin
    if origin is None:
        return []
    found = [
        wrong_architecture(origin.architecture, guider.model_patcher),
        _other_sampler(origin, sampler),
        _other_cfg(origin, guider),
        _other_scheduler(origin, scheduler),
    ]
    return [line for line in found if line]


def _other_sampler(origin: Origin, sampler: Any) -> str:
    if origin.sampler not in comfy.samplers.KSampler.SAMPLERS:
        return ""
    if function_name(comfy.samplers.sampler_object(origin.sampler)) == function_name(sampler):
        return ""
    return Message(
        "other_sampler",
        "Not as the anchor was calibrated: its sampler was {sampler}.",
        sampler=origin.sampler,
    )


def _other_cfg(origin: Origin, guider: Any) -> str:
    cfg = getattr(guider, "cfg", None)
    if origin.cfg is None or cfg is None or abs(cfg - origin.cfg) <= CFG_TOLERANCE:
        return ""
    return Message(
        "other_cfg",
        "Not as the anchor was calibrated: its cfg was {made}, here it is {cfg}.",
        made=f"{origin.cfg:g}",
        cfg=f"{cfg:g}",
    )


def _other_scheduler(origin: Origin, scheduler: str) -> str:
    if not scheduler or not origin.scheduler or scheduler == origin.scheduler:
        return ""
    return Message(
        "other_scheduler",
        "Not as the anchor was calibrated: its scheduler was {scheduler}.",
        scheduler=origin.scheduler,
    )


def origin_of(architecture: str, sampling: Any) -> Origin:
    """What a schedule keeps of its anchor's sampling; generic presets have no guidance scale."""
    generic = architecture in (FLOW, NOISE)
    return Origin(
        architecture, sampling.sampler, "" if generic else sampling.scheduler,
        None if generic else sampling.cfg, sampling.sigmas,
    )  # fmt: skip
