"""One sampling run: which step an evaluation belongs to, and whether the model runs for it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import comfy
import torch

from ...otcache_core.documents.schedule import Schedule
from ...otcache_core.run_time.run_plan import step_of_sigma
from ...otcache_core.run_time.velocity import VelocityCache
from .statistics import SAMPLER_READS_CONDS, RunStatistics

logger = logging.getLogger("otcache")

Predict = Callable[..., torch.Tensor]

Memo = Callable[[int, torch.Tensor, Callable[[], torch.Tensor]], torch.Tensor]
"""(step, x, predict) -> what ``predict`` returns, now or when it was asked the same before."""


def _outside_recording() -> contextlib.AbstractContextManager[Any]:
    """Newer hosts record a model's allocations; what the cache keeps must stay out of that."""
    prefetch = getattr(comfy, "model_prefetch", None)
    pause = getattr(prefetch, "pause_malloc_graph", None)
    return contextlib.nullcontext() if pause is None else pause()


def _post_cfg_functions(model_options: dict[str, Any]) -> int:
    """How many functions look at a step's conds after guidance; CFG++ samplers add one."""
    return len(model_options.get("sampler_post_cfg_function", ()))


class _Steps:
    """Tells the step of each evaluation, without waiting for a GPU where counting will do.

    Reading a noise level from a GPU waits for all work given to it. Where a sampler is known to ask
    once a step, steps that are likely skipped are counted; the level is read where reading costs
    nothing (CPU) or where the run waits anyhow (computed steps), and it is what counts.
    """

    def __init__(self, sigmas: tuple[float, ...], skipped: tuple[bool, ...], count: bool) -> None:
        self._sigmas, self._skipped, self._count = sigmas, skipped, count
        self._evaluations = 0

    def locate(self, timestep: torch.Tensor) -> tuple[int, float]:
        """Step index and noise level of the next evaluation."""
        counted = self._evaluations
        self._evaluations += 1
        self._count = self._count and counted < len(self._skipped)
        if self._count and timestep.device.type != "cpu" and self._skipped[counted]:
            return counted, self._sigmas[counted]
        sigma = float(timestep.reshape(-1)[0])
        step = step_of_sigma(sigma, self._sigmas)
        self._count = self._count and step == counted
        return step, sigma


class Run:
    """One sampling run: its plan, its cache and what it did.

    Args:
        schedule: The schedule of this very run.
        sigmas: The run's noise levels.
        stochastic: Whether the sampler adds noise between steps.
        counted: Whether evaluation i is known to be step i.
        model_options: The run's options, before the sampler adds to them.
        memo: Stands between the run and the model, or ``None``.
    """

    def __init__(
        self,
        schedule: Schedule,
        sigmas: tuple[float, ...],
        *,
        stochastic: bool,
        counted: bool,
        model_options: dict[str, Any],
        memo: Memo | None = None,
    ) -> None:
        self._memo = memo
        self.cache = VelocityCache(schedule, sigmas, stochastic=stochastic)
        self.statistics = RunStatistics(schedule.steps)
        self._steps = _Steps(sigmas, tuple(not c for c in schedule.mask), counted)
        self._post_cfg_functions = _post_cfg_functions(model_options)
        self._computed: set[int] = set()
        self._skipped: set[int] = set()
        self._off = False

    def predict(
        self,
        executor: Predict,
        x: torch.Tensor,
        timestep: torch.Tensor,
        model_options: dict[str, Any] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Wraps the guided prediction: runs the model, or returns an estimate of it."""
        step, sigma = self._steps.locate(timestep)
        options = {} if model_options is None else model_options
        if not self._off and _post_cfg_functions(options) > self._post_cfg_functions:
            self._switch_off(SAMPLER_READS_CONDS)
        if self._off or self.cache.must_compute(step, x):
            return self._compute(step, sigma, executor, x, timestep, options, *args, **kwargs)
        self._skipped.add(step)
        with _outside_recording():
            return self.cache.estimate(step, sigma, x)

    def _compute(
        self, step: int, sigma: float, executor: Predict, x: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        start = time.perf_counter()
        if self._memo is None:
            denoised = executor(x, *args, **kwargs)
        else:
            denoised = self._memo(step, x, lambda: executor(x, *args, **kwargs))
        self._computed.add(step)
        self.statistics.evaluations += 1
        if self._off:
            return denoised
        # One pass and no mask: any NaN or infinity makes the sum one.
        if not bool(torch.isfinite(denoised.sum(dtype=torch.float32))):
            self._switch_off(
                f"The model returned NaN or infinity at step {step}, so every step from there on "
                "was computed: check the model, its precision and its VAE."
            )
        else:
            with _outside_recording():
                self.cache.observe(step, sigma, x, denoised)
        self.statistics.computed_seconds.append(time.perf_counter() - start)
        return denoised

    def _switch_off(self, why: str) -> None:
        self._off = True
        self.cache.clear()
        self.statistics.add_note(why)
        logger.warning("OTCache: %s", why)

    def finish(self, seconds: float) -> RunStatistics:
        """Frees the cache and closes the books."""
        done = self.statistics
        done.computed = len(self._computed)
        done.skipped = len(self._skipped - self._computed)
        done.seconds, done.cached_bytes = seconds, self.cache.peak_bytes
        self.cache.clear()
        return done
