"""OTCache Demo Model: a small text-to-image FLUX that ships with the pack."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .shared.newer import found_by
from .shared.types import CATEGORY

SIZE = 64


class DemoModel(io.ComfyNode):
    """MODEL, CLIP, VAE and an empty latent of the bundled model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OTCacheDemoModel",
            display_name="OTCache Demo Model",
            category=CATEGORY,
            description="A small FLUX that ships with the pack and draws 64x64 scenes, such as "
            '"a big red house and a small green tree at night". It needs no download and no GPU.',
            inputs=[
                io.Int.Input(
                    "batch_size", default=1, min=1, max=64, tooltip="Pictures in the empty latent."
                ),
            ],
            outputs=[
                io.Model.Output("model", display_name="model"),
                io.Clip.Output("clip", display_name="clip"),
                io.Vae.Output("vae", display_name="vae"),
                io.Latent.Output("latent", display_name="latent"),
            ],
            **found_by("example", "test model", "tiny"),
        )

    @classmethod
    def execute(cls, batch_size: int) -> io.NodeOutput:
        from ..demo_model.parts import WEIGHTS, build_clip, build_model, build_vae, read_weights

        weights, about = read_weights(WEIGHTS)
        latent = torch.zeros(batch_size, 3, SIZE, SIZE)
        return io.NodeOutput(
            build_model(weights),
            build_clip(weights, about["vocabulary"]),
            build_vae(),
            {"samples": latent},
        )
