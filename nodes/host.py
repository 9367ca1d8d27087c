"""The meeting point with ComfyUI's sampling: the only place that touches wrappers and patchers.

One wrapper around the outer sampling function, on a cloned patcher, makes the state of each run and
adds a wrapper around the guided prediction to that run alone; state and wrapper are gone when the
run ends. The guided prediction sits above the conds, so one decision serves all conds of a step.
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import comfy.patcher_extension
import torch
from comfy.patcher_extension import WrappersMP

from ..otcache_core.run_plan import fit_to_run, step_of_sigma
from ..otcache_core.schedule import Schedule
from ..otcache_core.velocity import VelocityCache

logger = logging.getLogger("otcache")

WRAPPER_KEY = "otcache"

STOCHASTIC_SAMPLERS = ("ancestral", "sde", "lcm", "ddpm", "seeds", "sa_solver")
"""Parts of sampler names that tell a sampler which adds noise between its steps."""

ADAPTIVE_SAMPLERS = ("dpm_adaptive",)
"""Parts of names of samplers that choose their own steps by how well the last one fitted."""

NOTHING_TO_SKIP = (
    "Nothing to skip: every step of this run is computed. Caching pays from about 15 steps on; "
    "models made for few steps gain nothing."
)
SAMPLER_ADAPTS = (
    "Every step was computed: this sampler chooses its steps by their error, and estimated steps "
    "show it none. Choose another sampler to save time."
)
SAMPLER_READS_CONDS = (
    "Every step was computed: this sampler reads the model's unguided prediction at each step "
    "(CFG++), which estimated steps do not have. Choose another sampler to save time."
)

Predict = Callable[..., torch.Tensor]


@dataclass
class RunStatistics:
    """What one sampling run did.

    Attributes:
        steps: Steps of the run.
        computed, skipped: Steps that ran the model and steps that did not.
        evaluations: Guided predictions by the model; above ``computed`` where a sampler asks more
            than once a step. Not counted (0) where nothing was cached.
        seconds: Wall time of the whole run.
        computed_seconds: Wall time of each evaluation.
        cached_bytes: Most memory that the cache held.
        note: Why caching was off or changed, for the user; empty if it was not.
    """

    steps: int
    computed: int = 0
    skipped: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    computed_seconds: list[float] = field(default_factory=list, repr=False)
    cached_bytes: int = 0
    note: str = ""

    @property
    def speedup(self) -> float:
        """Estimated time of the plain run over this run's, from the median computed step."""
        if not self.computed_seconds or self.seconds <= 0.0:
            return 1.0
        saved = self.skipped * statistics.median(self.computed_seconds)
        return (self.seconds + saved) / self.seconds

    def summary(self) -> str:
        """One short paragraph for people."""
        text = f"{self.computed} computed, {self.skipped} skipped of {self.steps} steps\n"
        text += f"{self.seconds:.2f} s"
        if self.skipped:
            text += f", about {self.speedup:.2f}x faster than all steps\n"
            text += f"cache {_size(self.cached_bytes)}"
        return f"{text}\n{self.note}" if self.note else text


OnFinished = Callable[[RunStatistics], None]


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


def _outside_recording() -> contextlib.AbstractContextManager[Any]:
    """Newer hosts record a model's allocations; what the cache keeps must stay out of that."""
    prefetch = getattr(comfy, "model_prefetch", None)
    pause = getattr(prefetch, "pause_malloc_graph", None)
    return contextlib.nullcontext() if pause is None else pause()


def _is_one_of(sampler: Any, parts: tuple[str, ...]) -> bool:
    name = getattr(getattr(sampler, "sampler_function", None), "__name__", "")
    return any(part in name for part in parts)


def is_stochastic(sampler: Any) -> bool:
    """Whether a host sampler adds noise between steps, by its function's name and options."""
    options = getattr(sampler, "extra_options", None) or {}
    return bool(options.get("s_churn")) or _is_one_of(sampler, STOCHASTIC_SAMPLERS)


def _post_cfg_functions(model_options: dict[str, Any]) -> int:
    """How many functions look at a step's conds after guidance; CFG++ samplers add one."""
    return len(model_options.get("sampler_post_cfg_function", ()))


class _Run:
    """One sampling run: its plan, its cache and what it did."""

    def __init__(
        self,
        schedule: Schedule,
        sigmas: tuple[float, ...],
        stochastic: bool,
        model_options: dict[str, Any],
    ) -> None:
        self.sigmas = sigmas
        self.cache = VelocityCache(schedule, sigmas, stochastic=stochastic)
        self.statistics = RunStatistics(schedule.steps)
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
        sigma = float(timestep.reshape(-1)[0])
        step = step_of_sigma(sigma, self.sigmas)
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
        denoised = executor(x, *args, **kwargs)
        self._computed.add(step)
        self.statistics.evaluations += 1
        if self._off:
            return denoised
        if not bool(torch.isfinite(denoised).all()):
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
        self.statistics.note = why
        logger.warning("OTCache: %s", why)

    def finish(self, seconds: float) -> RunStatistics:
        """Frees the cache and closes the books."""
        done = self.statistics
        done.computed = len(self._computed)
        done.skipped = len(self._skipped - self._computed)
        done.seconds, done.cached_bytes = seconds, self.cache.peak_bytes
        self.cache.clear()
        return done


class CacheWrapper:
    """The OUTER_SAMPLE wrapper: makes and drops the state of each run.

    Args:
        schedule: Which steps run the model.
        on_finished: Called with every finished run's statistics.
        quiet: Leave the summary of each run out of the log.
    """

    def __init__(
        self, schedule: Schedule, on_finished: OnFinished | None = None, *, quiet: bool = False
    ) -> None:
        self.schedule = schedule
        self.on_finished = on_finished
        self.level = logging.DEBUG if quiet else logging.INFO

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
        plan = fit_to_run(self.schedule, levels) if len(levels) > 1 else None
        start = time.perf_counter()
        adaptive = _is_one_of(sampler, ADAPTIVE_SAMPLERS)
        if plan is None or plan.is_full or adaptive:
            result = executor(noise, latent_image, sampler, sigmas, *args, **kwargs)
            steps = max(len(levels) - 1, 0)
            plain = RunStatistics(steps, computed=steps, seconds=time.perf_counter() - start)
            plain.note = SAMPLER_ADAPTS if adaptive else NOTHING_TO_SKIP
            self._report(plain)
            return result
        options = executor.class_obj.model_options
        run = _Run(plan, levels, is_stochastic(sampler), options)
        if plan.steps != self.schedule.steps:
            run.statistics.note = (
                f"The schedule is for {self.schedule.steps} steps and was fitted to this run's "
                f"{plan.steps}."
            )
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

    def _report(self, done: RunStatistics) -> None:
        logger.log(self.level, "OTCache: %s", done.summary().replace("\n", "; "))
        if self.on_finished is not None:
            self.on_finished(done)


def _remove_predict_wrapper(options: dict[str, Any], wrapper: Predict) -> None:
    """Takes one run's wrapper out again; the host drops this run's options too, but not all do."""
    keyed = options["transformer_options"]["wrappers"][WrappersMP.PREDICT_NOISE]
    keyed[WRAPPER_KEY] = [w for w in keyed[WRAPPER_KEY] if w != wrapper]


def apply_schedule(
    model: Any, schedule: Schedule, on_finished: OnFinished | None = None, *, quiet: bool = False
) -> Any:
    """A clone of a ModelPatcher that samples by ``schedule``; the original stays as it is.

    A schedule applied before is replaced, so that applying twice does not cache twice.
    """
    clone = model.clone()
    clone.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, WRAPPER_KEY)
    wrapper = CacheWrapper(schedule, on_finished, quiet=quiet)
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


def architecture_of(model: Any) -> str:
    """The model's class in ComfyUI, such as ``"Flux"``."""
    return type(model.model).__name__
