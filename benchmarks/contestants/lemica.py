"""LeMiCa's graph as far as it is public, re-implemented.

An edge from one computed step to the next costs what caching that one segment, in an else full run,
does to the final latent. The path is the lexicographic minimax one: its largest cost is as small as
can be, then its second largest, and so on. Skipped steps repeat the last output. As in the
published schedules, the first and the last step are computed.
"""
# Source: LeMiCa (NeurIPS 2025, github.com/UnicomAI/LeMiCa). The construction of the graph is not
# published; costs are measured on a few segment lengths and interpolated between them.

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.contestants.contestant import Bench, Configured, Contestant
from benchmarks.contestants.schedules import with_steps

Costs = NDArray[np.float64]

NAME = "LeMiCa's graph (our re-implementation)"
PROMPTS = 3
LENGTHS = (2, 3, 5, 8, 14)
LONGEST = LENGTHS[-1]
EVERY = 2
"""Segments are measured that end at every second step."""


def minimax_path(costs: Costs, nodes: int) -> tuple[int, ...]:
    """The lexicographic minimax path from the first to the last node, exact.

    Args:
        costs: ``costs[t, s]`` of the edge from t to s, infinite where there is none, ``(N, N)``.
        nodes: Nodes on the path, both ends included.

    Raises:
        ValueError: If there is no such path.
    """
    # The order of descending costs stays the same when one edge is added to both of two paths with
    # equally many edges, so that the best path to a node extends a best one to the node before.
    count = len(costs)
    best: dict[int, tuple[tuple[float, ...], tuple[int, ...]]] = {0: ((), (0,))}
    for _ in range(nodes - 1):
        longer: dict[int, tuple[tuple[float, ...], tuple[int, ...]]] = {}
        for t, (worst, path) in best.items():
            for s in range(t + 1, count):
                if not math.isfinite(costs[t, s]):
                    continue
                candidate = (tuple(sorted((*worst, float(costs[t, s])), reverse=True)), (*path, s))
                if s not in longer or candidate < longer[s]:
                    longer[s] = candidate
        best = longer
    if count - 1 not in best:
        raise ValueError(f"there must be a path over {nodes} of {count} nodes but there is none.")
    return best[count - 1][1]


def fill_costs(measured: dict[tuple[int, int], float], steps: int) -> Costs:
    """Costs of all edges from some, interpolated in their logarithm.

    First over the length of segments with one end, then over the end of segments of one length.

    Args:
        measured: Cost by start and end, both steps.
        steps: Step count T.

    Returns:
        ``(T, T)``: 0 between neighbours, infinite for segments beyond ``LONGEST``.
    """
    by_length: dict[int, dict[int, float]] = {}
    for end in sorted({end for _, end in measured}):
        known = sorted((end - start, math.log(c)) for (start, e), c in measured.items() if e == end)
        lengths, values = zip(*known, strict=True)
        for length in range(2, min(lengths[-1], LONGEST) + 1):
            by_length.setdefault(length, {})[end] = float(np.interp(length, lengths, values))
    costs = np.full((steps, steps), np.inf)
    costs[np.arange(steps - 1), np.arange(1, steps)] = 0.0
    for length, values_at in by_length.items():
        for end in range(length, steps):
            value = np.interp(end, list(values_at), list(values_at.values()))
            costs[end - length, end] = math.exp(value)
    return costs


def _lengths(end: int) -> list[int]:
    """Lengths of the measured segments that end at a step; a short run reaches back to step 0."""
    return sorted({*(n for n in LENGTHS if n <= end), min(end, LONGEST)} - {1})


def _measure_end(bench: Bench, end: int) -> dict[tuple[int, int], float]:
    """Mean absolute error of the final latent for each segment that ends at one step."""
    runs = bench.trajectories[:PROMPTS]
    sigmas = bench.sigmas
    starts = [end - length for length in _lengths(end)]
    flat = [t.x[i] + (sigmas[end] - sigmas[i]) * t.velocity[i] for i in starts for t in runs]
    states = torch.from_numpy(np.stack(flat)).float().reshape(-1, *bench.ground.latent.shape[1:])
    prompts = list(range(len(runs))) * len(starts)
    last = bench.seen.resume(prompts, states, sigmas[end:]).flatten(1).numpy()
    errors = np.abs(last - np.stack([t.x[-1] for t in runs] * len(starts))).mean(axis=1)
    means = errors.reshape(len(starts), len(runs)).mean(axis=1)
    return {(start, end): float(error) for start, error in zip(starts, means, strict=True)}


def edge_costs(bench: Bench) -> Costs:
    """Costs of all edges; measured once, the ends of segments one by one.

    Each end has a file of its own and workers take the ends in orders of their own, so that they
    share the work.
    """
    folder = bench.work / "lemica"
    folder.mkdir(parents=True, exist_ok=True)
    steps = len(bench.sigmas) - 1
    measured: dict[tuple[int, int], float] = {}
    ends = list(_ends(steps))
    random.Random(os.getpid()).shuffle(ends)
    for end in ends:
        path = folder / f"{end}.json"
        if not path.exists():
            found = [[start, cost] for (start, _), cost in _measure_end(bench, end).items()]
            partial = path.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(found), encoding="utf-8")
            partial.replace(path)
        for start, cost in json.loads(path.read_text(encoding="utf-8")):
            measured[int(start), end] = float(cost)
    return fill_costs(measured, steps)


def _ends(steps: int) -> Sequence[int]:
    return sorted({*range(2, steps, EVERY), steps - 1})


def lemica(bench: Bench, calls: int) -> Configured:
    """The model with LeMiCa's schedule."""
    costs = edge_costs(bench)
    path = minimax_path(costs, calls)
    return with_steps(bench, path, "reuse")


CONTESTANTS: dict[str, Contestant] = {"LeMiCa's path (our re-implementation)": lemica}
