"""Times what stands around the model in a sampling run, from inside the host's own wrappers.

A model is watched from both sides of what is applied to it (the pack's schedule, the host's
EasyCache): wrappers outside of it and wrappers inside. Their difference is what was applied.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

Wrapper = Callable[..., Any]
Apply = Callable[[Any], Any]
Span = tuple[Any, Any]


def unchanged(model: Any) -> Any:
    """Applies nothing: the plain run."""
    return model


def surround(
    model: Any, apply: Apply, outside: Mapping[str, Wrapper], inside: Mapping[str, Wrapper]
) -> Any:
    """A clone with ``apply`` done to it and wrappers on both sides.

    Args:
        model: A ModelPatcher.
        apply: Takes a ModelPatcher and returns a clone of it.
        outside: Wrappers by their stage in ``WrappersMP``; they run before what is applied.
        inside: Likewise; they run after it, next to the host.
    """
    from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

    def enter(executor: Any, *args: Any, **kwargs: Any) -> Any:
        # The pack adds its wrappers for one run alone; what is added after them runs inside them.
        for stage, wrapper in inside.items():
            add_wrapper_with_key(
                stage, "inside", wrapper, executor.class_obj.model_options, is_model_options=True
            )
        return executor(*args, **kwargs)

    clone = model.clone()
    for stage, wrapper in outside.items():
        clone.add_wrapper_with_key(stage, "outside", wrapper)
    clone = apply(clone)
    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "enter", enter)
    return clone


def wall_seconds(start: float, end: float) -> float:
    """Seconds between two readings of the wall clock."""
    return end - start


@dataclass
class StepClock:
    """Spans of sampling runs; the steps and the parts of each, one list of steps per run.

    A step's spans: ``prediction`` is the whole guided prediction, ``host`` the host's own inside
    what was applied, ``around`` and ``model`` the same of the model's forward. The last two of a
    skipped step are missing, or ``model`` alone where what was applied skips there.

    Attributes:
        mark: Reads the clock.
        seconds: Seconds between two readings.
        runs: The steps of each run, in order.
    """

    mark: Callable[[], Any] = time.perf_counter
    seconds: Callable[[Any, Any], float] = wall_seconds
    runs: list[list[dict[str, Span]]] = field(default_factory=list)
    _whole_runs: list[dict[str, Span]] = field(default_factory=list)

    def watch(self, model: Any, apply: Apply = unchanged) -> Any:
        """A clone with ``apply`` done to it whose runs are timed."""
        from comfy.patcher_extension import WrappersMP

        outside = {
            WrappersMP.OUTER_SAMPLE: self._run,
            WrappersMP.PREDICT_NOISE: self._step,
            WrappersMP.DIFFUSION_MODEL: self._part("around"),
        }
        inside = {
            WrappersMP.PREDICT_NOISE: self._part("host"),
            WrappersMP.DIFFUSION_MODEL: self._part("model"),
        }
        clone = surround(model, apply, outside, inside)
        clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "inside", self._host_run)
        return clone

    def _timed(self, spans: dict[str, Span], name: str, work: Callable[[], Any]) -> Any:
        start = self.mark()
        result = work()
        spans[name] = (start, self.mark())
        return result

    def _run(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self.runs.append([])
        self._whole_runs.append({})
        return self._timed(self._whole_runs[-1], "whole", lambda: executor(*args, **kwargs))

    def _host_run(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        return self._timed(self._whole_runs[-1], "host", lambda: executor(*args, **kwargs))

    def _step(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self.runs[-1].append({})
        return self._timed(self.runs[-1][-1], "prediction", lambda: executor(*args, **kwargs))

    def _part(self, name: str) -> Wrapper:
        def timed(executor: Any, *args: Any, **kwargs: Any) -> Any:
            return self._timed(self.runs[-1][-1], name, lambda: executor(*args, **kwargs))

        return timed

    def _steps(self, computed: bool) -> Iterable[dict[str, Span]]:
        return (step for run in self.runs for step in run if ("model" in step) is computed)

    @property
    def skipped(self) -> list[float]:
        """Seconds of each prediction in which the model did not run."""
        return [self.seconds(*step["prediction"]) for step in self._steps(computed=False)]

    @property
    def computed(self) -> list[float]:
        """Seconds of each prediction in which the model ran."""
        return [self.seconds(*step["prediction"]) for step in self._steps(computed=True)]

    def _added(self, outer: str, inner: str) -> list[float]:
        steps = self._steps(computed=True)
        return [self.seconds(*step[outer]) - self.seconds(*step[inner]) for step in steps]

    @property
    def added(self) -> list[float]:
        """Seconds added around the host's own prediction, where the model ran."""
        return self._added("prediction", "host")

    @property
    def added_to_model(self) -> list[float]:
        """Seconds added right around the model's forward, where it ran."""
        return self._added("around", "model")

    @property
    def added_to_runs(self) -> list[float]:
        """Seconds added to each run before its first step and after its last."""
        runs = self._whole_runs
        return [self.seconds(*run["whole"]) - self.seconds(*run["host"]) for run in runs]

    @property
    def between(self) -> list[float]:
        """Seconds from one answer to the next question: the sampler's own step."""
        pairs = [pair for run in self.runs for pair in pairwise(run)]
        return [self.seconds(a["prediction"][1], b["prediction"][0]) for a, b in pairs]


def median_ms(seconds: list[float]) -> float:
    """The median in milliseconds."""
    return round(1e3 * median(seconds), 4)
