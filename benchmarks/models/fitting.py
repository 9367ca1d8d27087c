"""Small configurations as this host's classes take them, and none that makes a large model."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch

from benchmarks.models.sizes import TEXT

MOST_BYTES = 2**30

NEWER = (
    "meanflow_sum",
    "txt_ids_dims",
    "use_sequential_txt_ids",
    "use_x0",
    "vec_in_dim",
)
"""Fields that newer hosts ask for and older ones refuse."""

PARAMETERS = {
    "chroma": ("comfy.ldm.chroma.model", "ChromaParams"),
    "chroma_radiance": ("comfy.ldm.chroma_radiance.model", "ChromaRadianceParams"),
    "flux": ("comfy.ldm.flux.model", "FluxParams"),
    "flux2": ("comfy.ldm.flux.model", "FluxParams"),
    "hunyuan_video": ("comfy.ldm.hunyuan_video.model", "HunyuanVideoParams"),
}
"""Where the host lists the fields of an `image_model`, of those that refuse unknown ones."""


def taken(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the fields that came after this host."""
    place = PARAMETERS.get(config.get("image_model", ""))
    if place is None:
        return dict(config)
    known = {field.name for field in fields(getattr(importlib.import_module(place[0]), place[1]))}
    return {name: value for name, value in config.items() if name in known or name not in NEWER}


def _small_adapter(network: Any) -> None:
    """Anima's reader of its second text, which its class makes 134 million weights large."""
    import comfy.ops

    network.llm_adapter = type(network.llm_adapter)(
        source_dim=TEXT, target_dim=TEXT, model_dim=16, num_layers=1, num_heads=2,
        operations=comfy.ops.manual_cast,
    )  # fmt: skip


SMALLER: Mapping[str, Callable[[Any], None]] = {"anima": _small_adapter}
"""What to put in place of parts whose size no configuration sets, by `image_model`."""


def _too_large(model: Any) -> None:
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    if size > MOST_BYTES:
        raise ValueError(
            f"a model to test with must hold at most {MOST_BYTES >> 20} MiB of weights but this "
            f"configuration makes {size >> 20} MiB: name the sizes that it leaves to the host."
        )


def build_checked(make: Callable[[torch.device], Any], device: torch.device) -> Any:
    """What ``make`` builds on a device, built without memory first to see how much it takes.

    A class that reads its own tables while it is built (the quantiser of ACE-Step 1.5) cannot be
    built without memory: it is looked at afterwards.

    Raises:
        ValueError: If its weights would hold more than ``MOST_BYTES``.
    """
    try:
        _too_large(make(torch.device("meta")))
    except RuntimeError as error:
        if "meta tensors" not in str(error):
            raise
    built = make(device)
    _too_large(built)
    return built
