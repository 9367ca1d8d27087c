"""The meeting point with ComfyUI's sampling: a model goes in, a model that caches comes out.

One wrapper around the outer sampling function, on a cloned patcher, makes the state of each run and
adds a wrapper around the guided prediction to that run alone; state and wrapper are gone when the
run ends. The guided prediction sits above the conds, so one decision serves all conds of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ...otcache_core.documents.anchor import Anchor
from ...otcache_core.documents.schedule import Schedule
from .auto_wrapper import AutoWrapper
from .cache_wrapper import WRAPPER_KEY, CacheWrapper
from .origin import architecture_of
from .run import Memo, Predict
from .sampler_rules import is_stochastic
from .statistics import OnFinished, RunStatistics

__all__ = [
    "WRAPPER_KEY",
    "CacheWrapper",
    "RunStatistics",
    "apply_automatically",
    "apply_schedule",
    "architecture_of",
    "has_schedule",
    "is_stochastic",
    "observe_predictions",
]


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
    wrapper = CacheWrapper(schedule, on_finished, quiet=quiet, scheduler=scheduler, memo=memo)
    return _wrapped(model, wrapper)


def apply_automatically(model: Any, generic: Anchor, **settings: Any) -> Any:
    """A clone of a ModelPatcher whose every run is planned by what it is; see ``AutoWrapper``.

    A schedule applied before is replaced, and the other way round.
    """
    return _wrapped(model, AutoWrapper(generic, **settings))


def _wrapped(model: Any, wrapper: CacheWrapper | AutoWrapper) -> Any:
    clone = model.clone()
    clone.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, WRAPPER_KEY)
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
