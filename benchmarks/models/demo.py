"""`demo`: the bundled text-to-image FLUX on drawn scenes, pixels as latents, flow matching."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from benchmarks.models.ground_model import GroundModel
from scripts.host.find import REPOSITORY

NAME = "demo"
WEIGHTS = REPOSITORY / "demo_model"
ANCHOR = REPOSITORY / "presets" / "otcache-demo.otanchor.json"
"""It ships with the pack, and so does its anchor."""


def prompts(kind: str) -> list[str]:
    """The bundled prompts, ``"calibration"`` or ``"held_out"``."""
    text = (WEIGHTS / "prompts.json").read_text(encoding="utf-8")
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
        hard_cfg=11.0,
        sampler="euler",
        scheduler="simple",
        shift=None,
    )
