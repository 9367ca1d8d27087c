"""A ground model on calibration and on held-out prompts: what contestants are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.instruments.kept import Kept
from benchmarks.models import grounds
from benchmarks.models.sampled import STEPS, SampledModel
from benchmarks.runs.anchors import anchor_of
from benchmarks.runs.searches import SearchBench
from scripts.host.inprocess import Host

FIRST_SEED = 1000
ABOUT = "about.json"
"""What a ground's folder is of."""


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        calibration_prompts: Prompts that settings are tuned on.
        held_out_prompts: Prompts that count.
        seeds: Pictures of each of them.
        tiny_anchor: Whether an anchor that is missing is made in seconds, good for nothing.
        new_anchor: Whether the anchor is made anew where one is kept beside the records.
    """

    calibration_prompts: int = 16
    held_out_prompts: int = 32
    seeds: int = 2
    tiny_anchor: bool = False
    new_anchor: bool = False


SHORT = Extent(calibration_prompts=10, held_out_prompts=16, seeds=1)
QUICK = Extent(calibration_prompts=2, held_out_prompts=2, seeds=1, tiny_anchor=True)


class FidelityBench:
    """A model on held-out prompts, and all that contestants are made from.

    Args:
        host: A ComfyUI in this process.
        name: One of the grounds.
        work: Folder that keeps what was prepared; processes may share it, each with budgets of
            its own.
        extent: How much is measured.

    Attributes:
        ground: The model and the settings that it is sampled with.
        searches: Graphs and searches on calibration prompts.
        seen: The model on these prompts, with the pictures of its full runs.
        held_out: The same on the prompts that count, each with its seeds.
    """

    def __init__(self, host: Host, name: str, work: Path, extent: Extent) -> None:
        self.host, self.name, self.work, self.extent = host, name, work, extent
        work.mkdir(parents=True, exist_ok=True)
        self.ground = ground = grounds.build(host, name)
        self.model = ground.model
        self._say_what_it_is()
        self.searches = SearchBench(host, ground, extent.calibration_prompts, work / "searches")
        self.sigmas = self.searches.sigmas
        self.seen = self.searches.model
        self.seen.keep_references(work / "seen.pt")
        texts = ground.prompts("held_out")[: extent.held_out_prompts] * extent.seeds
        self.held_out = SampledModel(host, ground, texts, seed=FIRST_SEED)
        self.held_out.keep_references(work / "held_out.pt")

    def _say_what_it_is(self) -> None:
        """Notes what the folder is of, and refuses one that is of something else."""
        ground, extent, kept = self.ground, self.extent, Kept(self.work / ABOUT)
        about = {
            "model": self.name, "architecture": type(self.model.model).__name__,
            "weights": grounds.digest(self.name), "latent": list(ground.latent.shape[1:]),
            "steps": STEPS, "cfg": ground.cfg, "sampler": ground.sampler,
            "scheduler": ground.scheduler, "calibration_prompts": extent.calibration_prompts,
            "prompts": extent.held_out_prompts, "seeds": extent.seeds,
        }  # fmt: skip
        before = kept.lines.get("about", about)
        if before != about:
            raise ValueError(f"{self.work.name}'s folder must be of {about} but is of {before}.")
        if not kept.lines:
            kept.put("about", about)

    @cached_property
    def trajectories(self) -> list[Any]:
        """Full runs on the calibration prompts."""
        return self.seen.full_runs()

    @cached_property
    def anchor(self) -> Any:
        """The model's anchor."""
        extent = self.extent
        return anchor_of(
            *(self.name, self.seen, self.work), tiny=extent.tiny_anchor, anew=extent.new_anchor
        )

    def fresh_model(self) -> Any:
        """The model built anew."""
        return grounds.build(self.host, self.name).model

    def predicted(self, calls: int, **options: Any) -> Any:
        """The schedule that the anchor predicts."""
        return self.host.core("transport").predict_schedule(self.anchor, calls, **options).schedule

    def our_steps(self, calls: int) -> tuple[int, ...]:
        """The computed steps that the anchor predicts."""
        steps: tuple[int, ...] = self.predicted(calls).computed_steps
        return steps
