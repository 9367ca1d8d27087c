"""One sampling run: which step an evaluation belongs to, and whether the model runs for it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import comfy
import torch

from ...otcache_core.documents.schedule import Schedule
from ...otcache_core.run_time.slope_trust import steadiness_of
from ...otcache_core.run_time.velocity import VelocityCache
from .evaluations import Evaluation, mark, read
from .statistics import SAMPLER_READS_CONDS, RunStatistics
from .steps import Steps

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


class Run:
    """One sampling run: its plan, its cache and what it did.

    Args:
        schedule: The schedule of this very run.
        sigmas: The run's noise levels.
        stochastic: Whether the sampler adds noise between steps.
        reported: Whether the sampler is known to ask once a step and to report each one done.
        model_options: The run's options, before the sampler adds to them.
        memo: Stands between the run and the model, or ``None``.
        streams: How many numbers each stream of a packed latent has.
        times: As for ``VelocityCache``.
    """

    def __init__(
        self,
        schedule: Schedule,
        sigmas: tuple[float, ...],
        *,
        stochastic: bool,
        reported: bool,
        model_options: dict[str, Any],
        memo: Memo | None = None,
        streams: tuple[int, ...] = (),
        times: Sequence[float] = (),
    ) -> None:
        self._memo, self._schedule = memo, schedule
        self.cache = VelocityCache(
            schedule, sigmas, stochastic=stochastic, streams=streams, times=times
        )
        self.statistics = RunStatistics(schedule.steps)
        self.steps = Steps(sigmas, reported=reported)
        self._unread: list[Evaluation] = []
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
        step, sigma = self.steps.locate(timestep)
        options = {} if model_options is None else model_options
        if not self._off and _post_cfg_functions(options) > self._post_cfg_functions:
            self._switch_off(SAMPLER_READS_CONDS)
        if self._off or self.cache.must_compute(step, x):
            return self._compute(step, sigma, executor, x, timestep, options, *args, **kwargs)
        self._skipped.add(step)
        with _outside_recording():
            return self.cache.estimate(step, sigma, x)

    def _compute(
        self,
        step: int,
        sigma: float,
        executor: Predict,
        x: torch.Tensor,
        timestep: torch.Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        start = mark(x.device)
        if self._memo is None:
            denoised = executor(x, timestep, *args, **kwargs)
        else:
            denoised = self._memo(step, x, lambda: executor(x, timestep, *args, **kwargs))
        end = mark(x.device)
        self._computed.add(step)
        self.statistics.evaluations += 1
        if self._off:
            return denoised
        with _outside_recording():
            # Copied, because the sampler may go on writing into it.
            level = timestep.reshape(-1)[0].clone()
            total = denoised.sum(dtype=torch.float32)
            self._unread.append(Evaluation(step, sigma, start, end, total, level))
            answer = self.cache.observe(step, sigma, x, denoised)
        # A GPU would stand idle while it is asked; other devices cannot tell their own time.
        if x.device.type != "cuda":
            self._read()
        return denoised if self._off else answer

    def _read(self) -> None:
        """Takes up what came of the evaluations since the last time; waits for the device."""
        evaluations, self._unread = self._unread, []
        for seconds, wrong in read(evaluations):
            self.statistics.computed_seconds.append(seconds)
            if wrong and not self._off:
                self._switch_off(wrong)

    def _switch_off(self, why: str) -> None:
        self._off = True
        self.cache.clear()
        self.statistics.notes.append(why)
        logger.warning("OTCache: %s", why)

    def finish(self, start: float) -> RunStatistics:
        """Closes the books on a run that began at ``start``; waits for the device.

        The host waits next, when it takes the latent to the CPU.
        """
        self._read()
        done = self.statistics
        done.computed, done.computed_steps = len(self._computed), sorted(self._computed)
        done.skipped = len(self._skipped - self._computed)
        cosine = self.cache.mean_cosine()
        if cosine is not None and done.skipped:
            done.steadiness = steadiness_of(float(cosine), self._schedule.budget)
        done.seconds, done.cached_bytes = time.perf_counter() - start, self.cache.peak_bytes
        return done

    def free(self) -> None:
        """Frees all that the run holds on the device."""
        self._unread.clear()
        self.cache.clear()
