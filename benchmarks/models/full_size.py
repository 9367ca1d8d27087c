"""FLUX.1-dev, Qwen-Image and HunyuanVideo as published, of the host's own classes, random weights.

Shapes of the weights are those that ``comfy.model_detection`` reads off the published files. The
weights are made where they are used, so that nothing is downloaded or moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.models.fitting import taken
from benchmarks.models.sizes import FLUX, HUNYUAN, QWEN, TEXT
from benchmarks.models.tiny import Parts

SPREAD = 0.02
"""Standard deviation of the random weights: small enough for 60 blocks in 16 bits."""

PUBLISHED_FLUX = FLUX | {
    "hidden_size": 3072, "num_heads": 24, "axes_dim": [16, 56, 56], "mlp_ratio": 4.0,
    "vec_in_dim": 768, "context_in_dim": 4096, "depth": 19, "depth_single_blocks": 38,
}  # fmt: skip
PUBLISHED_QWEN = {"image_model": "qwen_image", "in_channels": 64, "num_layers": 60}
PUBLISHED_HUNYUAN = HUNYUAN | {
    "hidden_size": 3072, "num_heads": 24, "axes_dim": [16, 56, 56], "mlp_ratio": 4.0,
    "vec_in_dim": 768, "context_in_dim": 4096, "depth": 20, "depth_single_blocks": 40,
}  # fmt: skip


def flux_vae() -> torch.nn.Module:
    """The VAE of FLUX.1: 16 channels, 8 times smaller."""
    from comfy.ldm.models.autoencoder import AutoencodingEngine

    params = {
        "double_z": True, "z_channels": 16, "resolution": 256, "in_channels": 3, "out_ch": 3,
        "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [],
        "dropout": 0.0,
    }  # fmt: skip
    parts = "comfy.ldm.modules.diffusionmodules.model."
    regularizer = "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"
    return AutoencodingEngine(
        regularizer_config={"target": regularizer},
        encoder_config={"target": parts + "Encoder", "params": params},
        decoder_config={"target": parts + "Decoder", "params": params},
    )


def qwen_vae() -> torch.nn.Module:
    """The VAE of Qwen-Image, which is that of Wan 2.1."""
    from comfy.ldm.wan.vae import WanVAE

    return WanVAE(
        dim=96, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
        temperal_downsample=[False, True, True], dropout=0.0,
    )  # fmt: skip


def hunyuan_vae() -> torch.nn.Module:
    """The VAE of HunyuanVideo: 16 channels, 8 times smaller, 4 frames in one."""
    from comfy.ldm.models.autoencoder import AutoencoderKL

    params = {
        "double_z": True, "z_channels": 16, "resolution": 256, "in_channels": 3, "out_ch": 3,
        "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [],
        "dropout": 0.0, "conv3d": True, "time_compress": 4,
    }  # fmt: skip
    return AutoencoderKL(ddconfig=params, embed_dim=16)


@dataclass(frozen=True)
class FullSize:
    """A model as published, and the run of the paper.

    Attributes:
        name: As people call it.
        family: The host's class in ``comfy.supported_models``.
        config: Its configuration.
        small: The same classes' configuration for a CPU.
        vae: Builds the module that the host's VAE class recognises.
        resolution: What the latent decodes to.
        latent, small_latent: Shapes, batch first.
        text: Tokens and width of the text conditioning.
        pooled: Width of the pooled text.
        cfg: Guidance scale; 1 is one forward a step.
        anchor: The preset that schedules are predicted from.
        paper_seconds, paper_speedup: Of the paper's Tables 1 to 3, on an H100: 50 steps, and the
            whole latency's speedup at 10 model calls.
        repeats: Runs of each kind.
        calibrates: Whether a calibration is timed as well.
    """

    name: str
    family: str
    config: Mapping[str, Any]
    small: Mapping[str, Any]
    vae: Callable[[], torch.nn.Module]
    resolution: str
    latent: tuple[int, ...]
    small_latent: tuple[int, ...]
    text: tuple[int, int]
    pooled: int
    cfg: float
    anchor: str
    paper_seconds: float
    paper_speedup: float
    repeats: int
    calibrates: bool = False

    def shrunk(self) -> FullSize:
        """The same with a small configuration, latent and text."""
        return replace(
            self, config=self.small, latent=self.small_latent, text=(6, TEXT), pooled=TEXT
        )

    def build(self, dtype: torch.dtype) -> Parts:
        """The model on the host's own device, its conditionings and an empty latent."""
        import comfy.model_management as management
        import comfy.model_patcher

        device = management.get_torch_device()
        model = self.on(device, dtype)
        randomise(model.diffusion_model)
        # The host reckons what it still has to load: nothing, for the weights are there.
        model.model_loaded_weight_memory = management.module_size(model)
        patcher = comfy.model_patcher.ModelPatcher(model, device, management.unet_offload_device())
        positive, negative = (self._conditioning(seed) for seed in (1, 2))
        return Parts(patcher, positive, negative, {"samples": torch.zeros(self.latent)})

    def on(self, device: torch.device | str, dtype: torch.dtype) -> Any:
        """The host's model with weights not yet set, which the device ``meta`` makes at no cost."""
        import comfy.supported_models

        settings = vars(comfy.supported_models)[self.family](taken(self.config))
        settings.set_inference_dtype(dtype, None)
        return settings.get_model({}, "", device=device)

    def _conditioning(self, seed: int) -> list[Any]:
        generator = torch.Generator().manual_seed(seed)
        context = torch.randn(1, *self.text, generator=generator)
        return [[context, {"pooled_output": torch.randn(1, self.pooled, generator=generator)}]]

    def build_vae(self) -> Any:
        """The host's VAE with random weights."""
        import comfy.sd

        module = self.vae()
        randomise(module)
        return comfy.sd.VAE(sd=module.state_dict())

    @property
    def latent_bytes(self) -> int:
        """Size of the latent in the sampler, which works in 32 bits."""
        return 4 * math.prod(self.latent)


def randomise(module: torch.nn.Module) -> None:
    """Fills a module with small random numbers, where it is."""
    for weight in module.parameters():
        weight.data.normal_(0.0, SPREAD)


GENERIC = "preset: flow-matching (generic)"
MODELS = {
    "flux": FullSize(
        "FLUX.1 dev", "Flux", PUBLISHED_FLUX, FLUX, flux_vae, "1024x1024", (1, 16, 128, 128),
        (1, 16, 4, 4), (512, 4096), 768, 1.0, GENERIC, 11.57, 4.50, 3, True,
    ),
    "qwen": FullSize(
        "Qwen-Image", "QwenImage", PUBLISHED_QWEN, QWEN, qwen_vae, "1664x928",
        (1, 16, 1, 116, 208), (1, 16, 1, 4, 4), (128, 3584), 768, 4.0, "preset: qwen-image",
        32.68, 4.70, 2,
    ),
    # The paper does not name the size of its videos. At this one a step is about 0.9 PFLOP (26,520
    # tokens), which is near the 2.1 s that a step of the paper takes on an H100.
    "hunyuan": FullSize(
        "HunyuanVideo", "HunyuanVideo", PUBLISHED_HUNYUAN, HUNYUAN, hunyuan_vae,
        "65 frames of 832x480", (1, 16, 17, 60, 104), (1, 16, 2, 2, 2), (256, 4096), 768, 1.0,
        GENERIC, 105.92, 3.66, 1,
    ),
}  # fmt: skip
