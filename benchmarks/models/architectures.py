"""Every architecture that is built small: sizes, latents and what its conditioning carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.models import sizes
from benchmarks.models.sizes import TEXT, TOKENS
from benchmarks.models.tiny import Architecture, Extras


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


def _masked_references(*shape: int) -> Extras:
    references = _reference_latents(*shape)
    return lambda generator: {**_attention_mask(generator), **references(generator)}


def _token_ids(generator: torch.Generator) -> Mapping[str, Any]:
    ids = torch.randint(0, 64, (1, TOKENS), generator=generator)
    ids[:, -1] = sizes.HIDREAM_O1_TIME
    return {"text_input_ids": ids}


def _second_text(generator: torch.Generator) -> Mapping[str, Any]:
    ids = torch.randint(0, 64, (TOKENS,), generator=generator)
    return {"t5xxl_ids": ids, "t5xxl_weights": torch.ones(TOKENS)}


def _start_image(generator: torch.Generator) -> Mapping[str, Any]:
    image = torch.randn(1, 16, 3, 8, 8, generator=generator)
    return {"concat_latent_image": image, "concat_mask": torch.zeros(1, 1, 3, 8, 8)}


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
    Architecture("JoyAI-Image-Edit", "JoyImage", sizes.JOY_IMAGE, *_picture(16, 1),
                 _reference_latents(1, 16, 1, 8, 8)),
    Architecture("Mage-Flow", "MageFlow", sizes.MAGE_FLOW, *_picture(128)),
    Architecture("Z-Image", "ZImage", sizes.Z_IMAGE, *_picture(16)),
    Architecture("Lumina 2", "Lumina2", sizes.LUMINA2, *_picture(16)),
    Architecture("Ideogram 4", "Ideogram4", sizes.IDEOGRAM_4, *_picture(128)),
    Architecture("ERNIE-Image", "ErnieImage", sizes.ERNIE, *_picture(128)),
    Architecture("Lens", "Lens", sizes.LENS, *_picture(128), _attention_mask),
    Architecture("OmniGen 2", "Omnigen2", sizes.OMNIGEN_2, *_picture(16), _attention_mask),
    Architecture("Boogu-Image-Edit", "Boogu", sizes.BOOGU, *_picture(16),
                 _masked_references(1, 16, 8, 8)),
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
    Architecture("CogVideoX", "CogVideoX_T2V", sizes.COGVIDEOX, *_picture(16, 3)),
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
    Architecture(
        "HiDream O1", "HiDreamO1", sizes.HIDREAM_O1, (1, 3, 64, 64), (1, 3, 96, 64), _token_ids
    ),
    Architecture("PixelDiT", "PixelDiTT2I", sizes.PIXEL_DIT, *_picture(3)),
    Architecture("Cosmos 1", "CosmosT2V", sizes.COSMOS, *_picture(16, 3)),
    Architecture("Cosmos Predict2", "CosmosT2IPredict2", sizes.COSMOS_2, *_picture(16, 1)),
    Architecture("Anima", "Anima", sizes.ANIMA, *_picture(16, 1), _second_text),
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
