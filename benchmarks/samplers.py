"""Every sampler of the host: how far each way to skip a step leads from its own full run.

The bundled model, the bundled anchor, 50 steps. The ways: repeat the last velocity (`reuse`),
extrapolate it (`slope`), repeat the last prediction of the clean picture (`denoised`), give the
computed steps alone to the sampler (`grid`, which is OTCache Sigmas), and plain `fewer` steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from benchmarks.bundled import ANCHOR, STEPS, BundledModel, Row, prompts, record_rows, rms
from benchmarks.counting import counted
from scripts.inprocess import Host

BUDGET = 12
PROMPTS = 12
WAYS = ("reuse", "slope", "denoised", "grid", "fewer")
BROKEN = 1e4
"""An error from which on a way does not run at all."""


class Samplers:
    """Runs of the bundled model by sampler name."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.bundled = BundledModel(host, prompts("held_out")[:PROMPTS])
        anchor = host.module("nodes.library").open_anchor(ANCHOR)
        predict = host.core("transport").predict_schedule
        self.schedule = predict(anchor, BUDGET, steps=STEPS).schedule

    def run(self, name: str, model: Any = None, steps: int = STEPS) -> torch.Tensor:
        """Final latents of all prompts at the sampler's own noise levels."""
        levels = self.bundled.levels(steps, sampler=name)
        return self.bundled.sample_at(levels, model, sampler=name)

    def grid(self, name: str) -> torch.Tensor:
        """A run over the noise levels of computed steps alone."""
        levels = self.bundled.levels(STEPS, sampler=name)
        kept = levels[[*self.schedule.computed_steps, STEPS]]
        return self.bundled.sample_at(kept, sampler=name)

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

    def row(self, name: str) -> Row:
        """Root mean square error of every way against the sampler's own full run."""
        import comfy.samplers

        rules = self.host.module("nodes.sampler_rules")
        sampler = comfy.samplers.sampler_object(name)
        row: Row = {"sampler": name, "stochastic": rules.is_stochastic(sampler)}
        row["rule"] = rules.rule_for(sampler, self.schedule.estimator)
        if row["rule"] == rules.NO_RULE:
            return row | dict.fromkeys(("calls_a_step", *WAYS))
        with counted(self.bundled.model) as (model, calls):
            full = self.run(name, model)
        row["calls_a_step"] = round(calls.predictions / STEPS, 2)
        runs = {
            "reuse": lambda: self.skipping(name, "reuse"),
            "slope": lambda: self.skipping(name, "slope"),
            "denoised": lambda: self.skipping(name, "denoised"),
            "grid": lambda: self.grid(name),
            "fewer": lambda: self.run(name, steps=BUDGET),
        }
        for way in WAYS:
            error = rms(runs[way](), full)
            row[way] = error if error < BROKEN else None
        return row


def _rows(host: Host) -> Iterator[Row]:
    samplers = Samplers(host)
    import comfy.samplers

    for name in comfy.samplers.KSampler.SAMPLERS:
        if not name.endswith("_gpu"):  # the same, with its noise drawn on another device
            yield samplers.row(name)


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    settings = {"steps": STEPS, "budget": BUDGET, "prompts": PROMPTS}
    record_rows("samplers", __doc__, arguments, _rows, **settings)
