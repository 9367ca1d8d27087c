"""`latent`: a text-to-image MMDiT of the SD 3 class on shaded emoji, flow matching on latents.

Its own autoencoder brings 64x64 pixels to 16x16 latent pixels of 8 channels: a linear encoder, a
decoder of convolutions.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.models import ground_model
from benchmarks.models.blocks import Blocks
from benchmarks.models.ground_model import FOLDER, GroundModel, Shape

NAME = "latent"
SIZE = 64
RATIO = 4
CHANNELS = 8
WIDTH = 64
"""Channels of the latent, and of the decoder's convolutions."""
SHIFT = 1.5
HIDDEN = 128

SHAPE = Shape(
    family="SD3",
    base="SD3",
    channels=CHANNELS,
    scale=1.0,
    sampling={"shift": SHIFT},
    config={
        "in_channels": CHANNELS, "out_channels": CHANNELS, "patch_size": 2,
        "depth": HIDDEN // 64, "num_blocks": 6, "mlp_ratio": 4.0, "input_size": None,
        "adm_in_channels": 64, "qk_norm": "rms", "num_patches": 64, "pos_embed_max_size": 8,
        "pos_embed_scaling_factor": None,
        "context_embedder_config": {
            "target": "torch.nn.Linear", "params": {"in_features": 64, "out_features": HIDDEN},
        },
    },
)  # fmt: skip
"""The host has one head per 64 channels and calls their number the depth."""


class _Residual(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.GroupNorm(8, width)
        self.first = torch.nn.Conv2d(width, width, 3, padding=1)
        self.second = torch.nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(self.norm(x)))))


class BlockVAE(torch.nn.Module):
    """A linear encoder of blocks, and a decoder of convolutions that adds to its inverse."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = Blocks(CHANNELS, 1, RATIO)
        total = 3 * RATIO**2
        self.inward = torch.nn.Conv2d(CHANNELS + total, WIDTH, 3, padding=1)
        self.middle = torch.nn.Sequential(*(_Residual(WIDTH) for _ in range(3)))
        self.outward = torch.nn.Conv2d(WIDTH, total, 3, padding=1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels ``(N, 3, H, W)`` in [-1, 1] to latents."""
        return self.linear.encode(pixels[:, :, None])[:, :, 0]

    def decode(self, latent: Tensor) -> Tensor:
        """Latents to pixels."""
        plain = self.linear.decode_blocks(latent[:, :, None])
        seen = torch.cat([latent, plain[:, 0].movedim(-1, 1)], dim=1)
        more = self.outward(F.silu(self.middle(self.inward(seen))))
        return self.linear.pixels(plain + more.movedim(1, -1)[:, None])[:, :, 0]


def build_vae(weights: ground_model.Weights) -> Any:
    """The host's VAE with trained weights."""
    module = BlockVAE()
    module.load_state_dict(weights)
    return ground_model.build_module_vae(module, CHANNELS, RATIO, 2)


def build(host: Any) -> GroundModel:
    """The trained model in the host, a ``scripts.host.inprocess.Host``."""
    latent = torch.zeros(1, CHANNELS, SIZE // RATIO, SIZE // RATIO)
    return ground_model.build_from_folder(
        *(host, FOLDER / NAME, SHAPE, build_vae, latent),
        **{"cfg": 3.0, "hard_cfg": 11.0, "shift": SHIFT},
        **{"sampler": "euler", "scheduler": "simple"},
    )
