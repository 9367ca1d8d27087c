"""Times what stands around the model in a sampling run, from inside the host's own wrappers.

A model is watched from both sides of what is applied to it (the pack's schedule, the host's
EasyCache): one wrapper outside of it, one inside. Their difference is what was applied.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

Wrapper = Callable[..., Any]
Apply = Callable[[Any], Any]


def unchanged(model: Any) -> Any:
    """Applies nothing: the plain run."""
    return model


def surround(model: Any, apply: Apply, outside: dict[str, Wrapper], inside: Wrapper) -> Any:
    """A clone with ``apply`` done to it and wrappers on both sides.

    Args:
        model: A ModelPatcher.
        apply: Takes a ModelPatcher and returns a clone of it.
        outside: Wrappers by their stage in ``WrappersMP``; they run before what is applied.
        inside: A PREDICT_NOISE wrapper that runs after it, next to the host's own prediction.
    """
    from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

    def enter(executor: Any, *args: Any, **kwargs: Any) -> Any:
        # The pack adds its wrapper for one run alone; what is added later runs inside of it.
        options = executor.class_obj.model_options
        add_wrapper_with_key(
            WrappersMP.PREDICT_NOISE, "inside", inside, options, is_model_options=True
        )
        return executor(*args, **kwargs)

    clone = model.clone()
    for stage, wrapper in outside.items():
        clone.add_wrapper_with_key(stage, "outside", wrapper)
    clone = apply(clone)
    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "inside", enter)
    return clone


@dataclass
class Step:
    """One guided prediction.

    Attributes:
        start, end: When the sampler asked and when it was answered, in seconds.
        host: Seconds that the host's own prediction took; ``None`` where it was skipped.
        forwards: How often the model itself ran in it.
        around_model: Seconds that what was applied added right around the model.
    """

    start: float
    end: float = 0.0
    host: float | None = None
    forwards: int = 0
    around_model: float = 0.0

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass
class StepClock:
    """The steps of sampling runs, by a wall clock that waits for no device.

    Attributes:
        runs: The steps of each run, in order.
        added_to_runs: Seconds that what was applied added to each run before its first step and
            after its last.
    """

    runs: list[list[Step]] = field(default_factory=list)
    added_to_runs: list[float] = field(default_factory=list)

    def watch(self, model: Any, apply: Apply = unchanged) -> Any:
        """A clone with ``apply`` done to it whose predictions are timed."""
        from comfy.patcher_extension import WrappersMP

        outside = {
            WrappersMP.OUTER_SAMPLE: self._run,
            WrappersMP.PREDICT_NOISE: self._outside,
            WrappersMP.DIFFUSION_MODEL: self._around_model,
        }
        clone = surround(model, apply, outside, self._inside)
        clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "clock", self._host_run)
        clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "inside", self._forward)
        return clone

    def _run(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self.runs.append([])
        self.added_to_runs.append(0.0)
        start = time.perf_counter()
        result = executor(*args, **kwargs)
        self.added_to_runs[-1] += time.perf_counter() - start
        return result

    def _host_run(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = executor(*args, **kwargs)
        self.added_to_runs[-1] -= time.perf_counter() - start
        return result

    def _outside(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        step = Step(time.perf_counter())
        self.runs[-1].append(step)
        result = executor(*args, **kwargs)
        step.end = time.perf_counter()
        return result

    def _inside(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = executor(*args, **kwargs)
        self.runs[-1][-1].host = time.perf_counter() - start
        return result

    def _around_model(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = executor(*args, **kwargs)
        self.runs[-1][-1].around_model += time.perf_counter() - start
        return result

    def _forward(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = executor(*args, **kwargs)
        self.runs[-1][-1].around_model -= time.perf_counter() - start
        self.runs[-1][-1].forwards += 1
        return result

    @property
    def steps(self) -> list[Step]:
        """All steps of all runs."""
        return [step for run in self.runs for step in run]

    @property
    def skipped(self) -> list[float]:
        """Seconds of each prediction in which the model did not run."""
        return [step.seconds for step in self.steps if not step.forwards]

    @property
    def computed(self) -> list[float]:
        """Seconds of each prediction in which the model ran."""
        return [step.seconds for step in self.steps if step.forwards]

    @property
    def added(self) -> list[float]:
        """Seconds added around the host's own prediction, where the model ran."""
        timed = [step for step in self.steps if step.forwards and step.host is not None]
        return [step.seconds - (step.host or 0.0) for step in timed]

    @property
    def added_to_model(self) -> list[float]:
        """Seconds added right around the model, where it ran."""
        return [step.around_model for step in self.steps if step.forwards]

    @property
    def between(self) -> list[float]:
        """Seconds from one answer to the next question: the sampler's own step."""
        return [b.start - a.end for run in self.runs for a, b in pairwise(run)]


def median_ms(seconds: list[float]) -> float:
    """The median in milliseconds."""
    return 1e3 * median(seconds)
