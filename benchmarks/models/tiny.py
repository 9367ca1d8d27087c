"""Small models of the host's own classes with random weights, one per architecture.

They say nothing about pictures. They have each architecture's own latents, conditionings, noise
levels and host code around them, which is what a cache around sampling meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmarks.models.fitting import SMALLER, build_checked, taken
from benchmarks.models.sizes import TEXT, TOKENS


@dataclass(frozen=True)
class Parts:
    """A model and all that a sampler needs beside it."""

    model: Any
    positive: Any
    negative: Any
    latent: dict[str, Any]

    def batch(self, size: int) -> Parts:
        """The same with a larger empty latent."""
        samples = self.latent["samples"]
        return replace(self, latent={"samples": samples.repeat_interleave(size, dim=0)})


Extras = Callable[[torch.Generator], Mapping[str, Any]]


def _no_extras(generator: torch.Generator) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Architecture:
    """How to build one architecture small.

    Attributes:
        name: As people call it.
        family: The host's class in ``comfy.supported_models``.
        config: Its small configuration.
        latent: Shape of the latent, batch first.
        larger: Another shape, for a run of another size.
        extras: What its conditioning carries beside text.
        pooled: Width of the pooled text.
        sound: Shape of the sound's latent, where the model makes both.
        base: A class of ``comfy.model_base`` to build by, with ``model_type``, where the family
            would choose by weights that are not there.
    """

    name: str
    family: str
    config: Mapping[str, Any]
    latent: tuple[int, ...]
    larger: tuple[int, ...]
    extras: Extras = field(default=_no_extras, repr=False)
    pooled: int = TEXT
    sound: tuple[int, ...] = ()
    base: str = ""
    model_type: str = ""

    @property
    def exists(self) -> bool:
        """Whether the host has the class."""
        import comfy.supported_models

        return self.family in vars(comfy.supported_models)

    def empty(self, shape: Sequence[int]) -> dict[str, Any]:
        """An empty LATENT of that shape, and of sound beside it."""
        latent = torch.zeros(tuple(shape))
        if not self.sound:
            return {"samples": latent}
        import comfy.nested_tensor

        return {"samples": comfy.nested_tensor.NestedTensor([latent, torch.zeros(self.sound)])}

    def build(self) -> Parts:
        """The model with random weights, its conditionings and an empty latent."""
        model = build_model(self.family, self.config, self.base, self.model_type)
        conds = [random_conditioning(seed, self.extras, self.pooled) for seed in (1, 2)]
        return Parts(model, *conds, self.empty(self.latent))


def build_model(
    family: str,
    config: Mapping[str, Any],
    base: str = "",
    kind: str = "",
    dtype: torch.dtype = torch.float32,
    operations: Any = None,
) -> Any:
    """A family of the host with random weights, as a ModelPatcher; it computes in 32 bits.

    Args:
        family: The class in ``comfy.supported_models``.
        config: Its configuration.
        base: The class in ``comfy.model_base``, where the family would not know it.
        kind: What the model predicts, a name of ``ModelType``.
        dtype: How weights are held.
        operations: The host's layers, or a pack's own in their place.
    """
    import comfy.model_base
    import comfy.model_management as management
    import comfy.model_patcher
    import comfy.supported_models

    settings = vars(comfy.supported_models)[family](taken(config))
    settings.unet_config |= taken(config)  # over the sizes that a family sets by itself
    settings.set_inference_dtype(dtype, None if dtype == torch.float32 else torch.float32)
    settings.custom_operations = operations
    devices = (management.get_torch_device(), management.unet_offload_device())

    def make(device: torch.device) -> Any:
        if not base:
            return settings.get_model({}, "", device=device)
        kinds = {"model_type": comfy.model_base.ModelType[kind]} if kind else {}
        return vars(comfy.model_base)[base](settings, device=device, **kinds)

    model = build_checked(make, devices[1])
    if smaller := SMALLER.get(config.get("image_model", "")):
        smaller(model.diffusion_model)
    randomise(model.diffusion_model)
    return comfy.model_patcher.ModelPatcher(model, *devices)


def randomise(module: torch.nn.Module, spread: float = 0.1) -> None:
    """Fills what a checkpoint would bring with small random numbers, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    # Tables such as SD3's positions are buffers, but come with the weights: unfilled until then.
    loaded = module.state_dict().keys()
    tables = (b for name, b in module.named_buffers() if name in loaded and b.is_floating_point())
    for weight in (*module.parameters(), *tables):
        weight.data.copy_(torch.randn(weight.shape, generator=generator) * spread)


def random_conditioning(seed: int, extras: Extras = _no_extras, pooled: int = TEXT) -> list[Any]:
    """A CONDITIONING of one random text."""
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(1, TOKENS, TEXT, generator=generator)
    values = {"pooled_output": torch.randn(1, pooled, generator=generator), **extras(generator)}
    return [[context, values]]
