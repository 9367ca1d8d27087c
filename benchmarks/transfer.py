"""One anchor in other runs: are computed steps better kept by progress or by noise level?

The bundled model and anchor, made for 50 steps of the `simple` scheduler. Each case is another step
count, scheduler, shift or denoise; the error is that of the cached run against its own full run.
Runs too short to cache are measured as well, with the rule that they compute every step put off.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.runs.rows import ANCHOR, Row, demo_on, record_rows, rms
from scripts.host.inprocess import Host

BUDGET = 12
PROMPTS = 12


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
SHORT_RUNS = ((4, 3), (6, 4), (8, 6), (10, 6), (12, 6), (16, 8))
"""Steps and budget of runs where caching may not pay."""


class Transfer:
    """Runs of the bundled model with its anchor's schedule placed in two ways."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.bundled = demo_on(host, PROMPTS)
        self.anchor = host.module("nodes.library.files").open_anchor(ANCHOR)
        self.predict = host.core("transport").predict_schedule
        self.apply = host.module("nodes.sampling.host").apply_schedule

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
        latent = None
        if case.denoise < 1.0:  # from a picture of another prompt
            latent = self.bundled.sample(list(range(PROMPTS))[::-1], steps=20)
        return self.bundled.sample_at(sigmas, model, latent=latent)

    def row(self, case: Case) -> Row:
        """Root mean square errors of both placements and of plain fewer steps."""
        model = self.model(case)

        def levels(steps: int) -> torch.Tensor:
            return self.bundled.levels(steps, model, scheduler=case.scheduler, denoise=case.denoise)

        sigmas = levels(case.steps)
        full = self.run(case, model, sigmas)
        place = self.host.core("run_time.run_plan").place_by_levels
        here = self.predict(self.anchor, BUDGET, steps=case.steps).schedule
        made = self.predict(self.anchor, BUDGET).schedule
        by_level = place(made, self.anchor.sampling.sigmas, sigmas.tolist())
        # Without its levels a schedule of as many steps is taken as it is.
        here, by_level = (replace(s, sigmas=None) for s in (here, by_level))
        runs = {
            "progress": self.run(case, self.apply(model, here, quiet=True), sigmas),
            "level": self.run(case, self.apply(model, by_level, quiet=True), sigmas),
            "fewer": self.run(case, model, levels(BUDGET)),
        }
        row: Row = {"case": str(case), "prompts": PROMPTS}
        return row | {way: rms(run, full) for way, run in runs.items()}

    def short_row(self, steps: int, budget: int) -> Row:
        """The same for a run too short to cache, by estimator."""
        sigmas = self.bundled.levels(steps)
        full = self.bundled.sample_at(sigmas)
        schedule = self.predict(self.anchor, budget, steps=steps, below_anchor=True).schedule
        row: Row = {"steps": steps, "budget": budget, "prompts": PROMPTS}
        run_plan = self.host.core("run_time.run_plan")
        least, run_plan.LEAST_STEPS = run_plan.LEAST_STEPS, 2
        try:
            for estimator in ("slope", "reuse"):
                made = replace(schedule, estimator=estimator)
                cached = self.apply(self.bundled.model, made, quiet=True)
                row[estimator] = rms(self.bundled.sample_at(sigmas, cached), full)
        finally:
            run_plan.LEAST_STEPS = least
        row["fewer"] = rms(self.bundled.sample_at(self.bundled.levels(budget)), full)
        return row


def _rows(host: Host) -> Iterator[Row]:
    transfer = Transfer(host)
    yield from (transfer.row(case) for case in CASES)
    yield from (transfer.short_row(*run) for run in SHORT_RUNS)


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    record_rows("transfer", _rows, budget=BUDGET)
