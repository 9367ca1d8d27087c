"""What is known of the model's answers only once the device has worked them out.

Asking a GPU for a number waits for all work given to it, and leaves it idle until there is more. So
that no step waits, the numbers stay on the device until they are read, all at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...otcache_core.message import Message

SAME_LEVEL = 0.01
"""Relative difference up to which two noise levels are the same; half precision rounds by less."""


def mark(device: torch.device) -> Any:
    """A point in time, or on a CUDA device in the work given to it, which it comes to later."""
    if device.type != "cuda":
        return time.perf_counter()
    return torch.cuda.current_stream(device).record_event(torch.cuda.Event(enable_timing=True))


def _seconds(start: Any, end: Any) -> float:
    return end - start if isinstance(start, float) else float(start.elapsed_time(end)) / 1e3


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the model.

    Attributes:
        step, sigma: The step and the noise level that it was taken for.
        start, end: Marks before and after it.
        total: The prediction's sum, still on the device: one pass and no mask, and any NaN or
            infinity makes the sum one.
        level: The noise level that it was asked at, likewise.
    """

    step: int
    sigma: float
    start: Any
    end: Any
    total: torch.Tensor
    level: torch.Tensor


def read(evaluations: Sequence[Evaluation]) -> list[tuple[float, str]]:
    """Waits for the device, once for all evaluations.

    Returns:
        For each its seconds, and what is wrong with it in words for the user, empty if nothing is.
    """
    if not evaluations:
        return []
    device = evaluations[-1].total.device
    numbers = [t.to(device, torch.float32) for e in evaluations for t in (e.total, e.level)]
    read = torch.stack(numbers).reshape(-1, 2).tolist()
    return [
        (_seconds(e.start, e.end), _what_is_wrong(e, total, level))
        for e, (total, level) in zip(evaluations, read, strict=True)
    ]


def _what_is_wrong(evaluation: Evaluation, total: float, level: float) -> str:
    step, sigma = evaluation.step, evaluation.sigma
    if not math.isfinite(total):
        return Message(
            "not_finite",
            "The model returned NaN or infinity at step {step}, and nothing can mend a run after "
            "that: check the model, its precision and its VAE.",
            step=step,
        )
    if not math.isclose(level, sigma, rel_tol=SAME_LEVEL):
        return Message(
            "moved_level",
            "Step {step} must run at noise level {sigma} but ran at {level}, so that skipped "
            "steps may be wrong: remove what changes levels inside the sampler.",
            step=step,
            sigma=f"{sigma:.4g}",
            level=f"{level:.4g}",
        )
    return ""
