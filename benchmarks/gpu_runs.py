"""Runs of one full-size model through the host's sampler: seconds, waits and memory."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu_models import FullSize
from benchmarks.speed_runs import peak_bytes
from benchmarks.step_clock import (
    Apply,
    StepClock,
    device_mark,
    device_seconds,
    median_ms,
    surround,
    unchanged,
)
from scripts.inprocess import Host

STEPS = 50
SHORT_STEPS, SHORT_COMPUTED = 8, (0, 2, 5, 7)
"""A run for the profiler, whose traces grow with every step."""

WAITS = (
    "cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize",
    "aten::_local_scalar_dense",
)  # fmt: skip
"""Events of torch's profiler in which the program waits for the device; ``.item()`` is the last."""
PREDICTION, HOST_PREDICTION = "guided prediction", "the host's guided prediction"

Row = dict[str, Any]


def wait_for_device() -> None:
    """Lets the GPU, if there is one, finish what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory(work: Callable[[], None]) -> int:
    """The most memory of tensors at one time while ``work`` runs, on the device or the CPU."""
    if not torch.cuda.is_available():
        return peak_bytes(work)
    wait_for_device()
    torch.cuda.reset_peak_memory_stats()
    work()
    wait_for_device()
    return torch.cuda.max_memory_allocated()


class FullRuns:
    """One model, its runs and what they cost.

    Args:
        host: A ComfyUI in this process.
        full: Which model, full-size or shrunk.
        dtype: Of its weights.
    """

    def __init__(self, host: Host, full: FullSize, dtype: torch.dtype) -> None:
        self.host, self.full = host, full
        self.parts = full.build(dtype)
        self.latent: torch.Tensor | None = None
        self.sample(steps=2)  # libraries choose their kernels in the first forward

    def sample(self, apply: Apply = unchanged, steps: int = STEPS) -> float:
        """Seconds of one run of 'euler' on 'simple' noise levels, the device waited for.

        Raises:
            RuntimeError: The latent holds NaN or infinity.
        """
        import comfy.sample

        parts = self.parts
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(self.full.latent, generator=generator)
        wait_for_device()
        start = time.perf_counter()
        with torch.inference_mode():
            latent = comfy.sample.sample(
                apply(parts.model), noise, steps, self.full.cfg, "euler", "simple",
                parts.positive, parts.negative, torch.zeros_like(noise), disable_pbar=True,
                seed=1,
            )  # fmt: skip
        wait_for_device()
        seconds = time.perf_counter() - start
        if not bool(latent.isfinite().all()):
            raise RuntimeError("random weights must give finite latents: lower SPREAD.")
        self.latent = latent
        return seconds

    def plain(self) -> Row:
        """All steps computed."""
        times = [self.sample() for _ in range(self.full.repeats)]
        return {"computed": STEPS, "seconds": statistics.median(times)}

    def _pack(self, schedule: Any, done: list[Any]) -> Apply:
        apply_schedule = self.host.module("nodes.host").apply_schedule
        return lambda model: apply_schedule(model, schedule, done.append, quiet=True)

    def cached(self, budget: int) -> Row:
        """A run of ``budget`` model calls: seconds, and the work that the pack gives the device.

        Returns:
            ``skipped_call_ms``: how long the sampler waits for a skipped step's answer, and
            ``skipped_device_ms``, ``added_device_ms``: the device's time from before a prediction
            to after it, at skipped steps, and beyond the host's own at computed ones.
        """
        anchor = self.host.module("nodes.library").open_anchor(self.full.anchor)
        schedule = self.host.core("transport").predict_schedule(anchor, budget).schedule
        done: list[Any] = []
        apply = self._pack(schedule, done)
        times = [self.sample(apply) for _ in range(self.full.repeats)]
        calls, device = StepClock(), self._device_clock()
        self.sample(lambda model: calls.watch(model, apply))
        self.sample(lambda model: device.watch(model, apply))
        return {
            "computed": done[-1].computed,
            "seconds": statistics.median(times),
            "skipped_call_ms": median_ms(calls.skipped),
            "skipped_device_ms": median_ms(device.skipped),
            "added_device_ms": median_ms(device.added),
            "cached_bytes": done[-1].cached_bytes,
        }

    @staticmethod
    def _device_clock() -> StepClock:
        if torch.cuda.is_available():
            return StepClock(device_mark, device_seconds)
        return StepClock()

    def decode(self) -> Row:
        """The VAE on the last latent: the first time, which moves weights, and again."""
        if self.latent is None:
            self.sample(steps=2)
        vae = self.full.build_vae()
        times = []
        for _ in range(2):
            wait_for_device()
            start = time.perf_counter()
            with torch.inference_mode():
                picture = vae.decode(self.latent)
            wait_for_device()
            times.append(time.perf_counter() - start)
        return {
            "first_seconds": times[0],
            "seconds": times[1],
            "shape": list(picture.shape),
            "dtype": str(vae.vae_dtype).removeprefix("torch."),
        }

    def short_schedule(self) -> Any:
        """A schedule for the profiler's run."""
        return self.host.core("schedule").Schedule(SHORT_STEPS, SHORT_COMPUTED)

    def memory(self) -> Row:
        """Peak memory of a plain run and of a cached one, in bytes."""
        done: list[Any] = []
        apply = self._pack(self.short_schedule(), done)
        plain = peak_memory(lambda: self._short(unchanged))
        cached = peak_memory(lambda: self._short(apply))
        held = done[-1].cached_bytes
        return {"plain": plain, "cached": cached, "extra": cached - plain, "held": held}

    def _short(self, apply: Apply) -> None:
        self.sample(apply, steps=SHORT_STEPS)

    def waits(self) -> Row:
        """Waits for the device in short runs, and which of them the pack adds.

        Returns:
            ``plain`` and ``cached``: all waits of a run by name; ``skipped`` and ``computed``: the
            pack's own in all skipped and all computed steps of the cached run.
        """
        plain = self._profile(unchanged)
        cached = self._profile(self._pack(self.short_schedule(), []))
        return {
            "steps": SHORT_STEPS,
            "computed_steps": len(SHORT_COMPUTED),
            "plain": plain["run"],
            "cached": cached["run"],
            "skipped": cached["skipped"],
            "computed": cached["computed"],
        }

    def _profile(self, apply: Apply) -> dict[str, dict[str, int]]:
        from comfy.patcher_extension import WrappersMP
        from torch.profiler import ProfilerActivity, profile, record_function

        def named(name: str) -> Any:
            def wrapper(executor: Any, *args: Any, **kwargs: Any) -> Any:
                with record_function(name):
                    return executor(*args, **kwargs)

            return {WrappersMP.PREDICT_NOISE: wrapper}

        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        watched = surround(self.parts.model, apply, named(PREDICTION), named(HOST_PREDICTION))
        with profile(activities=activities) as profiler:
            self._short(lambda model: watched)
        return count_waits(profiler.events())


def count_waits(events: Any) -> dict[str, dict[str, int]]:
    """Counts ``WAITS`` among a profiler's events.

    Returns:
        Counts by name: ``run`` of all; ``skipped`` and ``computed`` of those in a guided prediction
        but not in the host's own, where that is missing and where it is there.
    """
    cpu = torch.autograd.DeviceType.CPU
    events = [event for event in events if event.device_type == cpu]
    predictions = [e.time_range for e in events if e.name == PREDICTION]
    hosts = [e.time_range for e in events if e.name == HOST_PREDICTION]
    found: dict[str, Counter[str]] = {k: Counter() for k in ("run", "skipped", "computed")}
    for event in (e for e in events if e.name in WAITS):
        found["run"][event.name] += 1
        within = [p for p in predictions if _holds(p, event.time_range)]
        if within and not any(_holds(h, event.time_range) for h in hosts):
            computed = any(_holds(within[0], h) for h in hosts)
            found["computed" if computed else "skipped"][event.name] += 1
    return {kind: dict(counts) for kind, counts in found.items()}


def _holds(outer: Any, inner: Any) -> bool:
    return bool(outer.start <= inner.start and inner.end <= outer.end)
