"""The model that ships with the pack, built from the host's own classes.

It reaches deep into the host, so that it is imported only when the node runs: what a newer host
renames must cost this one node, not all of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.supported_models_base
import torch
from safetensors import safe_open

from ..otcache_core.errors import OTCacheError
from .config import FLUX_CONFIG, PIXEL_SCALE, SHIFT
from .text import WordEncoder, WordTokenizer

WEIGHTS = Path(__file__).resolve().with_name("model.safetensors")


class PixelFormat(comfy.latent_formats.LatentFormat):
    """The latent is the picture itself, scaled to unit variance."""

    scale_factor = PIXEL_SCALE
    latent_channels = 3
    spacial_downscale_ratio = 1
    latent_rgb_factors = [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]]


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights in float32 by name, and what the file says of itself.

    Raises:
        OTCacheError: If the file is missing or damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            about = json.loads(file.metadata()["otcache_demo"])
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise OTCacheError(
            f"the demo model's weights must be at demo_model/{path.name} in the pack but cannot be "
            f"read ({error}): install the pack again."
        ) from error
    return weights, about


def _part(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def build_model(weights: dict[str, torch.Tensor]) -> Any:
    """The host's own FLUX around the bundled weights, as a ModelPatcher."""
    state = _part(weights, "transformer.")
    # Newer hosts know fields that older ones lack, so the host writes the configuration itself.
    config = comfy.model_detection.detect_unet_config(state, "") | FLUX_CONFIG
    family = comfy.supported_models.Flux(config)
    family.latent_format = PixelFormat()
    family.sampling_settings = {"shift": SHIFT}
    family.set_inference_dtype(torch.float32, None)
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    model = family.get_model(state, "", device=offload_device)
    model.load_model_weights(state, "")
    return comfy.model_patcher.ModelPatcher(model, load_device, offload_device)


class _Tokenizer:
    """The host's interface to ``WordTokenizer``."""

    vocabulary: tuple[str, ...] = ()

    def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
        self._words = WordTokenizer(self.vocabulary)

    def tokenize_with_weights(
        self, text: str, return_word_ids: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        return {"words": [self._words.encode(text)]}

    def state_dict(self) -> dict[str, Any]:
        return {}


class _TextModel(torch.nn.Module):
    """The host's interface to ``WordEncoder``."""

    def __init__(
        self, words: int, device: Any = None, dtype: Any = None, model_options: Any = None
    ) -> None:
        super().__init__()
        self.encoder = WordEncoder(words).to(device=device, dtype=torch.float32)
        self.dtypes = {torch.float32}

    def set_clip_options(self, options: dict[str, Any]) -> None:
        """Nothing to choose: there is one layer."""

    def reset_clip_options(self) -> None:
        """Nothing to choose: there is one layer."""

    def encode_token_weights(self, tokens: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        indices = torch.tensor(tokens["words"], device=self.encoder.position.device)
        context, pooled = self.encoder(indices)
        return context, pooled

    def load_sd(self, state: dict[str, torch.Tensor]) -> Any:
        return self.encoder.load_state_dict(state)


def build_clip(weights: dict[str, torch.Tensor], vocabulary: list[str]) -> Any:
    """The bundled text encoder as the host's CLIP."""
    tokenizer = type("DemoTokenizer", (_Tokenizer,), {"vocabulary": tuple(vocabulary)})
    target = comfy.supported_models_base.ClipTarget(tokenizer, _TextModel)
    target.params["words"] = len(vocabulary)
    clip = comfy.sd.CLIP(target)
    clip.load_sd(_part(weights, "text."))
    return clip


def build_vae() -> Any:
    """The host's VAE for models that work on pixels."""
    return comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
