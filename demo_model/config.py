"""Shape of the demo model, in the words of the host's FLUX class."""

from __future__ import annotations

FLUX_CONFIG: dict[str, object] = {
    "image_model": "flux",
    "in_channels": 3,
    "out_channels": 3,
    "vec_in_dim": 64,
    "context_in_dim": 64,
    "hidden_size": 256,
    "mlp_ratio": 2.0,
    "num_heads": 4,
    "depth": 1,
    "depth_single_blocks": 5,
    "axes_dim": [16, 24, 24],
    "theta": 10000,
    "patch_size": 8,
    "qkv_bias": True,
    "guidance_embed": False,
}
"""64x64 pixels in patches of 8: 64 image tokens beside 12 words."""

PIXEL_SCALE = 1.8
"""The latent is the picture in [-1, 1] times this, which gives it about unit variance."""

SHIFT = 1.15
"""The exponential time shift (mu) of the host's FLUX sampling."""
