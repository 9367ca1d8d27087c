"""Runs the model for a calibration: the host's side of ``otcache_core.calibration.Runner``."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import torch

from ..otcache_core.errors import OTCacheError
from ..otcache_core.perceptual import LPIPS
from ..otcache_core.schedule import Schedule
from ..otcache_core.trajectory import Trajectory, TrajectoryRecorder
from .host import RunStatistics, apply_schedule, is_stochastic, observe_predictions

logger = logging.getLogger("otcache")

_OUT_OF_MEMORY = (getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError), MemoryError)


@dataclass(frozen=True)
class Job:
    """What every run of a calibration shares."""

    model: Any
    vae: Any
    negative: list[Any]
    latent: dict[str, Any]
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    seed: int

    def sigmas(self) -> tuple[float, ...]:
        """The noise levels that the host's KSampler makes for these settings."""
        sampler = comfy.samplers.KSampler(
            self.model,
            steps=self.steps,
            device=self.model.load_device,
            sampler=self.sampler,
            scheduler=self.scheduler,
            denoise=1.0,
            model_options=self.model.model_options,
        )
        return tuple(sampler.sigmas.tolist())


def _check_sampler(name: str) -> None:
    """Refuses samplers whose full runs say nothing about schedules.

    Raises:
        OTCacheError: If the sampler adds noise, or computes every step whatever the schedule is.
    """
    if "cfg_pp" in name or is_stochastic(comfy.samplers.sampler_object(name)):
        raise OTCacheError(
            "calibration needs a sampler without noise of its own and without CFG++ but got "
            f'"{name}": choose "euler".'
        )


class HostRunner:
    """Full runs, cached runs and their distance, on ComfyUI's samplers.

    Args:
        job: Model and settings.
        positives: One conditioning per prompt.
        lpips: The distance.

    Raises:
        OTCacheError: If the sampler cannot be calibrated with.
    """

    def __init__(self, job: Job, positives: list[Any], lpips: LPIPS) -> None:
        _check_sampler(job.sampler)
        self.job = job
        self.positives = positives
        self.lpips = lpips
        self.prompts = len(positives)
        self.model_calls = 0
        self._references: list[torch.Tensor] = []
        self._sigmas = job.sigmas()

    def full_run(self, prompt: int) -> Trajectory:
        """Runs all steps on a prompt, keeps its picture as reference, returns the trajectory."""
        recorder = TrajectoryRecorder(self._sigmas)
        watched = observe_predictions(self.job.model, recorder.add)
        samples = self._sample(watched, prompt)
        self.model_calls += self.job.steps
        trajectory = recorder.finish()
        self._references.append(self._decode(samples))
        return trajectory

    def loss(self, schedule: Schedule) -> float:
        """Mean LPIPS of the schedule's pictures to the full runs'; NaN if one cannot be had."""
        cached = apply_schedule(self.job.model, schedule, self._count, quiet=True)
        total = 0.0
        try:
            for prompt in range(self.prompts):
                total += self._distance(cached, prompt)
        except (OTCacheError, *_OUT_OF_MEMORY) as error:
            logger.warning(
                "OTCache calibration: schedule %s failed and counts as lost: %s",
                list(schedule.computed_steps), error,
            )  # fmt: skip
            return math.nan
        return total / self.prompts

    def _distance(self, model: Any, prompt: int) -> float:
        picture = self._decode(self._sample(model, prompt))
        return float(self.lpips(picture, self._references[prompt]).mean())

    def _count(self, done: RunStatistics) -> None:
        self.model_calls += done.evaluations

    def _sample(self, model: Any, prompt: int) -> torch.Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        job = self.job
        seed = job.seed + prompt
        latent = comfy.sample.fix_empty_latent_channels(job.model, job.latent["samples"])
        noise = comfy.sample.prepare_noise(latent, seed)
        negative = job.negative[prompt % len(job.negative)]
        return comfy.sample.sample(
            model, noise, job.steps, job.cfg, job.sampler, job.scheduler,
            self.positives[prompt], negative, latent, disable_pbar=True, seed=seed,
        )  # fmt: skip

    def _decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Pictures ``(N, H, W, 3)``; a video's frames one after the other."""
        picture = self.job.vae.decode(samples)
        return picture.reshape(-1, *picture.shape[-3:]).float().cpu()
