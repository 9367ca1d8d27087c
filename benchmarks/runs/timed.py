"""Sampling runs with a model that costs nothing, through the host's sampler, timed and weighed."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.instruments.step_clock import Apply, StepClock, median_ms, unchanged
from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.models.tiny import Parts
from scripts.host.inprocess import Host

EASYCACHE_THRESHOLD = 3.0
"""The highest that the node takes, so that it skips where it can."""
WEIGHED_STEPS, WEIGHED_BUDGET = 12, 6
BYTES = 4
COPIES = 30
LOOK_BACK = 2
"""Of every edge; the published MeanCache schedules have 1 to 6."""


class FreeModel(torch.nn.Module):
    """Answers with its input, at no cost, through the host's wrappers around a model."""

    dtype = torch.float32

    def forward(
        self, x: Any, timestep: Any, context: Any = None, transformer_options: Any = None, **_: Any
    ) -> Any:
        from comfy.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers

        wrappers = get_all_wrappers(WrappersMP.DIFFUSION_MODEL, transformer_options)
        executor = WrapperExecutor.new_class_executor(self._answer, self, wrappers)
        return executor.execute(x, timestep, context, transformer_options)

    @staticmethod
    def _answer(x: torch.Tensor, *_: Any) -> torch.Tensor:
        return x


@dataclass(frozen=True)
class Case:
    """One run: which architecture's noise levels and conditionings, which latent, which budget."""

    architecture: str
    shape: tuple[int, ...]
    steps: int = 50
    budget: int = 10

    def describe(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "shape": list(self.shape),
            "latent_bytes": self.latent_bytes,
            "steps": self.steps,
            "budget": self.budget,
        }

    @property
    def latent_bytes(self) -> int:
        """Size of the latent in the sampler, which works in 32 bits."""
        return BYTES * math.prod(self.shape)

    @property
    def even(self) -> tuple[int, ...]:
        """Computed steps at equal distances."""
        last = self.steps - 1
        return tuple(round(i * last / (self.budget - 1)) for i in range(self.budget))


class SpeedRuns:
    """Plain, cached and EasyCache runs of free models.

    Args:
        host: A ComfyUI in this process that has its EasyCache nodes.
        mark: Reads the clock, in seconds.
    """

    def __init__(self, host: Host, mark: Callable[[], float] = time.perf_counter) -> None:
        self.host, self.mark = host, mark
        self._free: dict[str, Parts] = {}

    def _parts(self, name: str) -> Parts:
        if name not in self._free:
            parts = next(a for a in ARCHITECTURES if a.name == name).build()
            parts.model.model.diffusion_model = FreeModel()
            self._free[name] = parts
        return self._free[name]

    def sample(self, case: Case, watch: Apply = unchanged) -> None:
        """One run of 'euler' on 'simple' noise levels, without guidance."""
        import comfy.sample

        parts = self._parts(case.architecture)
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(case.shape, generator=generator)
        with torch.inference_mode():
            comfy.sample.sample(
                watch(parts.model), noise, case.steps, 1.0, "euler", "simple", parts.positive,
                parts.negative, torch.zeros_like(noise), disable_pbar=True, seed=1,
            )  # fmt: skip

    def _easycache(self, model: Any) -> Any:
        return self.host.run(
            "EasyCache", model=model, reuse_threshold=EASYCACHE_THRESHOLD, start_percent=0.15,
            end_percent=0.95, verbose=False,
        ).outputs[0]  # fmt: skip

    def pack(self, case: Case, estimator: str, done: Callable[[Any], None]) -> Apply:
        """Applies a schedule as users do; ``done`` gets each run's statistics."""
        schedule = self.host.core("documents.schedule").Schedule(
            case.steps, case.even, estimator, look_back=(LOOK_BACK,) * (case.budget - 1)
        )
        apply_schedule = self.host.module("nodes.sampling.host").apply_schedule
        return lambda model: apply_schedule(model, schedule, done, quiet=True)

    def _clock(self, case: Case, apply: Apply, repeats: int) -> StepClock:
        clock = StepClock(self.mark)
        for _ in range(repeats):
            self.sample(case, lambda model: clock.watch(model, apply))
        return clock

    def clone_ms(self, case: Case) -> float:
        """Milliseconds of one copy of the latent."""
        latent = torch.randn(*case.shape)
        seconds = []
        for _ in range(COPIES):
            start = self.mark()
            latent.clone()
            seconds.append(self.mark() - start)
        return median_ms(seconds)

    def natural(self, case: Case, repeats: int) -> dict[str, float]:
        """Milliseconds of what stands beside the pack.

        Returns:
            ``clone_ms``: one copy of the latent; ``host_ms``: the host's guided prediction around
            a free model; ``euler_ms``: the sampler's own step; ``easycache_skipped_ms`` and
            ``easycache_computed_ms``: a step that EasyCache skips, and what it adds to one that it
            does not.
        """
        plain = self._clock(case, unchanged, repeats)
        rival = self._clock(case, self._easycache, repeats)
        return {
            "clone_ms": self.clone_ms(case),
            "host_ms": median_ms(plain.computed),
            "euler_ms": median_ms(plain.between),
            "easycache_skipped_ms": median_ms(rival.skipped),
            "easycache_computed_ms": median_ms(rival.added_to_model),
            "easycache_extra_peak_latents": self._extra_peak(case, self._easycache),
        }

    def cached(self, case: Case, estimator: str, repeats: int) -> dict[str, float]:
        """What the pack costs.

        Returns:
            ``skipped_ms``: a skipped step; ``computed_ms``: what is added to a computed one;
            ``run_ms``: what is added to a run once; what is held at most, and by how much the peak
            of memory rises, in latents.
        """
        finished: list[Any] = []
        clock = self._clock(case, self.pack(case, estimator, finished.append), repeats)
        self.check_skipped(case, clock.skipped, repeats)
        lighter = Case(case.architecture, case.shape, WEIGHED_STEPS, WEIGHED_BUDGET)
        apply = self.pack(lighter, estimator, lambda done: None)
        return {
            "skipped_ms": median_ms(clock.skipped),
            "computed_ms": median_ms(clock.added),
            "run_ms": median_ms(clock.added_to_runs),
            "held_latents": round(finished[-1].cached_bytes / case.latent_bytes, 2),
            "extra_peak_latents": self._extra_peak(lighter, apply),
        }

    @staticmethod
    def check_skipped(case: Case, skipped: Sequence[float], repeats: int) -> None:
        """Raises ``RuntimeError`` where other steps were skipped than the schedule says."""
        wanted = (case.steps - case.budget) * repeats
        if len(skipped) != wanted:
            raise RuntimeError(f"{wanted} steps must be skipped but {len(skipped)} were.")

    def _extra_peak(self, case: Case, apply: Apply) -> float:
        lighter = Case(case.architecture, case.shape, WEIGHED_STEPS, WEIGHED_BUDGET)

        def peak(watch: Apply) -> int:
            return peak_bytes(lambda: self.sample(lighter, watch))

        return round((peak(apply) - peak(unchanged)) / case.latent_bytes, 2)


def peak_bytes(work: Callable[[], None]) -> int:
    """The most CPU memory in tensors at one time while ``work`` runs, by torch's profiler."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            work()
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [e for e in events if e.get("name") == "[memory]"]
    held = peak = 0
    for event in sorted(changes, key=lambda e: e["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak
