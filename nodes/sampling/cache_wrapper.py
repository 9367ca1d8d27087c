"""The wrapper around the outer sampling function: makes the state of each run and drops it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.patcher_extension
import torch
from comfy.patcher_extension import WrappersMP

from ...otcache_core.documents.schedule import ESTIMATORS, Schedule
from ...otcache_core.pace import times_of
from ...otcache_core.run_time.run_plan import Plan, fit_to_run
from .origin import differences
from .run import Memo, Predict, Run
from .sampler_rules import (
    DAMPED_SLOPE,
    DENOISED,
    MOST_OF_SLOPE,
    asks_once_a_step,
    follows_bends,
    is_adaptive,
    is_stochastic,
    keeps_memory,
    reads_conds,
    rule_for,
    was_measured,
)
from .statistics import (
    NOTHING_TO_SKIP,
    SAMPLER_ADAPTS,
    SAMPLER_KEEPS_MEMORY,
    SAMPLER_READS_CONDS,
    SAMPLER_UNKNOWN,
    UNKNOWN_ADDS_NOISE,
    UNKNOWN_ASKS_BETWEEN,
    OnFinished,
    RunStatistics,
)
from .steps import Steps

logger = logging.getLogger("otcache")

WRAPPER_KEY = "otcache"

MOST_LEVELS = 1_000
"""Of a model's levels, so many are looked at."""

NEVER_SKIPPED = (
    (is_adaptive, SAMPLER_ADAPTS),
    (reads_conds, SAMPLER_READS_CONDS),
    (keeps_memory, SAMPLER_KEEPS_MEMORY),
)
"""What a sampler may do that every step must be computed for, and what to say of it."""

Callback = Callable[[int, torch.Tensor, torch.Tensor, int], None]
"""(step, denoised, x, steps) -> what the host shows of a step that the sampler has done."""


@dataclass(eq=False)
class CacheWrapper:
    """The OUTER_SAMPLE wrapper: makes and drops the state of each run.

    Attributes:
        schedule: Which steps run the model.
        on_finished: Called with every finished run's statistics.
        quiet: Leave the summary of each run out of the log.
        scheduler: Name of the scheduler behind the noise levels, where it is known.
        memo: Stands between each run and the model, or ``None``.
        table: What ``trained_levels`` says of the model, or ``None`` to ask it.
        why_plain: Why runs are left to the plain sampler, in words; empty where they are not.
    """

    schedule: Schedule
    on_finished: OnFinished | None = None
    quiet: bool = False
    scheduler: str = ""
    memo: Memo | None = None
    table: Sequence[float] | None = None
    why_plain: str = ""

    def __call__(
        self,
        executor: Callable[..., Any],
        noise: torch.Tensor,
        latent_image: torch.Tensor,
        sampler: Any,
        sigmas: torch.Tensor,
        denoise_mask: torch.Tensor | None = None,
        callback: Callback | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Runs ``executor`` with caching; wraps ``CFGGuider.outer_sample``."""
        inputs = (noise, latent_image, sampler, sigmas, denoise_mask)
        levels = tuple(sigmas.tolist())
        guider = executor.class_obj
        plan = self._plan(levels, guider, sampler)
        start = time.perf_counter()
        if isinstance(plan, str):
            result = executor(*inputs, callback, *args, **kwargs)
            steps, seconds = max(len(levels) - 1, 0), time.perf_counter() - start
            self._report(RunStatistics(steps, computed=steps, seconds=seconds, notes=[plan]))
            return result
        streams = _streams(kwargs.get("latent_shapes"))
        run = self._start(plan, levels, guider, sampler, streams)
        options = guider.model_options
        comfy.patcher_extension.add_wrapper_with_key(
            WrappersMP.PREDICT_NOISE, WRAPPER_KEY, run.predict, options, is_model_options=True
        )
        try:
            result = executor(*inputs, _reporting(run.steps, callback), *args, **kwargs)
            done = run.finish(start)
            if run.steps.between and not was_measured(sampler):
                done.notes.append(UNKNOWN_ASKS_BETWEEN)
        finally:
            _remove_predict_wrapper(options, run.predict)
            run.free()
        self._report(done)
        return result

    def _plan(self, levels: tuple[float, ...], guider: Any, sampler: Any) -> Plan | str:
        """How a run is cached, or in words why the plain sampler does it."""
        if self.why_plain:
            return self.why_plain
        for applies, why in NEVER_SKIPPED:
            if applies(sampler):
                return why
        if len(levels) < 2:
            return NOTHING_TO_SKIP
        plan = fit_to_run(self.schedule, levels, highest_level(guider))
        return plan.note or NOTHING_TO_SKIP if plan.schedule.is_full else plan

    def _start(
        self,
        plan: Plan,
        levels: tuple[float, ...],
        guider: Any,
        sampler: Any,
        streams: tuple[int, ...],
    ) -> Run:
        """The state of a run, with what there is to say of it beforehand."""
        rule = rule_for(sampler, plan.schedule.estimator)
        schedule = _by_rule(_for_sampler(plan.schedule, sampler), rule)
        run = Run(
            schedule,
            levels,
            times=self._times(schedule, levels, guider),
            stochastic=rule == DENOISED,
            reported=asks_once_a_step(sampler),
            model_options=guider.model_options,
            memo=self.memo,
            streams=streams,
        )
        run.statistics.notes += filter(None, [plan.note])
        if not was_measured(sampler):
            noisy = is_stochastic(sampler)
            run.statistics.notes += [SAMPLER_UNKNOWN, *([UNKNOWN_ADDS_NOISE] if noisy else [])]
        run.statistics.notes += differences(self.schedule, guider, sampler, self.scheduler)
        return run

    def _times(self, schedule: Schedule, levels: Sequence[float], guider: Any) -> Sequence[float]:
        """The share of the model's time that is over at each level, where it is of use."""
        if schedule.estimator != "adaptive":
            return ()
        table = trained_levels(guider) if self.table is None else self.table
        times = times_of(levels, table)
        return () if times is None else times.tolist()

    def _report(self, done: RunStatistics) -> None:
        if self.on_finished is not None:
            self.on_finished(done)  # first: it may have more to say of the run
        level = logging.DEBUG if self.quiet else logging.INFO
        logger.log(level, "OTCache: %s", done.summary().replace("\n", "; "))


def _streams(shapes: Sequence[Sequence[int]] | None) -> tuple[int, ...]:
    """Numbers of each stream in the host's packed latent of several, one picture's."""
    return tuple(math.prod(shape[1:]) for shape in shapes or ()) if len(shapes or ()) > 1 else ()


def _for_sampler(schedule: Schedule, sampler: Any) -> Schedule:
    """The schedule without what a sampler has no use for."""
    return schedule if follows_bends(sampler) else replace(schedule, bend=())


def _by_rule(schedule: Schedule, rule: str) -> Schedule:
    """The schedule with the estimator that a sampler's rule asks for."""
    if rule == DAMPED_SLOPE:
        gains = tuple(min(gain, MOST_OF_SLOPE) for gain in schedule.slope_gain)
        return replace(schedule, estimator="slope", slope_gain=gains)
    return replace(schedule, estimator=rule if rule in ESTIMATORS else "reuse")


def _reporting(steps: Steps, callback: Callback | None) -> Callback:
    """The host's callback, with each step that the sampler reports told to ``steps`` first."""

    def report(step: int, *shown: Any) -> None:
        steps.done(step)
        if callback is not None:
            callback(step, *shown)

    return report


# Each waits for the device that has the model's levels, so they are asked for one by one.


def highest_level(guider: Any) -> float:
    """The noise level at which a model's full runs begin."""
    sampling = guider.model_patcher.get_model_object("model_sampling")
    return float(getattr(sampling, "sigma_max", math.inf))


def lowest_level(guider: Any) -> float:
    """The lowest noise level above 0 that a model knows."""
    sampling = guider.model_patcher.get_model_object("model_sampling")
    return float(getattr(sampling, "sigma_min", 0.0))


def trained_levels(guider: Any) -> tuple[float, ...]:
    """The noise levels that a model was trained on, even in time, the highest first; maybe none."""
    sampling = guider.model_patcher.get_model_object("model_sampling")
    table = getattr(sampling, "sigmas", None)
    return () if table is None else tuple(table.flip(0)[:: len(table) // MOST_LEVELS + 1].tolist())


def _remove_predict_wrapper(options: dict[str, Any], wrapper: Predict) -> None:
    """Takes one run's wrapper out again; the host drops this run's options too, but not all do."""
    keyed = options["transformer_options"]["wrappers"][WrappersMP.PREDICT_NOISE]
    keyed[WRAPPER_KEY] = [w for w in keyed[WRAPPER_KEY] if w != wrapper]
