"""The wrapper around the outer sampling function: makes the state of each run and drops it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.patcher_extension
import torch
from comfy.patcher_extension import WrappersMP

from ...otcache_core.documents.schedule import ESTIMATORS, Schedule
from ...otcache_core.run_time.run_plan import Plan, fit_to_run
from .origin import differences
from .run import Memo, Predict, Run
from .sampler_rules import (
    DAMPED_SLOPE,
    DENOISED,
    MOST_OF_SLOPE,
    asks_once_a_step,
    is_adaptive,
    rule_for,
)
from .statistics import NOTHING_TO_SKIP, SAMPLER_ADAPTS, OnFinished, RunStatistics

logger = logging.getLogger("otcache")

WRAPPER_KEY = "otcache"


class CacheWrapper:
    """The OUTER_SAMPLE wrapper: makes and drops the state of each run.

    Args:
        schedule: Which steps run the model.
        on_finished: Called with every finished run's statistics.
        quiet: Leave the summary of each run out of the log.
        scheduler: Name of the scheduler behind the noise levels, where it is known.
        memo: Stands between each run and the model, or ``None``.
    """

    def __init__(
        self,
        schedule: Schedule,
        on_finished: OnFinished | None = None,
        *,
        quiet: bool = False,
        scheduler: str = "",
        memo: Memo | None = None,
    ) -> None:
        self.memo = memo
        self.schedule = schedule
        self.on_finished = on_finished
        self.level = logging.DEBUG if quiet else logging.INFO
        self.scheduler = scheduler

    def __call__(
        self,
        executor: Callable[..., Any],
        noise: torch.Tensor,
        latent_image: torch.Tensor,
        sampler: Any,
        sigmas: torch.Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Runs ``executor`` with caching; wraps ``CFGGuider.outer_sample``."""
        levels = tuple(sigmas.tolist())
        guider = executor.class_obj
        plan = None
        if len(levels) > 1 and not is_adaptive(sampler):
            plan = fit_to_run(self.schedule, levels, _highest_level(guider))
        start = time.perf_counter()
        if plan is None or plan.schedule.is_full:
            result = executor(noise, latent_image, sampler, sigmas, *args, **kwargs)
            steps = max(len(levels) - 1, 0)
            plain = RunStatistics(steps, computed=steps, seconds=time.perf_counter() - start)
            nothing = SAMPLER_ADAPTS if is_adaptive(sampler) else NOTHING_TO_SKIP
            plain.note = nothing if plan is None else plan.note or nothing
            self._report(plain)
            return result
        run = self._start(plan, levels, guider, sampler)
        options = guider.model_options
        comfy.patcher_extension.add_wrapper_with_key(
            WrappersMP.PREDICT_NOISE, WRAPPER_KEY, run.predict, options, is_model_options=True
        )
        try:
            result = executor(noise, latent_image, sampler, sigmas, *args, **kwargs)
        finally:
            _remove_predict_wrapper(options, run.predict)
            done = run.finish(time.perf_counter() - start)
        self._report(done)
        return result

    def _start(self, plan: Plan, levels: tuple[float, ...], guider: Any, sampler: Any) -> Run:
        """The state of a run, with what there is to say of it beforehand."""
        rule = rule_for(sampler, plan.schedule.estimator)
        run = Run(
            _by_rule(plan.schedule, rule),
            levels,
            stochastic=rule == DENOISED,
            counted=asks_once_a_step(sampler),
            model_options=guider.model_options,
            memo=self.memo,
        )
        run.statistics.add_note(plan.note)
        run.statistics.add_note(differences(self.schedule, guider, sampler, self.scheduler))
        return run

    def _report(self, done: RunStatistics) -> None:
        logger.log(self.level, "OTCache: %s", done.summary().replace("\n", "; "))
        if self.on_finished is not None:
            self.on_finished(done)


def _by_rule(schedule: Schedule, rule: str) -> Schedule:
    """The schedule with the estimator that a sampler's rule asks for."""
    if rule == DAMPED_SLOPE:
        gains = tuple(min(gain, MOST_OF_SLOPE) for gain in schedule.slope_gain)
        return replace(schedule, estimator="slope", slope_gain=gains)
    return replace(schedule, estimator=rule if rule in ESTIMATORS else "reuse")


def _highest_level(guider: Any) -> float:
    """The noise level at which the model's full runs begin."""
    sampling = guider.model_patcher.get_model_object("model_sampling")
    return float(getattr(sampling, "sigma_max", math.inf))


def _remove_predict_wrapper(options: dict[str, Any], wrapper: Predict) -> None:
    """Takes one run's wrapper out again; the host drops this run's options too, but not all do."""
    keyed = options["transformer_options"]["wrappers"][WrappersMP.PREDICT_NOISE]
    keyed[WRAPPER_KEY] = [w for w in keyed[WRAPPER_KEY] if w != wrapper]
