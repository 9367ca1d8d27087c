"""What a contestant of the fidelity benchmark is: a way to sample with a given number of calls.

Each module beside this one that has a ``CONTESTANTS`` takes part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.instruments.counting import counted
from benchmarks.instruments.equivalents import Work
from benchmarks.models.ground_model import GroundModel
from benchmarks.models.sampled import BATCH, STEPS, SampledModel
from benchmarks.runs.searches import SearchBench
from scripts.host.inprocess import Host

logger = logging.getLogger("otcache")


ON_OURS = "on OTCache's steps (our re-implementation)"
"""Ends the name of an estimator that has no steps of its own: tables set them apart by it."""


@dataclass(frozen=True)
class Configured:
    """A model and how to sample it.

    Attributes:
        model: A ComfyUI ModelPatcher: a clone, patched.
        steps: Sampler steps.
        sampler: ComfyUI's name.
        sigmas: Own noise levels instead of ``steps`` and the model's scheduler, or ``None``.
        batch: How many prompts may be sampled in one batch; 1 for caches that decide per batch.
        note: What the record says of the settings that were chosen.
        work: Where a cache that evaluates parts of a forward tells its model-call equivalents.
    """

    model: Any
    steps: int = STEPS
    sampler: str = "euler"
    sigmas: tuple[float, ...] | None = None
    batch: int = BATCH
    note: str = ""
    work: Work | None = None


class Bench(Protocol):
    """What contestants are made from.

    Attributes:
        host: The host with the pack in it.
        ground: The model that is measured, and the settings that it is sampled with.
        seen: The model on calibration prompts, which settings may be tuned on.
        searches: Graphs of these prompts, and searches there.
        work: A folder that keeps what was prepared, for processes that share it: files are of one
            budget, or replaced whole.
    """

    host: Host
    ground: GroundModel
    seen: SampledModel
    searches: SearchBench
    work: Path

    @property
    def model(self) -> Any:
        """The model's patcher."""

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise levels of a full run."""

    @property
    def trajectories(self) -> list[Any]:
        """Full runs on the calibration prompts, a Trajectory of the pack's core each."""

    @property
    def anchor(self) -> Any:
        """The model's anchor."""

    def fresh_model(self) -> Any:
        """The model built anew, for what replaces parts of it."""

    def predicted(self, calls: int, **options: Any) -> Any:
        """The schedule that the model's anchor predicts."""

    def our_steps(self, calls: int) -> tuple[int, ...]:
        """The computed steps that OTCache predicts at that budget."""


Contestant = Callable[[Bench, int], "Configured | None"]
"""(bench, calls) -> how to sample with that many model calls, or ``None`` after ``refuse``."""


def refuse(name: str, calls: int, why: str) -> None:
    """Logs why a contestant cannot be had at a number of calls."""
    logger.warning("%s at %d calls: left out, %s", name, calls, why)


def sample(
    sampled: SampledModel, how: Configured, indices: Sequence[int]
) -> tuple[torch.Tensor, list[float]]:
    """Samples some prompts.

    Returns:
        The final latents, and for each prompt how often the model really worked, or the
        equivalents of that.
    """
    latents: list[torch.Tensor] = []
    calls: list[float] = []
    for batch in sampled.batches(indices, how.batch):
        with counted(how.model) as (model, asked):
            latents.append(
                sampled.sample(
                    batch, model, steps=how.steps, sampler=how.sampler, sigmas=how.sigmas,
                )
            )  # fmt: skip
        calls += how.work.equivalents if how.work else [asked.worked] * len(batch)
    return torch.cat(latents), calls
