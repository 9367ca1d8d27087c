"""Whether a run is like the one that its schedule's anchor was calibrated with, in words."""

from __future__ import annotations

from typing import Any

import comfy.model_sampling
import comfy.samplers

from ...otcache_core.documents.schedule import Origin, Schedule
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
    return (
        f"The anchor is for {architecture} but the model is {kinds[0]}: its steps were not chosen "
        "for this model. Choose another anchor or calibrate your own."
    )


def differences(schedule: Schedule, guider: Any, sampler: Any, scheduler: str = "") -> str:
    """How a run differs from the calibration behind its schedule; empty if it does not.

    Args:
        schedule: The schedule that the user made.
        guider: The host's guider, with the model and the guidance scale.
        sampler: The host's sampler.
        scheduler: The scheduler's name, where it is known.
    """
    origin = schedule.origin
    if origin is None:
        return ""
    found = []
    known = origin.sampler in comfy.samplers.KSampler.SAMPLERS
    if known and function_name(comfy.samplers.sampler_object(origin.sampler)) != function_name(
        sampler
    ):
        found.append(f"sampler (calibrated with {origin.sampler})")
    cfg = getattr(guider, "cfg", None)
    if origin.cfg is not None and cfg is not None and abs(cfg - origin.cfg) > CFG_TOLERANCE:
        found.append(f"cfg (calibrated with {origin.cfg:g}, here {cfg:g})")
    if scheduler and origin.scheduler and scheduler != origin.scheduler:
        found.append(f"scheduler (calibrated with {origin.scheduler})")
    lines = [wrong_architecture(origin.architecture, guider.model_patcher)]
    if found:
        lines.append(f"Not as the anchor was calibrated: {', '.join(found)}.")
    return "\n".join(line for line in lines if line)


def origin_of(architecture: str, sampling: Any) -> Origin:
    """What a schedule keeps of its anchor's sampling; generic presets have no guidance scale."""
    generic = architecture in (FLOW, NOISE)
    return Origin(
        architecture, sampling.sampler, "" if generic else sampling.scheduler,
        None if generic else sampling.cfg, sampling.sigmas,
    )  # fmt: skip
