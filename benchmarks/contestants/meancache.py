"""MeanCache: its graph over pairs and its average-velocity estimate with look-back."""
# Source: MeanCache (arXiv 2601.19961).

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from benchmarks.contestants.contestant import Bench, Configured, Contestant
from benchmarks.contestants.schedules import by_schedule
from benchmarks.models.sampled import STEPS

MEANCACHE = "MeanCache: path over pairs, look-back"
GAMMAS = (1.0, 2.0, 3.0, 4.0)


def meancache(bench: Bench, calls: int) -> Configured:
    """MeanCache's graph and estimator, with the gamma that does best on calibration prompts."""
    path = bench.work / "meancache.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    pairs, graph = bench.searches.graphs.pairs, bench.host.core("graph")
    table = pairs.look_back_table()

    def schedule(gamma: float) -> Any:
        steps = graph.shortest_path_over_pairs(pairs.mean(), calls, gamma=gamma)
        look_back = tuple(table[t][s - t - 1] for t, s in zip(steps, steps[1:], strict=False))
        return bench.host.core("documents.schedule").Schedule(STEPS, steps, "meancache", look_back)

    if str(calls) not in known:
        losses = {gamma: float(bench.seen.losses(schedule(gamma)).mean()) for gamma in GAMMAS}
        known[str(calls)] = min(losses, key=lambda gamma: losses[gamma])
        path.write_text(json.dumps(known), encoding="utf-8")
    best = schedule(known[str(calls)])
    how = by_schedule(bench, best)
    look_back = " ".join(map(str, best.look_back))
    return replace(how, note=f"gamma {known[str(calls)]:g}; {how.note}; look-back {look_back}")


CONTESTANTS: dict[str, Contestant] = {MEANCACHE: meancache}
