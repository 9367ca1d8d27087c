"""The meeting point with ComfyUI's sampling: the only place that touches wrappers and patchers.

One wrapper around the outer sampling function, on a cloned patcher, makes the state of each run and
adds a wrapper around the guided prediction to that run alone; state and wrapper are gone when the
run ends. The guided prediction sits above the conds, so one decision serves all conds of a step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import comfy.patcher_extension
import torch
from comfy.patcher_extension import WrappersMP

from ..otcache_core.run_plan import fit_to_run
from ..otcache_core.schedule import Schedule
from .origin import architecture_of, differences
from .run import Memo, Predict, Run
from .run_statistics import NOTHING_TO_SKIP, SAMPLER_ADAPTS, OnFinished, RunStatistics
from .sampler_rules import asks_once_a_step, is_adaptive, is_stochastic

__all__ = [
    "WRAPPER_KEY",
    "CacheWrapper",
    "RunStatistics",
    "apply_schedule",
    "architecture_of",
    "has_schedule",
    "is_stochastic",
    "observe_predictions",
]

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
            plain.note = SAMPLER_ADAPTS if is_adaptive(sampler) else NOTHING_TO_SKIP
            if plan is not None and plan.note:
                plain.note = plan.note
            self._report(plain)
            return result
        run = Run(
            plan.schedule,
            levels,
            stochastic=is_stochastic(sampler),
            counted=asks_once_a_step(sampler),
            model_options=guider.model_options,
            memo=self.memo,
        )
        run.statistics.add_note(plan.note)
        run.statistics.add_note(differences(self.schedule, guider, sampler, levels, self.scheduler))
        comfy.patcher_extension.add_wrapper_with_key(
            WrappersMP.PREDICT_NOISE,
            WRAPPER_KEY,
            run.predict,
            guider.model_options,
            is_model_options=True,
        )
        options = guider.model_options
        try:
            result = executor(noise, latent_image, sampler, sigmas, *args, **kwargs)
        finally:
            _remove_predict_wrapper(options, run.predict)
            done = run.finish(time.perf_counter() - start)
        self._report(done)
        return result

    def _report(self, done: RunStatistics) -> None:
        logger.log(self.level, "OTCache: %s", done.summary().replace("\n", "; "))
        if self.on_finished is not None:
            self.on_finished(done)


def _highest_level(guider: Any) -> float:
    """The noise level at which the model's full runs begin."""
    return float(guider.model_patcher.get_model_object("model_sampling").sigma_max)


def _remove_predict_wrapper(options: dict[str, Any], wrapper: Predict) -> None:
    """Takes one run's wrapper out again; the host drops this run's options too, but not all do."""
    keyed = options["transformer_options"]["wrappers"][WrappersMP.PREDICT_NOISE]
    keyed[WRAPPER_KEY] = [w for w in keyed[WRAPPER_KEY] if w != wrapper]


def apply_schedule(
    model: Any,
    schedule: Schedule,
    on_finished: OnFinished | None = None,
    *,
    quiet: bool = False,
    scheduler: str = "",
    memo: Memo | None = None,
) -> Any:
    """A clone of a ModelPatcher that samples by ``schedule``; the original stays as it is.

    A schedule applied before is replaced, so that applying twice does not cache twice.
    """
    clone = model.clone()
    clone.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, WRAPPER_KEY)
    wrapper = CacheWrapper(schedule, on_finished, quiet=quiet, scheduler=scheduler, memo=memo)
    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, WRAPPER_KEY, wrapper)
    return clone


def has_schedule(model: Any) -> bool:
    """Whether a schedule was applied to a ModelPatcher."""
    return bool(model.get_wrappers(WrappersMP.OUTER_SAMPLE, WRAPPER_KEY))


Observer = Callable[[torch.Tensor, torch.Tensor], None]


def observe_predictions(model: Any, observer: Observer) -> Any:
    """A clone whose every guided prediction is shown to ``observer(x, denoised)``, unchanged."""

    def watch(executor: Predict, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        # The sampler may write into x while it goes on, so the observer comes first in time.
        denoised = executor(x, *args, **kwargs)
        observer(x, denoised)
        return denoised

    clone = model.clone()
    clone.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, WRAPPER_KEY)
    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, WRAPPER_KEY, watch)
    return clone
