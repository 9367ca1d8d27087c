"""A model on calibration prompts and on held-out prompts: what contestants are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.models import demo
from benchmarks.models.sampled import SampledModel
from benchmarks.runs.searches import SearchBench
from scripts.host.inprocess import Host

HELD_OUT_PROMPTS, SEEDS = 32, 2
FIRST_SEED = 1000
CALIBRATION_PROMPTS = 16


class FidelityBench:
    """The bundled model on held-out prompts, and all that contestants are made from.

    Args:
        host: A ComfyUI in this process.
        work: Folder that keeps what was prepared and measured.
        shared: Folder for what workers share; ``work`` by default.

    Attributes:
        ground: The model and the settings that it is sampled with.
        searches: Graphs and searches on calibration prompts.
        seen: The model on these prompts.
        trajectories: Full runs on these prompts.
        held_out: The model on the prompts that count, each with ``SEEDS`` seeds.
        anchor: The shipped anchor.
    """

    def __init__(self, host: Host, work: Path, shared: Path | None = None) -> None:
        self.host, self.work, self.shared = host, work, shared or work
        work.mkdir(parents=True, exist_ok=True)
        self.ground = demo.build(host)
        self.searches = SearchBench(host, self.ground, CALIBRATION_PROMPTS, work / "calibration")
        self.seen = self.searches.model
        self.trajectories = self.seen.full_runs()
        self.model, self.sigmas = self.ground.model, self.searches.sigmas
        texts = self.ground.prompts("held_out")[:HELD_OUT_PROMPTS] * SEEDS
        self.held_out = SampledModel(host, self.ground, texts, seed=FIRST_SEED)
        self.held_out.full_runs()
        self.anchor = host.core("documents.anchor").load_anchor(demo.PRESET)

    def fresh_model(self) -> Any:
        """The model built anew."""
        return demo.build(self.host).model

    def predicted(self, calls: int, **options: Any) -> Any:
        """The schedule that the anchor predicts."""
        return self.host.core("transport").predict_schedule(self.anchor, calls, **options).schedule

    def our_steps(self, calls: int) -> tuple[int, ...]:
        """The computed steps that the anchor predicts."""
        steps: tuple[int, ...] = self.predicted(calls).computed_steps
        return steps
