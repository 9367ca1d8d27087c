"""The proving ground's trained models: what each must bring, and how the host builds it.

A model's own file says its configuration and builds it from its folder. The host must be importable
before anything here is called: by ``start_host``, or by ``training.host.import_host``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).resolve().parent
ABOUT = "otcache_ground"
"""Key of the weights' metadata: vocabulary, steps and what else the training says of itself."""

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class GroundModel:
    """A model ready to sample, and the settings at which a person would use it.

    Attributes:
        name: The model's folder.
        model, clip, vae: As the host's loaders give them.
        latent: An empty latent of one picture or video.
        cfg: The guidance of choice.
        hard_cfg: A guidance at which fewer steps show plainly.
        sampler, scheduler: As KSampler has them.
        shift: The shift of a flow model; None where there is none.
    """

    name: str
    model: Any
    clip: Any
    vae: Any
    latent: torch.Tensor
    cfg: float
    hard_cfg: float
    sampler: str
    scheduler: str
    shift: float | None

    def prompts(self, kind: str) -> list[str]:
        """Prompts of the model, ``"calibration"`` or ``"held_out"``."""
        return read_prompts(self.name)[kind]


@dataclass(frozen=True)
class Shape:
    """How the host builds a model.

    Attributes:
        family: Class in ``comfy.supported_models``.
        base: Class in ``comfy.model_base``.
        config: The small configuration.
        channels: Of the latent.
        scale: What the latent is multiplied by on its way to the model.
        dimensions: Of the latent: 2 for pictures, 3 for videos.
        sampling: The family's sampling settings, such as its shift.
        kind: What the model predicts, a name of ``ModelType``, where the base can be asked.
    """

    family: str
    base: str
    config: Mapping[str, Any]
    channels: int
    scale: float
    dimensions: int = 2
    sampling: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""


def read_prompts(name: str) -> dict[str, list[str]]:
    """The prompts of a model, by kind."""
    text = (FOLDER / name / "prompts.json").read_text(encoding="utf-8")
    found: dict[str, list[str]] = json.loads(text)
    return found


def read_weights(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Weights in float32 by name, and what the file says of itself."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        about = json.loads(file.metadata()[ABOUT])
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    return weights, about


def part(weights: Weights, prefix: str) -> Weights:
    """The weights under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _latent_format(shape: Shape) -> Any:
    import comfy.latent_formats

    made = comfy.latent_formats.LatentFormat()
    made.scale_factor = shape.scale
    made.latent_channels = shape.channels
    made.latent_dimensions = shape.dimensions
    return made


def build_base(shape: Shape) -> Any:
    """The host's model around the diffusion model, its weights not set."""
    import comfy.model_base
    import comfy.model_management as management
    import comfy.supported_models

    settings = vars(comfy.supported_models)[shape.family](dict(shape.config))
    settings.latent_format = _latent_format(shape)
    settings.sampling_settings = dict(shape.sampling)
    settings.set_inference_dtype(torch.float32, None)
    kinds = {"model_type": comfy.model_base.ModelType[shape.kind]} if shape.kind else {}
    base = vars(comfy.model_base)[shape.base]
    return base(settings, device=management.unet_offload_device(), **kinds)


def build_model(shape: Shape, state: Weights) -> Any:
    """The host's model with trained weights, as a ModelPatcher."""
    import comfy.model_management as management
    import comfy.model_patcher

    model = build_base(shape)
    model.load_model_weights(dict(state), "")
    devices = (management.get_torch_device(), management.unet_offload_device())
    return comfy.model_patcher.ModelPatcher(model, *devices)


def build_clip(host: Any, weights: Weights, vocabulary: list[str]) -> Any:
    """The model's word encoder as the host's CLIP.

    Args:
        host: A ``scripts.host.inprocess.Host``.
        weights: With the encoder's under ``text.``.
        vocabulary: Its words, in order.
    """
    return host.module("demo_model.parts").build_clip(weights, vocabulary)


def build_from_folder(
    host: Any,
    folder: Path,
    shape: Shape,
    build_vae: Callable[[Weights], Any],
    latent: torch.Tensor,
    **how: Any,
) -> GroundModel:
    """A trained model in the host.

    Args:
        host: A ``scripts.host.inprocess.Host``.
        folder: Holds its weights, and names it.
        shape: How the host builds it.
        build_vae: Makes its VAE from the VAE's weights.
        latent: An empty latent of one picture or video.
        how: What it is sampled with, as `GroundModel` has it.
    """
    weights, about = read_weights(folder / "model.safetensors")
    vae, _ = read_weights(folder / "vae.safetensors")
    return GroundModel(
        name=folder.name,
        model=build_model(shape, part(weights, "transformer.")),
        clip=build_clip(host, weights, about["vocabulary"]),
        vae=build_vae(vae),
        latent=latent,
        **how,
    )


def build_module_vae(module: torch.nn.Module, channels: int, ratio: int, dimensions: int) -> Any:
    """The host's VAE around a module of ours with ``encode`` and ``decode``.

    Args:
        module: Between pixels in [-1, 1], channels first, and latents.
        channels: Of the latent.
        ratio: Pixels of a latent's pixel, along one side.
        dimensions: Of the latent: 2 for pictures, 3 for videos.
    """
    import comfy.model_patcher
    import comfy.sd

    vae = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
    former = vae.patcher
    vae.first_stage_model = module.eval()
    vae.patcher = comfy.model_patcher.ModelPatcher(
        module, load_device=former.load_device, offload_device=former.offload_device
    )
    vae.latent_channels, vae.latent_dim = channels, dimensions
    vae.downscale_ratio = vae.upscale_ratio = ratio
    return vae
