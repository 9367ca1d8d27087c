"""OTCache Demo Model: a small text-to-image FLUX that ships with the pack."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .shared.declare import declare
from .shared.newer import found_by

SIZE = 64


class DemoModel(io.ComfyNode):
    """MODEL, CLIP, VAE and an empty latent of the bundled model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [io.Int.Input("batch_size", default=1, min=1, max=64)]
        outputs = [
            io.Model.Output("model"),
            io.Clip.Output("clip"),
            io.Vae.Output("vae"),
            io.Latent.Output("latent"),
        ]
        return declare(
            "OTCacheDemoModel", inputs, outputs, **found_by("example", "test model", "tiny")
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
