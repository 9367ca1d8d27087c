"""`video`: a text-to-video transformer of the Wan 2.1 class on short moving scenes.

Nine frames of 48x48 pixels. Its latents are a linear map of blocks of 3 frames by 6x6 pixels, onto
the directions in which such blocks vary most (a principal component analysis).
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.models import ground_model
from benchmarks.models.blocks import Blocks
from benchmarks.models.ground_model import FOLDER, GroundModel, Shape

NAME = "video"
SIZE, FRAMES = 48, 9
TIME, FOLD, CHANNELS = 3, 6, 32
"""Frames and pixels of a block, and how many numbers stand for it."""
SHIFT = 2.0

SHAPE = Shape(
    family="WAN21_T2V",
    base="WAN21",
    channels=CHANNELS,
    scale=1.0,
    dimensions=3,
    sampling={"shift": SHIFT},
    config={
        "image_model": "wan2.1", "model_type": "t2v", "in_dim": CHANNELS, "out_dim": CHANNELS,
        "dim": 160, "ffn_dim": 480, "num_heads": 4, "num_layers": 6, "freq_dim": 256,
        "text_dim": 64, "patch_size": (1, 2, 2),
    },
)  # fmt: skip


def build_vae(weights: ground_model.Weights) -> Any:
    """The host's VAE around the linear map; it takes and gives videos."""
    module = Blocks(CHANNELS, TIME, FOLD)
    module.load_state_dict(weights)
    vae = ground_model.build_module_vae(module, CHANNELS, FOLD, 3)
    vae.upscale_ratio = (lambda frames: frames * TIME, FOLD, FOLD)
    vae.downscale_ratio = (lambda frames: frames // TIME, FOLD, FOLD)
    return vae


def build(host: Any) -> GroundModel:
    """The trained model in the host, a ``scripts.host.inprocess.Host``."""
    latent = torch.zeros(1, CHANNELS, FRAMES // TIME, SIZE // FOLD, SIZE // FOLD)
    return ground_model.build_from_folder(
        *(host, FOLDER / NAME, SHAPE, build_vae, latent),
        **{"cfg": 3.0, "hard_cfg": 13.0, "shift": SHIFT},
        **{"sampler": "euler", "scheduler": "simple"},
    )
