"""Stage 1: edge costs from full runs, and the cheapest path with a given number of computed nodes.

There are two graphs. Over pairs of steps, as in MeanCache: the cost of covering the way from one
step to another with the first one computed and some look-back. Over triples, for the slope
estimator: the cost depends on the computed step before these two as well. Both shortest paths are
exact, by dynamic programming, with costs raised to the power of gamma so that one large jump counts
for more than several small ones.
"""
# Sources: OTCache, Eq. 3-5; the costs over pairs are MeanCache's (arXiv 2601.19961).

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .documents.anchor import LookBackTable
from .errors import OTCacheError
from .trajectory import Trajectory

Costs: TypeAlias = NDArray[np.float64]
Weighting: TypeAlias = Literal["velocity", "displacement"]

LOOK_BACKS = (1, 2, 3, 4, 5)
"""The K that MeanCache's published tables use."""

DEFAULT_GAMMA = 3.0
CHUNK = 1 << 14
"""Elements processed at a time: bounds the working memory to T x CHUNK floats."""


class PairCosts:
    """MeanCache's edge costs, averaged over trajectories.

    The cost of an edge is how far the average velocity between its two steps lies from what the
    first step and its look-back predict.

    Args:
        steps: Step count of the trajectories, T.
        look_backs: The K to choose from; only 1 for plain reuse.
    """

    # L_K(t, s) = mean |u(t, s) - v_t - (sigma_s - sigma_t) JVP_K(t)|
    # u(t, s)   = (x_s - x_t) / (sigma_s - sigma_t)
    # JVP_K(t)  = (u(r, t) - v_r) / (sigma_t - sigma_r), with r the step K before t (none for K = 1)

    def __init__(self, steps: int, look_backs: Sequence[int] = LOOK_BACKS) -> None:
        self.steps = steps
        self.look_backs = tuple(look_backs)
        self.trajectories = 0
        self._sum = np.zeros((len(self.look_backs), steps, steps + 1))
        self._sigmas = np.zeros(steps + 1)

    def add(self, trajectory: Trajectory) -> None:
        """Adds one trajectory."""
        self.add_costs(self.of(trajectory), trajectory.sigmas)

    def of(self, trajectory: Trajectory) -> NDArray[np.float32]:
        """One trajectory's own costs, ``(K, T, T + 1)``, for ``add_costs``."""
        chunks = _chunks(trajectory, self.steps)
        self._sigmas = trajectory.sigmas
        costs = np.zeros_like(self._sum)
        for x, v in chunks:
            for t in range(self.steps):
                costs[:, t, t + 1 :] += self._errors_from(t, x, v)
        mean: NDArray[np.float32] = (costs / trajectory.x.shape[1]).astype(np.float32)
        return mean

    def add_costs(self, costs: NDArray[np.float32], sigmas: NDArray[np.float64]) -> None:
        """Adds one trajectory's costs, computed before."""
        self._sum += costs
        self._sigmas = sigmas
        self.trajectories += 1

    def _errors_from(self, t: int, x: NDArray[np.float32], v: NDArray[np.float32]) -> Costs:
        """Absolute errors summed over elements for each K and each s > t, ``(K, T - t)``."""
        sigmas = self._sigmas.astype(np.float32)
        spans = (sigmas[t + 1 :] - sigmas[t])[:, None]
        residual = _divide(x[t + 1 :] - x[t], spans) - v[t]
        errors = np.empty((len(self.look_backs), self.steps - t))
        for row, k in enumerate(self.look_backs):
            # One step back the average velocity is v_r itself: K = 1 is reuse, without a JVP.
            r = t if k == 1 else max(t - k, 0)
            if r == t:
                errors[row] = np.abs(residual).sum(axis=1)
                continue
            span = sigmas[t] - sigmas[r]
            jvp = _divide(_divide(x[t] - x[r], span) - v[r], span)
            errors[row] = np.abs(residual - spans * jvp).sum(axis=1)
        return errors

    def mean(self, weighting: Weighting = "displacement") -> Costs:
        """Cost of each edge with its best K, ``(T, T + 1)``; infinite where s <= t.

        Args:
            weighting: ``"velocity"`` for MeanCache's cost as it stands, ``"displacement"`` for it
                times ``|sigma_s - sigma_t|``, the error it leaves in x.
        """
        best: Costs = self._per_look_back().min(axis=0)
        if weighting == "displacement":
            spans = np.abs(self._sigmas[None, :] - self._sigmas[: self.steps, None])
            # Where s <= t the cost stays infinite.
            best[np.isfinite(best)] *= spans[np.isfinite(best)]
        return best

    def look_back_table(self) -> LookBackTable:
        """The best K of every edge ``t -> s``, for ``Anchor.look_back_table``."""
        best = self._per_look_back().argmin(axis=0)
        rows = (best[t, t + 1 : self.steps] for t in range(self.steps - 1))
        return tuple(tuple(self.look_backs[int(i)] for i in row) for row in rows)

    def _per_look_back(self) -> Costs:
        return _mean_costs(self._sum, self.trajectories)


class TripleCosts:
    """Edge costs under the slope estimator, averaged over trajectories.

    ``D(r, t, s)`` is the mean absolute error in x at step s when t runs the model and the steps
    between t and s take ``v_t + (v_t - v_r) / (sigma_t - sigma_r) * (sigma_i - sigma_t)``.
    For t = 0 there is no r before it and v_0 is held.

    Args:
        steps: Step count of the trajectories, T.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.trajectories = 0
        self._sum = np.zeros((steps, steps, steps + 1))

    def add(self, trajectory: Trajectory) -> None:
        """Adds one trajectory."""
        self.add_costs(self.of(trajectory))

    def of(self, trajectory: Trajectory) -> NDArray[np.float32]:
        """One trajectory's own costs, ``(T, T, T + 1)``, for ``add_costs``."""
        sigmas = trajectory.sigmas
        costs = np.zeros_like(self._sum)
        for x, v in _chunks(trajectory, self.steps):
            for t in range(self.steps):
                spans = (sigmas[t + 1 :] - sigmas[t]).astype(np.float32)
                residual = x[t] + spans[:, None] * v[t] - x[t + 1 :]
                moments = _slope_moments(sigmas, t)
                for r in range(t) if t else [0]:
                    costs[r, t, t + 1 :] += _slope_errors(residual, moments, v, sigmas, r, t)
        mean: NDArray[np.float32] = (costs / trajectory.x.shape[1]).astype(np.float32)
        return mean

    def add_costs(self, costs: NDArray[np.float32]) -> None:
        """Adds one trajectory's costs, computed before."""
        self._sum += costs
        self.trajectories += 1

    def mean(self) -> Costs:
        """Costs ``(T, T, T + 1)`` by r, t, s; infinite unless r < t < s (r = 0 for t = 0)."""
        costs = _mean_costs(self._sum, self.trajectories)
        for t in range(self.steps):
            costs[max(t, 1) :, t, :] = np.inf
        return costs


def _chunks(
    trajectory: Trajectory, steps: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Views of states and velocities, ``CHUNK`` elements each; refuses another step count."""
    if trajectory.steps != steps:
        raise OTCacheError(
            f"trajectories must have {steps} steps like the first one but got {trajectory.steps}."
        )
    parts = [slice(i, i + CHUNK) for i in range(0, trajectory.x.shape[1], CHUNK)]
    return [(trajectory.x[:, part], trajectory.velocity[:, part]) for part in parts]


def _mean_costs(total: Costs, trajectories: int) -> Costs:
    """Sums over runs as means, by (any, t, s): infinite where s <= t, 0 for the next step."""
    if trajectories == 0:
        raise OTCacheError("edge costs need at least 1 trajectory but have 0.")
    costs: Costs = total / trajectories
    for t in range(costs.shape[1]):
        costs[:, t, : t + 1] = np.inf
        costs[:, t, t + 1] = 0.0  # nothing is skipped
    return costs


def _divide(values: NDArray[np.float32], spans: NDArray[np.float32] | float) -> NDArray[np.float32]:
    """Division that leaves 0 where two steps share a sigma."""
    safe = np.where(np.equal(spans, 0.0), np.inf, spans).astype(np.float32)
    result: NDArray[np.float32] = values / safe
    return result


def _slope_moments(sigmas: NDArray[np.float64], t: int) -> NDArray[np.float32]:
    """Per s, the sum of ``(sigma_{i+1} - sigma_i) (sigma_i - sigma_t)`` over skipped steps i."""
    skipped = np.diff(sigmas)[t:] * (sigmas[t:-1] - sigmas[t])
    result: NDArray[np.float32] = np.cumsum(skipped).astype(np.float32)
    return result


def _slope_errors(
    residual: NDArray[np.float32],
    moments: NDArray[np.float32],
    v: NDArray[np.float32],
    sigmas: NDArray[np.float64],
    r: int,
    t: int,
) -> Costs:
    """Absolute errors summed over elements for each s > t, ``(T - t,)``."""
    span = sigmas[t] - sigmas[r]
    if span == 0.0:
        held: Costs = np.abs(residual).sum(axis=1, dtype=np.float64)
        return held
    slope = (v[t] - v[r]) / np.float32(span)
    sloped: Costs = np.abs(residual + moments[:, None] * slope).sum(axis=1, dtype=np.float64)
    return sloped


def _check_path(budget: int, steps: int, gamma: float) -> None:
    if not 2 <= budget <= steps:
        raise OTCacheError(f"`budget` must be from 2 to steps = {steps} but got {budget}.")
    if not 1.0 <= gamma < math.inf:
        raise OTCacheError(f"`gamma` must be at least 1 and finite but got {gamma}.")


def shortest_path_over_pairs(
    costs: Costs, budget: int, *, gamma: float = DEFAULT_GAMMA
) -> tuple[int, ...]:
    """The path with ``budget`` computed nodes that minimises the sum of cost^gamma (Eq. 4).

    Exact, by dynamic programming over nodes used and last node. The first and the last step are
    always computed, as in all published schedules.

    Args:
        costs: ``(T, T + 1)`` from ``PairCosts.mean``.
        budget: Number of computed nodes, from 2 to T.
        gamma: Peak suppression, at least 1.

    Returns:
        The computed steps.
    """
    steps = len(costs)
    _check_path(budget, steps, gamma)
    powered = costs[:, :steps] ** gamma
    value = np.full(steps, np.inf)
    value[0] = 0.0
    came_from = np.zeros((budget, steps), dtype=int)
    for used in range(1, budget):
        through = value[:, None] + powered
        came_from[used] = through.argmin(axis=0)
        value = through.min(axis=0)
    path = [steps - 1]
    for used in range(budget - 1, 0, -1):
        path.append(int(came_from[used, path[-1]]))
    return tuple(reversed(path))


def shortest_path_over_triples(
    costs: Costs, budget: int, *, gamma: float = DEFAULT_GAMMA
) -> tuple[int, ...]:
    """Like ``shortest_path_over_pairs`` for costs that depend on the previous computed node too.

    Exact, by dynamic programming over nodes used and the last two nodes.

    Args:
        costs: ``(T, T, T + 1)`` from ``TripleCosts.mean``.
        budget, gamma: As there.
    """
    steps = len(costs)
    _check_path(budget, steps, gamma)
    powered = costs[:, :, :steps] ** gamma
    # value[t, s]: cheapest way whose last two computed nodes are t and s.
    value = np.full((steps, steps), np.inf)
    value[0] = powered[0, 0]
    came_from = np.zeros((budget, steps, steps), dtype=np.int64)
    for used in range(2, budget):
        through = value[:, :, None] + powered
        came_from[used] = through.argmin(axis=0)
        value = through.min(axis=0)
    path = [steps - 1, int(value[:, steps - 1].argmin())]
    for used in range(budget - 1, 1, -1):
        path.append(int(came_from[used, path[-1], path[-2]]))
    return tuple(reversed(path))
