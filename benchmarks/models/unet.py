"""`unet`: a text-to-image UNet of the SD 1.5 class on drawn scenes, noise prediction.

Pictures of 48x48 pixels. Its latents are a linear map of blocks of 6x6 pixels, onto the directions
in which such blocks vary most (a principal component analysis).
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.models import ground_model
from benchmarks.models.blocks import PictureBlocks
from benchmarks.models.ground_model import FOLDER, GroundModel, Shape

NAME = "unet"
SIZE = 48
FOLD, CHANNELS = 6, 16
"""Pixels along a block's side, and how many numbers stand for it."""

SHAPE = Shape(
    family="SD15",
    base="BaseModel",
    kind="EPS",
    channels=CHANNELS,
    scale=1.0,
    config={
        "image_size": SIZE // FOLD, "in_channels": CHANNELS, "out_channels": CHANNELS,
        "model_channels": 64, "num_res_blocks": [1, 1, 1], "channel_mult": [1, 2, 2],
        "transformer_depth": [0, 1, 1], "transformer_depth_output": [0, 0, 1, 1, 1, 1],
        "transformer_depth_middle": 1, "context_dim": 64, "num_heads": 4,
        "use_spatial_transformer": True, "use_linear_in_transformer": False,
        "use_temporal_attention": False, "adm_in_channels": None, "legacy": False,
    },
)  # fmt: skip


def build_vae(weights: ground_model.Weights) -> Any:
    """The host's VAE around the linear map."""
    module = PictureBlocks(CHANNELS, FOLD)
    module.load_state_dict(weights)
    return ground_model.build_module_vae(module, CHANNELS, FOLD, 2)


def build(host: Any) -> GroundModel:
    """The trained model in the host, a ``scripts.host.inprocess.Host``."""
    latent = torch.zeros(1, CHANNELS, SIZE // FOLD, SIZE // FOLD)
    return ground_model.build_from_folder(
        *(host, FOLDER / NAME, SHAPE, build_vae, latent),
        **{"cfg": 3.0, "hard_cfg": 25.0, "shift": None},
        **{"sampler": "euler", "scheduler": "karras"},
    )
