"""Small models of the host's own classes with random weights, one per architecture.

They say nothing about pictures. They have each architecture's own latents, conditionings, noise
levels and host code around them, which is what a cache around sampling meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmarks.models import sizes
from benchmarks.models.fitting import build_checked, taken
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


def _reference_latents(*shape: int) -> Extras:
    return lambda generator: {"reference_latents": [torch.randn(shape, generator=generator)]}


def _llama(generator: torch.Generator) -> Mapping[str, Any]:
    return {"conditioning_llama3": torch.randn(1, 2, TOKENS, TEXT, generator=generator)}


def _lyrics(generator: torch.Generator) -> Mapping[str, Any]:
    return {"conditioning_lyrics": torch.randint(0, 32, (1, TOKENS), generator=generator)}


def _sung_text(generator: torch.Generator) -> Mapping[str, Any]:
    return {"conditioning_lyrics": torch.randn(1, TOKENS, TEXT, generator=generator)}


def _control_video(generator: torch.Generator) -> Mapping[str, Any]:
    frames = torch.randn(1, 32, 3, 8, 8, generator=generator)
    masks = torch.ones(1, 64, 3, 8, 8)
    return {"vace_frames": [frames], "vace_mask": [masks], "vace_strength": [0.8]}


def _attention_mask(generator: torch.Generator) -> Mapping[str, Any]:
    return {"attention_mask": torch.ones(1, TOKENS, dtype=torch.long)}


def _start_image(generator: torch.Generator) -> Mapping[str, Any]:
    image = torch.randn(1, 16, 3, 8, 8, generator=generator)
    return {"concat_latent_image": image, "concat_mask": torch.zeros(1, 1, 3, 8, 8)}


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
    settings.set_inference_dtype(dtype, None if dtype == torch.float32 else torch.float32)
    settings.custom_operations = operations
    devices = (management.get_torch_device(), management.unet_offload_device())

    def make(device: torch.device) -> Any:
        if not base:
            return settings.get_model({}, "", device=device)
        kinds = {"model_type": comfy.model_base.ModelType[kind]} if kind else {}
        return vars(comfy.model_base)[base](settings, device=device, **kinds)

    model = build_checked(make, devices[1])
    randomise(model.diffusion_model)
    return comfy.model_patcher.ModelPatcher(model, *devices)


def randomise(module: torch.nn.Module, spread: float = 0.1) -> None:
    """Fills what a checkpoint would bring with small random numbers, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    # SD3's table of positions is a buffer, but comes with the weights.
    positions = (b for name, b in module.named_buffers() if name == "pos_embed")
    for weight in (*module.parameters(), *positions):
        weight.data.copy_(torch.randn(weight.shape, generator=generator) * spread)


def random_conditioning(seed: int, extras: Extras = _no_extras, pooled: int = TEXT) -> list[Any]:
    """A CONDITIONING of one random text."""
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(1, TOKENS, TEXT, generator=generator)
    values = {"pooled_output": torch.randn(1, pooled, generator=generator), **extras(generator)}
    return [[context, values]]


def _picture(channels: int, *frames: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (1, channels, *frames, 8, 8), (1, channels, *frames, 12, 8)


ARCHITECTURES = (
    Architecture("FLUX.1 dev", "Flux", sizes.FLUX, *_picture(16)),
    Architecture(
        "FLUX.1 Kontext", "Flux", sizes.FLUX, *_picture(16), _reference_latents(1, 16, 8, 8)
    ),
    Architecture("FLUX.2", "Flux2", sizes.FLUX2, *_picture(128)),
    Architecture("Krea 2", "Krea2", sizes.KREA_2, *_picture(16)),
    Architecture("Chroma", "Chroma", sizes.CHROMA, *_picture(16)),
    Architecture("Chroma Radiance", "ChromaRadiance", sizes.CHROMA_RADIANCE, *_picture(3)),
    Architecture("LongCat-Image", "LongCatImage", sizes.LONGCAT, *_picture(16)),
    Architecture("Qwen-Image", "QwenImage", sizes.QWEN, *_picture(16, 1)),
    Architecture(
        "Qwen-Image-Edit", "QwenImage", sizes.QWEN, *_picture(16, 1),
        _reference_latents(1, 16, 1, 8, 8),
    ),
    Architecture("Z-Image", "ZImage", sizes.Z_IMAGE, *_picture(16)),
    Architecture("Lumina 2", "Lumina2", sizes.LUMINA2, *_picture(16)),
    Architecture("HunyuanVideo", "HunyuanVideo", sizes.HUNYUAN, *_picture(16, 3)),
    Architecture("HunyuanVideo 1.5", "HunyuanVideo15", sizes.HUNYUAN_15, *_picture(32, 3)),
    Architecture("HunyuanImage 2.1", "HunyuanImage21", sizes.HUNYUAN_IMAGE, *_picture(64)),
    Architecture("Kandinsky 5 video", "Kandinsky5", sizes.KANDINSKY_5, *_picture(16, 3)),
    Architecture("Kandinsky 5 image", "Kandinsky5Image", sizes.KANDINSKY_5_IMAGE, *_picture(16)),
    Architecture("Wan 2.1 t2v", "WAN21_T2V", sizes.WAN, *_picture(16, 3)),
    Architecture(
        "Wan 2.1 and 2.2 i2v", "WAN21_I2V", sizes.WAN | {"model_type": "i2v", "in_dim": 36},
        *_picture(16, 3), _start_image,
    ),
    Architecture(
        "Wan 2.2 5B", "WAN22_T2V", sizes.WAN | {"in_dim": 48, "out_dim": 48}, *_picture(48, 3)
    ),
    Architecture(  # its control video has the latent's size: the other shape is a larger batch
        "Wan 2.1 VACE", "WAN21_Vace", sizes.VACE, (1, 16, 3, 8, 8), (2, 16, 3, 8, 8),
        _control_video,
    ),
    Architecture("LTX-Video", "LTXV", sizes.LTXV, *_picture(128, 3), _attention_mask),
    Architecture(
        "LTX-Video with audio", "LTXAV", sizes.LTXAV, *_picture(128, 3), _attention_mask,
        sound=(1, 8, 6, 16),
    ),
    Architecture(
        "MiniMax H3 (video and audio)", "MiniMaxH3", sizes.MINIMAX_H3, *_picture(24, 3),
        sound=(1, 32, 2, 6),
    ),
    Architecture("Stable Diffusion 3.5", "SD3", sizes.SD3, *_picture(16)),
    Architecture("AuraFlow", "AuraFlow", sizes.AURA, *_picture(4)),
    Architecture("HiDream", "HiDream", sizes.HIDREAM, *_picture(16), _llama),
    Architecture("Cosmos 1", "CosmosT2V", sizes.COSMOS, *_picture(16, 3)),
    Architecture("Cosmos Predict2", "CosmosT2IPredict2", sizes.COSMOS_2, *_picture(16, 1)),
    Architecture("PixArt Sigma", "PixArtSigma", sizes.PIXART, (1, 4, 40, 40), (1, 4, 48, 40)),
    Architecture("Mochi", "GenmoMochi", sizes.MOCHI, *_picture(12, 3), _attention_mask),
    Architecture("ACE-Step (audio)", "ACEStep", sizes.ACE, (1, 8, 16, 24), (1, 8, 16, 40), _lyrics),
    Architecture(
        "ACE-Step 1.5 (audio)", "ACEStep15", sizes.ACE_15, (1, 64, 20), (1, 64, 30), _sung_text
    ),
    Architecture("SDXL", "SDXL", sizes.SDXL, *_picture(4), pooled=sizes.SDXL_POOLED, base="SDXL"),
    Architecture(
        "SD 1.5 (eps)", "SD15", sizes.UNET, *_picture(4), base="BaseModel", model_type="EPS"
    ),
    Architecture(
        "SD 1.5 (v)", "SD15", sizes.UNET, *_picture(4), base="BaseModel", model_type="V_PREDICTION"
    ),
)  # fmt: skip
