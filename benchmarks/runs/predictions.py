"""Times single predictions of stage 3."""

from __future__ import annotations

import statistics
import time

import numpy as np

from otcache_core.documents.anchor import Anchor
from otcache_core.documents.schedule import Schedule
from otcache_core.transport import predict_schedule, warping_curve


def random_schedule(rng: np.random.Generator, budget: int, steps: int) -> Schedule:
    """A schedule of sorted random steps with both ends."""
    inner = rng.choice(np.arange(1, steps - 1), size=budget - 2, replace=False)
    return Schedule(steps, (0, *sorted(int(t) for t in inner), steps - 1))


def measure_prediction(budget: int, repeats: int, *, cold: bool) -> dict[str, float | int | bool]:
    """Median and 95th percentile of one prediction, in milliseconds, each on another anchor."""
    rng = np.random.default_rng(budget)
    anchors = [
        Anchor("random", "none", random_schedule(rng, 20, 50), random_schedule(rng, 8, 50))
        for _ in range(repeats)
    ]
    times = []
    for anchor in anchors:
        if not cold:
            predict_schedule(anchor, budget)
        else:
            warping_curve.cache_clear()
        start = time.perf_counter()
        predict_schedule(anchor, budget, rho=1.25)
        times.append(1e3 * (time.perf_counter() - start))
    return {
        "budget": budget,
        "cold": cold,
        "median_ms": round(statistics.median(times), 4),
        "p95_ms": round(float(np.quantile(times, 0.95)), 4),
    }
