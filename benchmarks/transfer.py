"""One anchor in other runs: are computed steps better kept by progress or by noise level?

The bundled model and anchor, made for 50 steps of the `simple` scheduler. Each case is another step
count, scheduler, shift or denoise; the error is that of the cached run against its own full run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.bundled import CFG, BundledModel, prompts
from benchmarks.records import write_record
from scripts.inprocess import Host, start_host

BUDGET = 12
PROMPTS = 2
ANCHOR = "preset: otcache-demo"


@dataclass(frozen=True)
class Case:
    """A run that the anchor was not made for."""

    steps: int = 50
    scheduler: str = "simple"
    shift: float | None = None
    denoise: float = 1.0

    def __str__(self) -> str:
        parts = [f"{self.steps} steps", self.scheduler]
        parts += [] if self.shift is None else [f"shift {self.shift:g}"]
        parts += [] if self.denoise == 1.0 else [f"denoise {self.denoise:g}"]
        return ", ".join(parts)


CASES = (
    Case(),
    *(Case(steps=steps) for steps in (20, 30, 100)),
    *(Case(scheduler=name) for name in ("beta", "karras", "sgm_uniform", "linear_quadratic")),
    *(Case(shift=shift) for shift in (0.5, 2.0)),
    *(Case(denoise=share) for share in (0.7, 0.4)),
    Case(steps=25, scheduler="beta", shift=2.0),
    Case(steps=30, shift=0.5, denoise=0.6),
)


class Transfer:
    """Runs of the bundled model with its anchor's schedule placed in two ways."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.bundled = BundledModel(host, prompts("held_out")[:PROMPTS])
        self.anchor = host.module("nodes.library").open_anchor(ANCHOR)

    def model(self, case: Case) -> Any:
        """The bundled model with the case's shift."""
        import comfy.model_sampling

        if case.shift is None:
            return self.bundled.model
        clone = self.bundled.model.clone()

        class Sampling(comfy.model_sampling.ModelSamplingFlux, comfy.model_sampling.CONST):
            pass

        sampling = Sampling(clone.model.model_config)
        sampling.set_parameters(shift=case.shift)
        clone.add_object_patch("model_sampling", sampling)
        return clone

    def run(self, case: Case, model: Any, sigmas: torch.Tensor) -> torch.Tensor:
        """Final latents of all prompts."""
        import comfy.sample
        import comfy.samplers

        bundled = self.bundled
        empty = torch.zeros(1, 3, 64, 64)
        noise = torch.cat([comfy.sample.prepare_noise(empty, i) for i in range(PROMPTS)])
        latent = torch.zeros_like(noise)
        if case.denoise < 1.0:  # from a picture of another prompt
            latent = bundled.sample(list(range(PROMPTS))[::-1], steps=20)
        with torch.inference_mode():
            return comfy.sample.sample_custom(
                model, noise, CFG, comfy.samplers.sampler_object("euler"), sigmas,
                bundled._encode(bundled.texts), bundled.negative, latent, disable_pbar=True, seed=1,
            )  # fmt: skip

    def row(self, case: Case) -> dict[str, Any]:
        """Root mean square errors of both placements and of plain fewer steps."""
        import comfy.samplers

        model = self.model(case)

        def levels(steps: int) -> torch.Tensor:
            found: torch.Tensor = comfy.samplers.KSampler(
                model, steps, model.load_device, "euler", case.scheduler, denoise=case.denoise
            ).sigmas
            return found

        sigmas = levels(case.steps)
        full = self.run(case, model, sigmas)
        apply = self.host.module("nodes.host").apply_schedule
        predict = self.host.core("transport").predict_schedule
        place = self.host.core("run_plan").place_by_levels
        here = predict(self.anchor, BUDGET, steps=case.steps).schedule
        made = predict(self.anchor, BUDGET).schedule
        by_level = place(made, self.anchor.sampling.sigmas, sigmas.tolist())
        # Without its levels a schedule of as many steps is taken as it is.
        here, by_level = (replace(s, sigmas=None) for s in (here, by_level))
        runs = {
            "progress": lambda: self.run(case, apply(model, here, quiet=True), sigmas),
            "level": lambda: self.run(case, apply(model, by_level, quiet=True), sigmas),
            "fewer": lambda: self.run(case, model, levels(BUDGET)),
        }
        row: dict[str, Any] = {"case": str(case)}
        for way, run in runs.items():
            row[way] = round(float((run() - full).square().mean().sqrt()), 4)
        return row


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        transfer = Transfer(start_host(Path(folder)))
        rows = []
        for case in CASES:
            rows.append(transfer.row(case))
            print(rows[-1], flush=True)
    results = {"budget": BUDGET, "prompts": PROMPTS, "rows": rows}
    print("record:", write_record("transfer", "nox -s bench -- transfer", results).name)
