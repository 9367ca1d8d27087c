"""MeanCache: its graph over pairs and its average-velocity estimate with look-back."""
# Source: MeanCache (arXiv 2601.19961).

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

from benchmarks.contestants.contestant import Bench, Configured, Contestant
from benchmarks.contestants.schedules import by_schedule
from benchmarks.instruments.kept import Kept
from benchmarks.models.sampled import STEPS

MEANCACHE = "MeanCache: path over pairs, look-back"
GAMMAS = (1.0, 2.0, 3.0, 4.0)
WEIGHTINGS = ("displacement", "velocity")


def _schedule(bench: Bench, calls: int, gamma: float, weighting: str) -> Any:
    """Its schedule by one peak suppression and one weighting of the costs."""
    pairs = bench.searches.graphs.pairs
    path = bench.host.core("graph").shortest_path_over_pairs
    steps = path(pairs.mean(weighting), calls, gamma=gamma)
    table = pairs.look_back_table()
    look_back = tuple(table[t][s - t - 1] for t, s in pairwise(steps))
    return bench.host.core("documents.schedule").Schedule(STEPS, steps, "meancache", look_back)


def meancache(bench: Bench, calls: int) -> Configured:
    """The gamma and the weighting whose pictures are closest on calibration prompts."""
    kept = Kept(bench.work / f"meancache-{calls}.json")
    settings = list(product(GAMMAS, WEIGHTINGS))
    made = {of: _schedule(bench, calls, *of) for of in settings}
    if "best" not in kept.lines:
        losses = {s: float(bench.seen.losses(s).mean()) for s in dict.fromkeys(made.values())}
        kept.put("best", min(settings, key=lambda of: losses[made[of]]))
    gamma, weighting = kept.lines["best"]
    best = made[gamma, weighting]
    how = by_schedule(bench, best)
    look_back = " ".join(map(str, best.look_back))
    note = f"gamma {gamma:g}, costs of {weighting}; {how.note}; look-back {look_back}"
    return replace(how, note=note)


CONTESTANTS: dict[str, Contestant] = {MEANCACHE: meancache}
