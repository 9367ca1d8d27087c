"""What full runs alone say of every edge: how far its end is missed once its estimate is fitted.

An edge's end, and what the slope and the drift move there, are sums of states and velocities of the
full run. So the products of these, a small matrix a run, tell every edge's fit and what it leaves
missing, whatever the size of the latent, and no model is called.

Errors that earlier edges make are not in it: they are what ``edge_fit`` is for.
"""
# The costs are for stage 1's graph (OTCache, Eq. 3-5), beside those of the plain slope.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..trajectory import Trajectory

RIDGE = 1e-2
"""On coefficients of unit size: an edge's two are fitted to few runs."""

Products = NDArray[np.float64]
"""Products of a run's states and velocities with each other, ``(2T + 1, 2T + 1)``, means over
elements: the T + 1 states first."""


def run_products(trajectory: Trajectory) -> Products:
    """The products of one full run."""
    rows = np.concatenate([trajectory.x, trajectory.velocity]).astype(np.float64)
    found: Products = rows @ rows.T / rows.shape[1]
    return found


def fitted_costs(runs: Sequence[Products], sigmas: Sequence[float]) -> NDArray[np.float64]:
    """What each edge leaves missing once its slope gain and its drift are fitted over the runs.

    Args:
        runs: Their products, at least one.
        sigmas: Their ``T + 1`` noise levels.

    Returns:
        The size of what is missing, its mean over the runs, ``(T, T, T + 1)`` by r, t, s as
        ``graph.TripleCosts.mean`` has it: infinite unless r < t < s, and 0 for the next step.
    """
    levels, known = np.asarray(sigmas, dtype=np.float64), np.stack(list(runs))
    steps = len(levels) - 1
    costs = np.full((steps, steps, steps + 1), np.inf)
    for t in range(steps):
        before = slice(0, max(t, 1))  # r = 0 for t = 0
        costs[before, t, t + 1] = 0.0
        if t + 2 <= steps:
            costs[before, t, t + 2 :] = _missing_from(t, known, levels)
    return costs


def _missing_from(t: int, known: Products, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is missing for each r and s with the edge beginning at t, ``(max(t, 1), ends)``."""
    rows = np.concatenate([_denoised(t, sigmas), _slopes(t, sigmas), _missing(t, sigmas)])
    products = rows @ known @ rows.T  # (runs, rows, rows)
    slopes, ends = slice(1, 1 + t), slice(1 + t, None)
    squares = np.diagonal(products, axis1=1, axis2=2)
    d_d, s_s, r_r = squares[:, :1], squares[:, slopes], squares[:, ends]
    d_s, d_r, s_r = products[:, 0, slopes], products[:, 0, ends], products[:, slopes, ends]
    # A run whose picture tips over must not decide for the others.
    weights = 1.0 / np.sqrt(r_r + 0.3 * np.median(r_r, axis=0) + 1e-30)
    drift_drift = (weights * d_d).sum(axis=0) * (1.0 + RIDGE) + 1e-30
    drift_missing = (weights * d_r).sum(axis=0)
    if t == 0:
        drift = drift_missing / drift_drift
        left = r_r - 2.0 * drift * d_r + drift**2 * d_d
        return _size(left)[None]
    slope_slope = np.einsum("ps,pr->rs", weights, s_s) * (1.0 + RIDGE) + 1e-30
    both = np.einsum("ps,pr->rs", weights, d_s)
    slope_missing = np.einsum("ps,prs->rs", weights, s_r)
    area = drift_drift * slope_slope - both**2
    drift = (slope_slope * drift_missing - both * slope_missing) / area
    gain = (drift_drift * slope_missing - both * drift_missing) / area
    left = (
        r_r[:, None] - 2.0 * (drift * d_r[:, None] + gain * s_r)
        + drift**2 * d_d[:, :, None] + gain**2 * s_s[:, :, None]
        + 2.0 * drift * gain * d_s[:, :, None]
    )  # fmt: skip
    return _size(left)


def _size(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the runs, the first axis, of roots of squares that rounding may leave below 0."""
    mean: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0.0)).mean(axis=0)
    return mean


def _denoised(t: int, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """The prediction of the clean picture at step t in states and velocities, ``(1, 2T + 1)``."""
    row = np.zeros((1, 2 * len(sigmas) - 1))
    row[0, t], row[0, len(sigmas) + t] = 1.0, -sigmas[t]
    return row


def _slopes(t: int, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """The slope at t from each earlier step, ``(t, 2T + 1)``; 0 where they share a level."""
    rows = np.zeros((t, 2 * len(sigmas) - 1))
    spans = sigmas[t] - sigmas[:t]
    shares = np.divide(1.0, spans, out=np.zeros(t), where=spans != 0.0)
    rows[:, len(sigmas) + t] = shares
    rows[np.arange(t), len(sigmas) + np.arange(t)] = -shares
    return rows


def _missing(t: int, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """From where a held velocity leads to the state of each s > t + 1, ``(ends, 2T + 1)``."""
    ends = np.arange(t + 2, len(sigmas))
    rows = np.zeros((len(ends), 2 * len(sigmas) - 1))
    rows[np.arange(len(ends)), ends] = 1.0
    rows[:, t] -= 1.0
    rows[:, len(sigmas) + t] = sigmas[t] - sigmas[ends]
    return rows
