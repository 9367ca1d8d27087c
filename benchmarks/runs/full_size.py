"""Runs of one full-size model through the host's sampler: seconds, waits and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.instruments.step_clock import (
    Apply,
    StepClock,
    median_ms,
    unchanged,
)
from benchmarks.instruments.waits import summary
from benchmarks.models.full_size import FullSize
from benchmarks.runs.timed import peak_bytes
from benchmarks.runs.traced_waits import traced_waits
from scripts.host.inprocess import Host

STEPS = 50
OWN_STEPS, OWN_DEFAULT = 20, 16
"""Steps of a user's own, before the node OTCache, and its calls there on a model that it does not
know: random weights would show it one that goes straight on."""
EASYCACHE_THRESHOLD = 1e9
"""Skips wherever EasyCache may: what a skipped step costs does not depend on how many there are."""
SHORT_STEPS, SHORT_COMPUTED = 12, (0, 3, 6, 8, 11)
"""A run for the profiler, whose traces grow with every step."""
CLOCKED_BUDGET = 10

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


def both_marks() -> tuple[float, Any]:
    """A reading of the wall clock, and the point in the work given to the GPU, if there is one."""
    if not torch.cuda.is_available():
        return time.perf_counter(), None
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return time.perf_counter(), event


def call_seconds(start: tuple[float, Any], end: tuple[float, Any]) -> float:
    """Seconds by the wall clock."""
    return end[0] - start[0]


def device_seconds(start: tuple[float, Any], end: tuple[float, Any]) -> float:
    """Seconds of the GPU, which has passed both points; of the wall clock where there is none."""
    if start[1] is None:
        return call_seconds(start, end)
    return float(start[1].elapsed_time(end[1])) / 1e3


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
        return {"computed": STEPS, "seconds": round(statistics.median(times), 4)}

    def _pack(self, schedule: Any, done: list[Any]) -> Apply:
        apply_schedule = self.host.module("nodes.sampling.host").apply_schedule
        return lambda model: apply_schedule(model, schedule, done.append, quiet=True)

    def _predicted(self, budget: int) -> Any:
        anchor = self.host.module("nodes.library.files").open_anchor(self.full.anchor)
        return self.host.core("transport").predict_schedule(anchor, budget).schedule

    def cached(self, budget: int) -> Row:
        """A run of ``budget`` model calls."""
        done: list[Any] = []
        apply = self._pack(self._predicted(budget), done)
        times = [self.sample(apply) for _ in range(self.full.repeats)]
        return {
            "computed": done[-1].computed,
            "seconds": round(statistics.median(times), 4),
            "cached_bytes": done[-1].cached_bytes,
        }

    def steps(self) -> Row:
        """What the pack adds to the steps of one run, in milliseconds.

        Returns:
            By the program's clock (``call``), which waits for nothing, and by the device's own
            (``device``): a whole skipped prediction, and what is added to a computed one.
        """
        apply = self._pack(self._predicted(CLOCKED_BUDGET), [])
        return self._clocked(apply, lambda clock: clock.added)[1]

    def _clocked(self, apply: Apply, added: Callable[[StepClock], list[float]]) -> tuple[int, Row]:
        """One run's computed steps, and what a step costs by both clocks.

        Args:
            apply: What is applied to the model.
            added: What it adds to computed steps, by a clock.
        """
        clock = StepClock(both_marks, call_seconds)
        self.sample(lambda model: clock.watch(model, apply))
        device = replace(clock, seconds=device_seconds)
        return len(clock.computed), {
            "skipped_call_ms": median_ms(clock.skipped),
            "computed_call_ms": median_ms(added(clock)),
            "skipped_device_ms": median_ms(device.skipped),
            "computed_device_ms": median_ms(added(device)),
        }

    def easycache(self) -> Row:
        """The host's EasyCache in the terms of ``steps``, skipping all that it may."""

        def apply(model: Any) -> Any:
            return self.host.run(
                "EasyCache", model=model, reuse_threshold=EASYCACHE_THRESHOLD, start_percent=0.15,
                end_percent=0.95, verbose=False,
            ).outputs[0]  # fmt: skip

        computed, costs = self._clocked(apply, lambda clock: clock.added_to_model)
        return {"computed": computed, **costs}

    def one_node(self) -> Row:
        """The node OTCache before a sampler of 20 steps, with the calls that it begins with.

        Returns:
            Seconds of the 20 steps without it (``plain_seconds``), of the node itself, which reads
            a few weights (``node_seconds``), of the first picture, from which it learns, and of a
            later one; their model calls, the steps of the grid, and the peak memory that a later
            one adds to the plain run's.
        """
        clock = StepClock(both_marks, call_seconds)

        def node(model: Any) -> Any:
            inputs = {"model": model, "calls": OWN_DEFAULT, "grid": "fine"}
            return self.host.run("OTCacheAuto", **inputs).outputs[0]

        def run(model: Any) -> float:
            return self.sample(lambda _: model, steps=OWN_STEPS)

        plain = [run(self.parts.model) for _ in range(self.full.repeats)]
        wait_for_device()
        start = time.perf_counter()
        cached = clock.watch(self.parts.model, node)
        wait_for_device()
        node_seconds = time.perf_counter() - start
        first, *later = [run(cached) for _ in range(1 + self.full.repeats)]
        peaks = [peak_memory(lambda m=model: run(m)) for model in (self.parts.model, cached)]
        calls = [sum("model" in step for step in steps) for steps in clock.runs]
        return {
            "steps": OWN_STEPS,
            "plain_seconds": round(statistics.median(plain), 4),
            "node_seconds": round(node_seconds, 4),
            "first_seconds": round(first, 4),
            "seconds": round(statistics.median(later), 4),
            "first_computed": calls[0],
            "computed": calls[1],
            "grid": len(clock.runs[1]),
            "extra": peaks[1] - peaks[0],
        }

    def calibration(self) -> Row:
        """A quick calibration on one prompt: its seconds, and those of its model calls alone."""
        clock = StepClock(both_marks, call_seconds)
        parts, vae = self.parts, self.full.build_vae()
        wait_for_device()
        start = time.perf_counter()
        anchor = self.host.run(
            "OTCacheCalibrateAnchor",
            positive=[parts.positive], negative=[parts.negative], model=[clock.watch(parts.model)],
            vae=[vae], latent_image=[parts.latent], name=[self.full.name], steps=[STEPS],
            cfg=[self.full.cfg], sampler_name=["euler"], scheduler=["simple"],
            reference_budget=[20], anchor_budget=[8], trials=[1], patience=[1], seed=[0],
            estimator=["slope"], size=["quick"],
        ).outputs[0]  # fmt: skip
        wait_for_device()
        seconds = time.perf_counter() - start
        device = replace(clock, seconds=device_seconds)
        return {
            "seconds": round(seconds, 4),
            "model_calls": anchor.calibration.model_calls,
            "model_seconds": round(sum(device.computed), 4),
        }

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
            "first_seconds": round(times[0], 4),
            "seconds": round(times[1], 4),
            "shape": list(picture.shape),
            "dtype": str(vae.vae_dtype).removeprefix("torch."),
        }

    def short_schedule(self) -> Any:
        """A schedule for the profiler's run."""
        return self.host.core("documents.schedule").Schedule(SHORT_STEPS, SHORT_COMPUTED)

    def memory(self) -> Row:
        """Peak memory of a plain run and of a cached one, in bytes."""
        done: list[Any] = []
        apply = self._pack(self.short_schedule(), done)
        plain = peak_memory(lambda: self._short(unchanged))
        cached = peak_memory(lambda: self._short(apply))
        if not done[-1].skipped:
            raise RuntimeError(f"steps must be skipped but none were: {done[-1].note}")
        held = done[-1].cached_bytes
        return {"plain": plain, "cached": cached, "extra": cached - plain, "held": held}

    def _short(self, apply: Apply) -> None:
        self.sample(apply, steps=SHORT_STEPS)

    def waits(self) -> Row:
        """Waits for the device in short runs, those of the model's own forward left out.

        Returns:
            The least and the most of an evaluation of the ``plain`` run, and of what the pack adds
            to ``computed`` and to ``skipped`` ones; what it adds ``before`` the first and ``after``
            the sampler is done; each evaluation of both runs by the names of its waits.
        """
        plain, cached = (
            traced_waits(self.parts.model, apply, lambda model: self._short(lambda _: model))
            for apply in (unchanged, self._pack(self.short_schedule(), []))
        )
        return {
            "steps": SHORT_STEPS,
            "computed_steps": cached.computed.count(True),
            **summary(plain, cached),
            "plain_evaluations": [dict(waits) for waits in plain.evaluations],
            "cached_evaluations": [dict(waits) for waits in cached.evaluations],
        }
