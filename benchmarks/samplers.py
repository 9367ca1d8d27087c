"""Every sampler of the host: how far each way to skip a step leads from its own full run.

The bundled model, the bundled anchor, 50 steps. The ways: repeat the last velocity (`reuse`),
extrapolate it (`slope`), repeat the last prediction of the clean picture (`denoised`), give the
computed steps alone to the sampler (`grid`, which is OTCache Sigmas), and plain `fewer` steps.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.bundled import CFG, STEPS, BundledModel, prompts
from benchmarks.counting import counted
from benchmarks.records import write_record
from scripts.inprocess import Host, start_host

BUDGET = 12
PROMPTS = 2
WAYS = ("reuse", "slope", "denoised", "grid", "fewer")
ANCHOR = "preset: otcache-demo"


class Samplers:
    """Runs of the bundled model by sampler name."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.bundled = BundledModel(host, prompts("held_out")[:PROMPTS])
        anchor = host.module("nodes.library").open_anchor(ANCHOR)
        predict = host.core("transport").predict_schedule
        self.schedule = predict(anchor, BUDGET, steps=STEPS).schedule

    def run(
        self, name: str, model: Any = None, sigmas: torch.Tensor | None = None, steps: int = STEPS
    ) -> torch.Tensor:
        """Final latents of all prompts; ``sigmas`` are the sampler's own by default."""
        import comfy.sample
        import comfy.samplers

        bundled = self.bundled
        model = bundled.model if model is None else model
        if sigmas is None:
            sigmas = self.levels(name, steps)
        noise = torch.cat(
            [comfy.sample.prepare_noise(torch.zeros(1, 3, 64, 64), i) for i in range(PROMPTS)]
        )
        with torch.inference_mode():
            return comfy.sample.sample_custom(
                model, noise, CFG, comfy.samplers.sampler_object(name), sigmas,
                bundled._encode(bundled.texts), bundled.negative, torch.zeros_like(noise),
                disable_pbar=True, seed=1,
            )  # fmt: skip

    def levels(self, name: str, steps: int) -> torch.Tensor:
        """The noise levels that KSampler gives to a sampler."""
        import comfy.samplers

        model = self.bundled.model
        ksampler = comfy.samplers.KSampler(model, steps, model.load_device, name, "simple")
        levels: torch.Tensor = ksampler.sigmas
        return levels

    def skipping(self, name: str, rule: str) -> torch.Tensor:
        """A run by the schedule, with the rule for skipped steps given."""
        module = self.host.module("nodes.cache_wrapper")
        usual: Callable[[Any, str], str] = module.rule_for
        module.rule_for = lambda sampler, estimator: rule
        try:
            apply_schedule = self.host.module("nodes.host").apply_schedule
            model = apply_schedule(self.bundled.model, self.schedule, quiet=True)
            return self.run(name, model)
        finally:
            module.rule_for = usual

    def row(self, name: str) -> dict[str, Any]:
        """Root mean square error of every way against the sampler's own full run."""
        import comfy.samplers

        rules = self.host.module("nodes.sampler_rules")
        sampler = comfy.samplers.sampler_object(name)
        row: dict[str, Any] = {"sampler": name, "stochastic": rules.is_stochastic(sampler)}
        row["rule"] = rules.rule_for(sampler, self.schedule.estimator)
        if row["rule"] == rules.NO_RULE:
            return row | dict.fromkeys(("calls_a_step", *WAYS))
        with counted(self.bundled.model) as (model, calls):
            full = self.run(name, model)
        row["calls_a_step"] = round(calls.predictions / STEPS, 2)
        grid = [float(self.levels(name, STEPS)[t]) for t in self.schedule.computed_steps]
        runs = {
            "reuse": lambda: self.skipping(name, "reuse"),
            "slope": lambda: self.skipping(name, "slope"),
            "denoised": lambda: self.skipping(name, "denoised"),
            "grid": lambda: self.run(name, sigmas=torch.tensor([*grid, 0.0])),
            "fewer": lambda: self.run(name, steps=BUDGET),
        }
        for way in WAYS:
            error = float((runs[way]() - full).square().mean().sqrt())
            row[way] = round(error, 4) if error < 1e4 else None
        return row


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        samplers = Samplers(start_host(Path(folder)))
        import comfy.samplers

        rows = []
        for name in comfy.samplers.KSampler.SAMPLERS:
            if name.endswith("_gpu"):  # the same, with its noise drawn on another device
                continue
            rows.append(samplers.row(name))
            print(rows[-1], flush=True)
    results = {"steps": STEPS, "budget": BUDGET, "prompts": PROMPTS, "rows": rows}
    print("record:", write_record("samplers", "nox -s bench -- samplers", results).name)
