"""Calibrates the preset for SDXL-like models: `python -m scripts.presets.sdxl`, minutes on a CPU.

No eps model ships with the pack. The bundled flow model is asked in the variables of one: with
`sigma = s / (1 - s)`, a flow model at level s is a denoiser of `x + sigma * noise`, so that the
host's sampling of SDXL, its noise levels included, can be run on it exactly.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from otcache_core.documents.anchor import SUFFIX, Anchor, load_anchor, save_anchor
from otcache_core.documents.schedule import Schedule
from scripts.host.find import REPOSITORY
from scripts.host.inprocess import Host, start_host
from scripts.presets.make import PRESETS

NAME = "sdxl-like (generic)"
SETTINGS = {
    "name": "sdxl-like", "steps": 30, "cfg": 2.5, "sampler_name": "euler", "scheduler": "normal",
    "reference_budget": 16, "anchor_budget": 8, "trials": 26, "patience": 10, "seed": 0,
    "estimator": "slope",
}  # fmt: skip
PROMPTS = 16
PROVENANCE = (
    "A guess for SDXL-like models (eps or v prediction) that have no anchor of their own. Which "
    "steps run the model was calibrated by Calibrate OT Anchor on the small flow model that ships "
    "with the pack, asked in the variables and at the noise levels of SDXL's sampling, with "
    "{prompts} prompts; how skipped steps are estimated is learned in each run (the adaptive "
    "estimator). It was never measured on SDXL or SD 1.5 themselves: calibrate your own anchor "
    "where quality matters."
)


def in_sdxl_terms(model: Any) -> Any:
    """A clone of a flow model that the host samples like SDXL."""
    import comfy.model_sampling

    class FlowAsSDXL(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.COSMOS_RFLOW):
        pass

    sampling = FlowAsSDXL()

    def level(timestep: torch.Tensor, **conds: Any) -> torch.Tensor:
        sigma = sampling.sigma(timestep)
        return sigma / (1.0 + sigma)

    clone = model.clone()
    clone.add_object_patch("model_sampling", sampling)
    clone.add_object_patch("process_timestep", level)
    return clone


def calibrate(host: Host) -> Path:
    """Runs the pack's own node; returns the anchor's file."""
    prompts = json.loads((REPOSITORY / "demo_model" / "prompts.json").read_text(encoding="utf-8"))
    model, clip, vae, latent = host.run("OTCacheDemoModel", batch_size=1).outputs
    texts = [*prompts["calibration"][:PROMPTS], ""]
    *positive, negative = [
        host.run("CLIPTextEncode", clip=clip, text=text).outputs[0] for text in texts
    ]
    single = {"model": in_sdxl_terms(model), "vae": vae, "latent_image": latent, **SETTINGS}
    result = host.run(
        "OTCacheCalibrateAnchor", positive=positive, negative=[negative],
        **{name: [value] for name, value in single.items()},
    )  # fmt: skip
    print(result.ui["text"][0])
    return host.base / "models" / "otcache" / result.ui["otcache"][0]["saved"]


def as_preset(anchor: Anchor) -> Anchor:
    """The steps of an anchor for models that it was not made on: its coefficients are its own."""

    def steps_of(schedule: Schedule) -> Schedule:
        return Schedule(schedule.steps, schedule.computed_steps, "adaptive", sigmas=schedule.sigmas)

    return replace(
        anchor, name=NAME, architecture="noise prediction",
        provenance=PROVENANCE.format(prompts=PROMPTS), reference=steps_of(anchor.reference),
        anchor=steps_of(anchor.anchor), middle=None, fitted=(), fidelity=(), objective=None,
        weights="",
    )  # fmt: skip


def main() -> int:
    """Command line."""
    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder))
        anchor = load_anchor(calibrate(host))
    save_anchor(as_preset(anchor), PRESETS / f"{NAME}{SUFFIX}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
