"""Every sampler of the host: how far each way to skip a step leads from its own full run.

The bundled model, the bundled anchor, 50 steps. The ways: repeat the last velocity (`reuse`),
extrapolate it (`slope`, by the anchor's gains; `damped slope`, by 0.6 at most; `adaptive`, by what
the run learns of itself, as the generic presets do), repeat the last prediction of the clean
picture (`denoised`), give the computed steps alone to the sampler (`grid`, which is OTCache
Sigmas), and plain `fewer` steps.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from benchmarks.instruments.counting import counted
from benchmarks.instruments.record import RECORDS
from benchmarks.models.sampled import STEPS
from benchmarks.runs.rows import ANCHOR, Row, demo_on, record_rows, rms
from scripts.host.inprocess import Host

BUDGET = 12
PROMPTS = 12
RULES = ("reuse", "slope", "damped slope", "denoised")
"""What skipped steps may do by a schedule with fitted slopes."""
TRIED = (*RULES, "adaptive")
WAYS = (*TRIED, "grid", "fewer")
BROKEN = 1e4
"""An error from which on a way does not run at all."""


class Samplers:
    """Runs of the bundled model by sampler name."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.bundled = demo_on(host, PROMPTS)
        anchor = host.module("nodes.library.files").open_anchor(ANCHOR)
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
        module = self.host.module("nodes.sampling.cache_wrapper")
        usual: Callable[[Any, str], str] = module.rule_for
        module.rule_for = lambda sampler, estimator: rule
        try:
            apply_schedule = self.host.module("nodes.sampling.host").apply_schedule
            model = apply_schedule(self.bundled.model, self.schedule, quiet=True)
            return self.run(name, model)
        finally:
            module.rule_for = usual

    def row(self, name: str) -> Row:
        """Root mean square error of every way against the sampler's own full run."""
        import comfy.samplers

        rules = self.host.module("nodes.sampling.sampler_rules")
        sampler = comfy.samplers.sampler_object(name)
        row: Row = {"sampler": name, "prompts": PROMPTS}
        row["stochastic"] = rules.is_stochastic(sampler)
        row["rule"] = rules.rule_for(sampler, self.schedule.estimator)
        if row["rule"] == rules.NO_RULE:
            return row | dict.fromkeys(("calls_a_step", *WAYS))
        with counted(self.bundled.model) as (model, calls):
            full = self.run(name, model)
        row["calls_a_step"] = round(calls.predictions / STEPS, 2)
        runs = {rule: self.skipping(name, rule) for rule in TRIED}
        runs |= {"grid": self.grid(name), "fewer": self.run(name, steps=BUDGET)}
        errors = {way: rms(run, full) for way, run in runs.items()}
        return row | {way: e if e < BROKEN else None for way, e in errors.items()}


def _measure(host: Host, only: Sequence[str]) -> Iterator[Row]:
    record = json.loads((RECORDS / "samplers.json").read_text(encoding="utf-8"))["results"]
    kept = {row["sampler"]: row for row in record["rows"]}
    samplers = Samplers(host)
    import comfy.samplers
    from comfyui_version import __version__ as version

    for name in comfy.samplers.KSampler.SAMPLERS:
        if name.endswith("_gpu"):  # the same, with its noise drawn on another device
            continue
        known = kept.pop(name, None)
        measured = known is None or not only or name in only
        yield samplers.row(name) | {"comfyui": version} if measured else known
    yield from kept.values()  # of samplers that this host lacks


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        default=(),
        metavar="SAMPLER",
        help="measure these, and keep the record's rows of the others",
    )
    only = parser.parse_args(arguments).only
    record_rows("samplers", lambda host: _measure(host, only), steps=STEPS, budget=BUDGET)
