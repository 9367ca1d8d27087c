"""How long stage 3 takes: one prediction, for budgets over the whole range."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.instruments.record import write_record
from otcache_core.documents.anchor import Anchor
from otcache_core.documents.schedule import Schedule
from otcache_core.transport import predict_schedule, warping_curve

BUDGETS = (8, 9, 10, 12, 15, 20, 30, 49)


def random_schedule(rng: np.random.Generator, budget: int, steps: int) -> Schedule:
    """A schedule of sorted random steps with both ends."""
    inner = rng.choice(np.arange(1, steps - 1), size=budget - 2, replace=False)
    return Schedule(steps, (0, *sorted(int(t) for t in inner), steps - 1))


def measure(budget: int, repeats: int, *, cold: bool) -> dict[str, float | int | bool]:
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


def main(arguments: Sequence[str]) -> None:
    """Measures, prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300)
    args = parser.parse_args(arguments)
    rows = [measure(b, args.repeats, cold=cold) for cold in (True, False) for b in BUDGETS]
    for row in rows:
        kind = "first on an anchor" if row["cold"] else "slider moved"
        median, tail = row["median_ms"], row["p95_ms"]
        print(f"B={row['budget']:<3} {kind:20} {median:7.3f} ms (p95 {tail:.3f})")
    print("record:", write_record("prediction", "nox -s bench -- prediction", rows).name)
