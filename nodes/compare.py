"""Compare Images: how far two pictures or videos are apart."""

from __future__ import annotations

import math
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..otcache_core.measures.perceptual import psnr, ssim
from ..otcache_core.message import Message
from ..otcache_core.packages import missing_packages, require_packages
from .library.lpips import load_lpips
from .shared.declare import declare
from .shared.newer import found_by
from .shared.news import HIDDEN, place_of, result

NETS = ["alex", "squeeze", "vgg"]
NEEDS = ("Compare Images", "lpips", "torchvision")
"""Who needs which packages."""


def finite_or_none(value: float) -> float | None:
    """JSON has no infinity: the PSNR of identical pictures is null there."""
    return value if math.isfinite(value) else None


def save_first(images: torch.Tensor) -> dict[str, str]:
    """Saves the first of a batch as a temporary file; returns how the page finds it."""
    saved = ui.ImageSaveHelper.save_images(
        images[:1], filename_prefix="otcache_compare", folder_type=io.FolderType.temp, cls=None
    )
    return dict(saved[0])


class CompareImages(io.ComfyNode):
    """LPIPS, SSIM and PSNR, and where the difference lies."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.Image.Input("image"),
            io.Image.Input("reference"),
            io.Combo.Input("net", options=NETS, default="alex"),
            io.Float.Input("amplify", default=4.0, min=1.0, max=64.0),
        ]
        outputs = [
            io.Float.Output("lpips"),
            io.Float.Output("ssim"),
            io.Float.Output("psnr"),
            io.Image.Output("difference"),
        ]
        return declare(
            "OTCacheCompareImages",
            inputs,
            outputs,
            hidden=HIDDEN,
            is_output_node=True,
            **found_by("metric", "similarity", "difference", "quality"),
        )

    @classmethod
    def validate_inputs(cls, net: str) -> bool | str:
        # Before anything is sampled. ComfyUI asks only those that name an input; LPIPS checks it.
        return missing_packages(*NEEDS) or True

    @classmethod
    def execute(
        cls, image: torch.Tensor, reference: torch.Tensor, net: str, amplify: float
    ) -> io.NodeOutput:
        require_packages(*NEEDS)
        image, reference = image[..., :3], reference[..., :3]
        # Each measure checks its input and says what is wrong with it.
        per_image = {
            "lpips": load_lpips(net)(image, reference).tolist(),
            "ssim": ssim(image, reference).tolist(),
            "psnr": psnr(image, reference).tolist(),
        }
        mean = {name: sum(values) / len(values) for name, values in per_image.items()}
        difference = ((image - reference).abs() * amplify).clamp(0.0, 1.0)
        loss = f"{mean['lpips']:.4f}"
        said = [
            Message("lpips", "LPIPS {loss} ({net}, lower is closer)", loss=loss, net=net),
            f"SSIM {mean['ssim']:.4f}",
            f"PSNR {mean['psnr']:.2f} dB",
        ]
        values: dict[str, Any] = {
            name: [finite_or_none(value) for value in values] for name, values in per_image.items()
        }
        place = place_of(cls.hidden)
        if place.node is not None:
            values["pair"] = [save_first(image), save_first(reference)]
        shown = result(said, place, values)
        return io.NodeOutput(mean["lpips"], mean["ssim"], mean["psnr"], difference, ui=shown)
