"""What a sampling run waits for on a real GPU, read from the trace of torch's profiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.instruments.step_clock import Apply, surround
from benchmarks.instruments.waits import RunWaits

WAITS = (
    "aten::_local_scalar_dense", "cudaStreamSynchronize", "cudaDeviceSynchronize",
    "cudaEventSynchronize",
)  # fmt: skip
"""Events in which the program waits: ``.item()`` and its kin, and what blocking copies end in."""
PREDICTION, FORWARD, SAMPLER = "guided prediction", "the model's forward", "the sampler"


def traced_waits(model: Any, apply: Apply, sample: Callable[[Any], Any]) -> RunWaits:
    """Counts the waits of one run.

    Args:
        model: A ModelPatcher.
        apply: What is done to it first, such as applying a schedule.
        sample: Samples once with the model it is given.
    """
    from comfy.patcher_extension import WrappersMP

    def named(name: str) -> Any:
        def wrapper(executor: Any, *args: Any, **kwargs: Any) -> Any:
            with record_function(name):
                return executor(*args, **kwargs)

        return wrapper

    outside = {
        WrappersMP.SAMPLER_SAMPLE: named(SAMPLER),
        WrappersMP.PREDICT_NOISE: named(PREDICTION),
    }
    watched = surround(model, apply, outside, {WrappersMP.APPLY_MODEL: named(FORWARD)})
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        sample(watched)
    return read_trace(profiler.events())


def read_trace(events: Sequence[Any]) -> RunWaits:
    """Finds the waits among a profiler's events, and the evaluations that they are in.

    Copies and readings end in a synchronisation of their own, so that what lies within another wait
    is not counted again.
    """
    cpu = torch.autograd.DeviceType.CPU
    spans: dict[str, list[Any]] = {name: [] for name in (PREDICTION, FORWARD, SAMPLER)}
    waits: list[Any] = []
    for event in sorted(events, key=lambda e: e.time_range.start):
        if event.device_type != cpu:
            continue
        span = event.time_range
        if event.name in spans:
            spans[event.name].append(span)
        elif event.name in WAITS and not _within(span, [waits[-1].time_range] if waits else []):
            waits.append(event)
    waits = [event for event in waits if not _within(event.time_range, spans[FORWARD])]
    starts = [span.start for span in spans[PREDICTION]]
    bounds = [*starts, *(span.end for span in spans[SAMPLER])]
    begins = [sum(e.time_range.start < bound for e in waits) for bound in bounds]
    computed = [any(_within(f, [p]) for f in spans[FORWARD]) for p in spans[PREDICTION]]
    return RunWaits.of([event.name for event in waits], begins, computed)


def _within(inner: Any, outer: Sequence[Any]) -> bool:
    return any(span.start <= inner.start and inner.end <= span.end for span in outer)
