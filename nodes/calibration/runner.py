"""Runs the model for a calibration: the host's side of ``otcache_core.calibration.run.Runner``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import numpy as np
import torch

from ...otcache_core.calibration.full_runs import evenly, state_elements
from ...otcache_core.calibration.memo import PrefixMemo
from ...otcache_core.documents.schedule import Schedule
from ...otcache_core.errors import EvaluationError, OTCacheError
from ...otcache_core.measures.perceptual import LPIPS
from ...otcache_core.trajectory import Trajectory, TrajectoryRecorder
from ..sampling.host import apply_schedule, is_stochastic, observe_predictions
from ..sampling.statistics import RunStatistics

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


def streams(latent: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors of a LATENT: the picture's first, where it holds sound as well."""
    samples = latent["samples"]
    return list(samples.unbind()) if getattr(samples, "is_nested", False) else [samples]


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


class _Arrived(Exception):
    """Ends a run that is wanted up to a step only."""

    def __init__(self, state: np.ndarray) -> None:
        super().__init__()
        self.state = state


class HostRunner:
    """Full runs, cached runs and their distance, on ComfyUI's samplers.

    Args:
        job: Model and settings.
        positives: One conditioning per prompt.
        lpips: The distance.
        memo: Keeps model calls that candidates share.

    Attributes:
        model_calls: Guided predictions made so far.
        pictures: The newest 8-bit picture of each prompt, its first frame.

    Raises:
        OTCacheError: If the sampler cannot be calibrated with.
    """

    def __init__(
        self, job: Job, positives: list[Any], lpips: LPIPS, memo: PrefixMemo | None = None
    ) -> None:
        _check_sampler(job.sampler)
        self.job = job
        self.positives = positives
        self.lpips = lpips
        self.memo = memo or PrefixMemo()
        self.prompts = len(positives)
        self.pictures: dict[int, np.ndarray] = {}
        self._full_calls = 0
        self._sigmas = job.sigmas()

    @property
    def model_calls(self) -> int:
        """Guided predictions made so far."""
        return self._full_calls + self.memo.calls

    def full_run(self, prompt: int) -> tuple[Trajectory, np.ndarray]:
        """Runs all steps on a prompt; the trajectory and its 8-bit pictures ``(N, H, W, 3)``."""
        recorder = TrajectoryRecorder(self._sigmas)

        def observe(x: torch.Tensor, denoised: torch.Tensor) -> None:
            self._full_calls += 1
            recorder.add(x, denoised)

        samples = self._sample(observe_predictions(self.job.model, observe), prompt)
        return recorder.finish(), self._decode(samples)

    def loss(self, schedule: Schedule, prompt: int, reference: np.ndarray) -> float:
        """LPIPS of the schedule's picture to the full run's, the mean over frames.

        Raises:
            EvaluationError: If the picture cannot be had: NaN, or out of memory.
        """
        memo = self.memo.for_run(prompt, schedule)
        cached = apply_schedule(self.job.model, schedule, quiet=True, memo=memo)
        try:
            picture = self._decode(self._sample(cached, prompt))
            self.pictures[prompt] = picture[0]
            return float(self.lpips(_unit(picture), _unit(reference)).mean())
        except (OTCacheError, *_OUT_OF_MEMORY) as error:
            raise EvaluationError(
                f"schedule {list(schedule.computed_steps)} has no picture of prompt {prompt}: "
                f"{error}"
            ) from error

    def state_at(self, schedule: Schedule, prompt: int, step: int) -> np.ndarray:
        """Elements of the latent when the schedule's run arrives at a computed step.

        Raises:
            EvaluationError: If the run never arrives there, or runs out of memory.
        """
        remembered = self.memo.for_run(prompt, schedule)

        def until(at: int, x: torch.Tensor, predict: Callable[[], torch.Tensor]) -> torch.Tensor:
            if at >= step:
                raise _Arrived(state_elements(x))
            return remembered(at, x, predict)

        try:
            self._sample(apply_schedule(self.job.model, schedule, quiet=True, memo=until), prompt)
        except _Arrived as arrived:
            return arrived.state
        except (OTCacheError, *_OUT_OF_MEMORY) as error:
            raise EvaluationError(f"the run of prompt {prompt} failed: {error}") from error
        raise EvaluationError(f"the run of prompt {prompt} must arrive at step {step} but did not.")

    def steadiness(self, schedule: Schedule, prompt: int) -> float | None:
        """What a run that learns shows of how slopes go on, or ``None`` for nothing.

        Raises:
            EvaluationError: If the run fails or runs out of memory.
        """
        seen: list[RunStatistics] = []
        memo = self.memo.for_run(prompt, schedule)
        cached = apply_schedule(self.job.model, schedule, seen.append, quiet=True, memo=memo)
        try:
            self._sample(cached, prompt)
        except (OTCacheError, *_OUT_OF_MEMORY) as error:
            raise EvaluationError(f"the run of prompt {prompt} failed: {error}") from error
        return seen[0].steadiness if seen else None

    def remembered_runs(self, budget: int) -> int:
        """How many prompts' runs of so many model calls the memo holds at once."""
        size = sum(part.numel() for part in streams(self.job.latent)) * torch.float32.itemsize
        return 0 if self.memo.place == "off" else self.memo.max_bytes // (budget * size)

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

    def _decode(self, samples: torch.Tensor) -> np.ndarray:
        """Pictures as they would be saved, 8 bit; a video's frames one after the other.

        Raises:
            OTCacheError: If a picture holds NaN.
        """
        picture = self.job.vae.decode(streams({"samples": samples})[0])
        picture = picture.reshape(-1, *picture.shape[-3:])
        picture = picture[evenly(len(picture))]
        if not bool(torch.isfinite(picture).all()):
            raise OTCacheError("the picture must be finite but holds NaN or infinity.")
        return (picture.float().clamp(0.0, 1.0) * 255.0).round().to("cpu", torch.uint8).numpy()


def _unit(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).float() / 255.0
