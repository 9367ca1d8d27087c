"""The host's own caches, EasyCache and LazyCache, at thresholds that reach the asked calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from benchmarks.contestants.contestant import Bench, Configured, Contestant
from benchmarks.contestants.loading import ensure_extra
from benchmarks.contestants.tuning import TOLERANCE, calibration_loss, tune

THRESHOLDS = (0.005, 3.0)
"""From about every step computed to the nodes' largest."""

OWN_RANGE = (0.15, 0.95)
WHOLE_RUN = (0.0, 1.0)
"""``start_percent`` and ``end_percent``: the nodes' defaults, and no limit at all."""


def _copy_input(executor: Any, x: torch.Tensor, *args: Any, **named: Any) -> Any:
    return executor(x.clone(), *args, **named)


def with_copied_input(model: Any) -> Any:
    """A clone whose forward gets a copy of its input.

    EasyCache adds what it kept to its own input in place. On a float32 model nothing casts that
    input before, so that this would overwrite the sampler's state.
    """
    from comfy.patcher_extension import WrappersMP

    clone = model.clone()
    # What is added first is outermost.
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "copy_input", _copy_input)
    return clone


def host_cache(node_id: str) -> Contestant:
    """The contestant of one of the host's two nodes, in the range that does better."""

    def configure(bench: Bench, threshold: float, percents: tuple[float, float]) -> Configured:
        ensure_extra(node_id, "nodes_easycache")
        start, end = percents
        model = with_copied_input(bench.model) if node_id == "EasyCache" else bench.model
        (cached,) = bench.host.run(
            node_id, model=model, reuse_threshold=threshold, start_percent=start,
            end_percent=end, verbose=False,
        ).outputs  # fmt: skip
        return Configured(cached, batch=1)

    def contestant(bench: Bench, calls: int) -> Configured:
        notes, tuned = [], []
        for percents in (OWN_RANGE, WHOLE_RUN):
            start, end = percents
            found = tune(
                bench,
                f"{node_id} from {start:g} to {end:g}",
                calls,
                lambda threshold, p=percents: configure(bench, threshold, p),
                THRESHOLDS,
            )
            cached = configure(bench, found.setting, percents)
            misses = found.calls > calls + 2 * TOLERANCE
            loss = calibration_loss(bench, cached)
            tuned.append((misses, loss, cached))
            notes.append(
                f"reuse_threshold {found.setting:.4g}, start_percent {start:g}, end_percent "
                f"{end:g}: {found.calls:.1f} calls and LPIPS {loss:.4f} on calibration prompts"
            )
        if node_id == "EasyCache":
            notes.append("its forward gets a copy of its input, which it writes to")
        _, _, best = min(tuned, key=lambda made: made[:2])
        return replace(best, note="; ".join(notes))

    return contestant


CONTESTANTS: dict[str, Contestant] = {
    "EasyCache (the host's)": host_cache("EasyCache"),
    "LazyCache (the host's)": host_cache("LazyCache"),
}
