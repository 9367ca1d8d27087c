"""`demo`: the bundled text-to-image FLUX on drawn scenes, pixels as latents, flow matching."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from benchmarks.models.ground_model import GroundModel
from scripts.host.find import REPOSITORY

NAME = "demo"
PRESET = REPOSITORY / "presets" / "otcache-demo.otanchor.json"
"""The anchor that ships for it."""


def prompts(kind: str) -> list[str]:
    """The bundled prompts, ``"calibration"`` or ``"held_out"``."""
    text = (REPOSITORY / "demo_model" / "prompts.json").read_text(encoding="utf-8")
    listed: list[str] = json.loads(text)[kind]
    return listed


@dataclass(frozen=True)
class DemoModel(GroundModel):
    """The model that ships, whose prompts lie beside its weights."""

    def prompts(self, kind: str) -> list[str]:
        """The bundled prompts."""
        return prompts(kind)


def build(host: Any) -> GroundModel:
    """The bundled model as its node gives it.

    Args:
        host: A ``scripts.host.inprocess.Host``.
    """
    model, clip, vae, latent = host.run("OTCacheDemoModel", batch_size=1).outputs
    return DemoModel(
        name=NAME,
        model=model,
        clip=clip,
        vae=vae,
        latent=latent["samples"],
        cfg=2.5,
        hard_cfg=8.0,
        sampler="euler",
        scheduler="simple",
        shift=None,
    )
