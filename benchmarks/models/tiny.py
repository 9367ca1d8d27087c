"""Small models of the host's own classes with random weights, one per architecture.

They say nothing about pictures. They have each architecture's own latents, conditionings, noise
levels and host code around them, which is what a cache around sampling meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmarks.models.fitting import build_checked, taken

TEXT = 8
"""Width of the random text conditioning."""
TOKENS = 6

ATTENTION = {"hidden_size": 32, "num_heads": 2, "axes_dim": [4, 6, 6], "mlp_ratio": 2.0}
FLUX = {
    **ATTENTION, "image_model": "flux", "in_channels": 16, "out_channels": 16, "vec_in_dim": TEXT,
    "context_in_dim": TEXT, "depth": 1, "depth_single_blocks": 1, "theta": 10000, "patch_size": 2,
    "qkv_bias": True, "guidance_embed": True, "txt_ids_dims": [],
}  # fmt: skip
FLUX2 = FLUX | {
    "image_model": "flux2", "in_channels": 128, "out_channels": 128, "axes_dim": [4, 4, 4, 4],
    "theta": 2000, "patch_size": 1, "vec_in_dim": None, "qkv_bias": False, "mlp_silu_act": True,
    "global_modulation": True, "ops_bias": False, "default_ref_method": "index",
    "ref_index_scale": 10.0, "txt_ids_dims": [3],
}  # fmt: skip
# The host fixes the number of modulations at 344, which is 19 double and 38 single blocks.
CHROMA = {
    **ATTENTION, "image_model": "chroma", "in_channels": 64, "out_channels": 64,
    "context_in_dim": TEXT, "depth": 19, "depth_single_blocks": 38, "theta": 10000,
    "patch_size": 2, "qkv_bias": True, "in_dim": 64, "out_dim": 32, "hidden_dim": 16,
    "n_layers": 1, "vec_in_dim": None, "txt_ids_dims": [],
}  # fmt: skip
QWEN = {
    "image_model": "qwen_image", "in_channels": 64, "num_layers": 1, "attention_head_dim": 16,
    "num_attention_heads": 2, "joint_attention_dim": TEXT, "axes_dims_rope": (4, 6, 6),
}  # fmt: skip
LUMINA2 = {
    "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 32, "n_layers": 1,
    "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2, "axes_dims": [4, 6, 6],
    "axes_lens": [512, 64, 64], "cap_feat_dim": TEXT, "qk_norm": True, "multiple_of": 32,
    "ffn_dim_multiplier": 1.0,
}  # fmt: skip
Z_IMAGE = LUMINA2 | {  # its modulation is 256 wide in any case
    "dim": 256, "axes_dims": [32, 48, 48],
    "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
    "rope_theta": 256.0,
}  # fmt: skip
HUNYUAN = {
    **ATTENTION, "image_model": "hunyuan_video", "in_channels": 16, "out_channels": 16,
    "vec_in_dim": TEXT, "context_in_dim": TEXT, "depth": 1, "depth_single_blocks": 1, "theta": 256,
    "patch_size": [1, 2, 2], "qkv_bias": True, "guidance_embed": True, "byt5": False,
    "meanflow": False, "meanflow_sum": False, "use_cond_type_embedding": False,
    "vision_in_dim": None,
}  # fmt: skip
HUNYUAN_15 = HUNYUAN | {
    "in_channels": 65, "out_channels": 32, "vec_in_dim": None, "patch_size": [1, 1, 1],
    "guidance_embed": False, "use_cond_type_embedding": True, "vision_in_dim": TEXT,
}  # fmt: skip
WAN = {
    "image_model": "wan2.1", "model_type": "t2v", "in_dim": 16, "out_dim": 16, "dim": 32,
    "ffn_dim": 32, "num_heads": 2, "num_layers": 1, "freq_dim": 16, "text_dim": TEXT,
}  # fmt: skip
LTXV = {
    "image_model": "ltxv", "in_channels": 128, "cross_attention_dim": 32, "attention_head_dim": 16,
    "num_attention_heads": 2, "caption_channels": TEXT, "num_layers": 1,
}  # fmt: skip
LTXAV = LTXV | {  # its text is as wide as two captions
    "image_model": "ltxav",
    "caption_channels": TEXT // 2,
    "audio_cross_attention_dim": 32,
    "audio_attention_head_dim": 16,
    "audio_num_attention_heads": 2,
    "connector_attention_head_dim": 16,
    "connector_num_attention_heads": 2,
    "connector_num_layers": 1,
}
SD3 = {
    "in_channels": 16, "out_channels": 16, "patch_size": 2, "depth": 1, "num_blocks": 1,
    "input_size": None, "adm_in_channels": TEXT, "qk_norm": "rms", "num_patches": 256,
    "pos_embed_max_size": 16, "pos_embed_scaling_factor": None, "context_embedder_config": {
        "target": "torch.nn.Linear", "params": {"in_features": TEXT, "out_features": 64},
    },
}  # fmt: skip
AURA = {
    "cond_seq_dim": TEXT, "dim": 32, "global_conddim": 32, "n_heads": 2, "n_layers": 2,
    "n_double_layers": 1, "max_seq": 256,
}  # fmt: skip
HIDREAM = {
    "image_model": "hidream", "attention_head_dim": 16, "num_attention_heads": 2,
    "axes_dims_rope": [8, 4, 4], "caption_channels": [TEXT, TEXT], "text_emb_dim": TEXT,
    "max_resolution": [32, 32], "in_channels": 16, "out_channels": 16, "patch_size": 2,
    "num_layers": 1, "num_single_layers": 1, "llama_layers": [0, 1], "num_routed_experts": 2,
    "num_activated_experts": 1,
}  # fmt: skip
COSMOS = {
    "image_model": "cosmos", "max_img_h": 32, "max_img_w": 32, "max_frames": 16, "in_channels": 16,
    "out_channels": 16, "patch_spatial": 2, "patch_temporal": 1, "model_channels": 32,
    "num_blocks": 1, "num_heads": 2, "crossattn_emb_channels": TEXT, "pos_emb_cls": "rope3d",
    "block_x_format": "THWBD", "affline_emb_norm": True, "use_adaln_lora": True,
    "adaln_lora_dim": 8, "extra_per_block_abs_pos_emb": True,
    "extra_per_block_abs_pos_emb_type": "learnable",
}  # fmt: skip
COSMOS_2 = {
    "image_model": "cosmos_predict2", "max_img_h": 32, "max_img_w": 32, "max_frames": 16,
    "in_channels": 16, "out_channels": 16, "patch_spatial": 2, "patch_temporal": 1,
    "model_channels": 32, "num_blocks": 1, "num_heads": 2, "crossattn_emb_channels": TEXT,
    "pos_emb_cls": "rope3d", "pos_emb_learnable": True, "use_adaln_lora": True,
    "adaln_lora_dim": 8, "rope_enable_fps_modulation": False,
}  # fmt: skip
PIXART = {
    "image_model": "pixart_sigma", "input_size": 8, "patch_size": 2, "in_channels": 4,
    "hidden_size": 32, "depth": 1, "num_heads": 2, "caption_channels": TEXT,
    "micro_condition": False, "model_max_length": 16,
}  # fmt: skip
MOCHI = {
    "image_model": "mochi_preview", "in_channels": 12, "hidden_size_x": 32, "hidden_size_y": 32,
    "depth": 1, "num_heads": 2, "t5_feat_dim": TEXT, "t5_token_length": 16, "qk_norm": True,
    "qkv_bias": False, "out_bias": True, "patch_embed_bias": True, "timestep_mlp_bias": True,
    "timestep_scale": 1000.0, "use_t5": True, "learn_sigma": False, "rope_theta": 10000.0,
    "posenc_preserve_area": True, "attend_to_padding": False, "mlp_ratio_x": 384.0,
    "mlp_ratio_y": 2.0, "patch_size": 2,  # the host fixes the width of its MLP at 32 * 384
}  # fmt: skip
ACE = {
    "audio_model": "ace", "num_layers": 1, "inner_dim": 32, "attention_head_dim": 16,
    "num_attention_heads": 2, "mlp_ratio": 2.0, "text_embedding_dim": TEXT,
    "lyric_encoder_vocab_size": 32, "lyric_hidden_size": 1024, "ssl_latent_dims": [8, 8],
    "max_position": 1024,
}  # fmt: skip
UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32,
    "num_res_blocks": [1], "channel_mult": [1], "transformer_depth": [1],
    "transformer_depth_output": [1, 1], "transformer_depth_middle": 1, "context_dim": TEXT,
    "num_heads": 2, "use_spatial_transformer": True, "use_linear_in_transformer": False,
    "use_temporal_attention": False, "adm_in_channels": None, "legacy": False,
}  # fmt: skip
SDXL_POOLED = 1280
SDXL = UNET | {
    "model_channels": 64, "use_linear_in_transformer": True, "num_classes": "sequential",
    "adm_in_channels": SDXL_POOLED + 6 * 256,
}  # fmt: skip


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
    Architecture("FLUX.1 dev", "Flux", FLUX, *_picture(16)),
    Architecture(
        "FLUX.1 Kontext", "Flux", FLUX, *_picture(16), _reference_latents(1, 16, 8, 8)
    ),
    Architecture("FLUX.2", "Flux2", FLUX2, *_picture(128)),
    Architecture("Chroma", "Chroma", CHROMA, *_picture(16)),
    Architecture("Qwen-Image", "QwenImage", QWEN, *_picture(16, 1)),
    Architecture(
        "Qwen-Image-Edit", "QwenImage", QWEN, *_picture(16, 1), _reference_latents(1, 16, 1, 8, 8)
    ),
    Architecture("Z-Image", "ZImage", Z_IMAGE, *_picture(16)),
    Architecture("Lumina 2", "Lumina2", LUMINA2, *_picture(16)),
    Architecture("HunyuanVideo", "HunyuanVideo", HUNYUAN, *_picture(16, 3)),
    Architecture("HunyuanVideo 1.5", "HunyuanVideo15", HUNYUAN_15, *_picture(32, 3)),
    Architecture("Wan 2.1 t2v", "WAN21_T2V", WAN, *_picture(16, 3)),
    Architecture(
        "Wan 2.1 and 2.2 i2v", "WAN21_I2V", WAN | {"model_type": "i2v", "in_dim": 36},
        *_picture(16, 3), _start_image,
    ),
    Architecture(
        "Wan 2.2 5B", "WAN22_T2V", WAN | {"in_dim": 48, "out_dim": 48}, *_picture(48, 3)
    ),
    Architecture("LTX-Video", "LTXV", LTXV, *_picture(128, 3), _attention_mask),
    Architecture(
        "LTX-Video with audio", "LTXAV", LTXAV, *_picture(128, 3), _attention_mask,
        sound=(1, 8, 6, 16),
    ),
    Architecture("Stable Diffusion 3.5", "SD3", SD3, *_picture(16)),
    Architecture("AuraFlow", "AuraFlow", AURA, *_picture(4)),
    Architecture("HiDream", "HiDream", HIDREAM, *_picture(16), _llama),
    Architecture("Cosmos 1", "CosmosT2V", COSMOS, *_picture(16, 3)),
    Architecture("Cosmos Predict2", "CosmosT2IPredict2", COSMOS_2, *_picture(16, 1)),
    Architecture("PixArt Sigma", "PixArtSigma", PIXART, (1, 4, 40, 40), (1, 4, 48, 40)),
    Architecture("Mochi", "GenmoMochi", MOCHI, *_picture(12, 3), _attention_mask),
    Architecture("ACE-Step (audio)", "ACEStep", ACE, (1, 8, 16, 24), (1, 8, 16, 40), _lyrics),
    Architecture("SDXL", "SDXL", SDXL, *_picture(4), pooled=SDXL_POOLED, base="SDXL"),
    Architecture("SD 1.5 (eps)", "SD15", UNET, *_picture(4), base="BaseModel", model_type="EPS"),
    Architecture(
        "SD 1.5 (v)", "SD15", UNET, *_picture(4), base="BaseModel", model_type="V_PREDICTION"
    ),
)  # fmt: skip
