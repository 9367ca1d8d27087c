"""What a contestant of the fidelity benchmark is: a way to sample with a given number of calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.instruments.counting import counted
from benchmarks.models.bundled import BATCH, STEPS, BundledModel
from scripts.host.inprocess import Host

logger = logging.getLogger("otcache")


@dataclass(frozen=True)
class Configured:
    """A model and how to sample it.

    Attributes:
        model: A ComfyUI ModelPatcher: a clone, patched.
        steps: Sampler steps.
        sampler, scheduler: ComfyUI's names.
        sigmas: Own noise levels instead of ``steps`` and ``scheduler``, or ``None``.
        batch: How many prompts may be sampled in one batch; 1 for caches that decide per batch.
        note: What the record says of the settings that were chosen.
    """

    model: Any
    steps: int = STEPS
    sampler: str = "euler"
    scheduler: str = "simple"
    sigmas: tuple[float, ...] | None = None
    batch: int = BATCH
    note: str = ""


class Bench(Protocol):
    """What contestants are made from.

    Attributes:
        host: The host with the pack in it.
        model: The bundled model's patcher.
        bundled: The bundled model on calibration prompts.
        trajectories: Full runs on the first of these prompts, ``otcache_core`` Trajectory each.
        sigmas: Noise levels of a full run.
        work: A folder that keeps what was prepared.
        shared: The same for what workers share.
    """

    host: Host
    model: Any
    bundled: BundledModel
    trajectories: list[Any]
    sigmas: tuple[float, ...]
    work: Path
    shared: Path

    def our_steps(self, calls: int) -> tuple[int, ...]:
        """The computed steps that OTCache predicts at that budget."""


Contestant = Callable[[Bench, int], "Configured | None"]
"""(bench, calls) -> how to sample with that many model calls, or ``None`` after ``refuse``."""


def refuse(name: str, calls: int, why: str) -> None:
    """Logs why a contestant cannot be had at a number of calls."""
    logger.warning("%s at %d calls: left out, %s", name, calls, why)


def sample(
    bundled: BundledModel, how: Configured, indices: Sequence[int]
) -> tuple[torch.Tensor, list[int]]:
    """Samples some prompts.

    Returns:
        The final latents, and for each prompt how often the model really worked.
    """
    latents, calls = [], []
    for batch in bundled.batches(indices, how.batch):
        with counted(how.model) as (model, asked):
            latents.append(
                bundled.sample(
                    batch, model, steps=how.steps, sampler=how.sampler, scheduler=how.scheduler,
                    sigmas=how.sigmas,
                )
            )  # fmt: skip
        calls += [asked.worked] * len(batch)
    return torch.cat(latents), calls
