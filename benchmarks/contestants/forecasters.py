"""Forecasters of other methods, re-implemented at velocity level on OTCache's own steps.

Their authors forecast features inside the model; here each forecasts the guided velocity at the
steps that OTCache skips, so that only the way to forecast differs.
"""
# Sources: Spectrum (arXiv 2603.01623), L2P (arXiv 2604.26365), TaylorSeer (arXiv 2503.06923).

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from benchmarks.contestants.contestant import ON_OURS, Bench, Configured, Contestant
from benchmarks.contestants.linear import Forecast, Weights, by_forecast, slope

DEGREE = 4
RIDGE = 0.1
"""Spectrum's own degree of the polynomial and weight of the ridge."""

LEAST_RIDGE = 1e-6
"""Keeps the least squares of L2P solvable where velocities are nearly dependent."""


def _hold(known: Sequence[int]) -> Weights:
    return np.eye(len(known))[-1]


def chebyshev_ridge(steps: int, degree: int = DEGREE, ridge: float = RIDGE) -> Forecast:
    """Spectrum's forecast: Chebyshev polynomials in time, fitted by ridge regression.

    One known velocity is held.

    Args:
        steps: Step count T; step i lies at time i / T, mapped to [-1, 1].
        degree: Highest degree.
        ridge: Weight of the squared coefficients.
    """

    def basis(at: Sequence[int]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = chebyshev.chebvander(2.0 * np.asarray(at) / steps - 1, degree)
        return found

    def forecast(known: Sequence[int], step: int) -> Weights:
        if len(known) < 2:
            return _hold(known)
        design = basis(known)
        normal = design.T @ design + ridge * np.eye(degree + 1)
        weights: Weights = basis([step])[0] @ np.linalg.solve(normal, design.T)
        return weights

    return forecast


def taylor(known: Sequence[int], step: int, order: int = 2) -> Weights:
    """TaylorSeer's forecast: divided differences of the last velocities, in step indices.

    The differences of every order are divided by the distance of the last two computed steps, and
    orders that the history does not reach are left out.
    """
    # factors[m][k]: weight of velocity k in the m-th derivative, at the latest computed step.
    unit = np.eye(len(known))
    factors = [unit[0]]
    for index in range(1, len(known)):
        fresh = [unit[index]]
        for before in factors[:order]:
            fresh.append((fresh[-1] - before) / (known[index] - known[index - 1]))
        factors = fresh
    ahead, weights, term = step - known[-1], np.zeros(len(known)), 1.0
    for exponent, factor in enumerate(factors):
        term *= ahead / exponent if exponent else 1.0
        weights += term * factor
    return weights


def learned(gram: NDArray[np.float64], ridge: float = LEAST_RIDGE) -> Forecast:
    """Weights for each skipped step by least squares over full runs, as L2P learns them.

    Args:
        gram: Inner products of the velocities of every two steps, summed over full runs,
            ``(T, T)``.
        ridge: Weight of the squared weights, relative to the mean squared velocity.
    """

    def forecast(known: Sequence[int], step: int) -> Weights:
        among = gram[np.ix_(known, known)]
        least = ridge * np.trace(among) / len(known) * np.eye(len(known))
        weights: Weights = np.linalg.solve(among + least, gram[list(known), step])
        return weights

    return forecast


def gram_of(trajectories: Sequence[Any]) -> NDArray[np.float64]:
    """Inner products of the velocities of every two steps, summed over full runs."""
    flat = (np.asarray(t.velocity, dtype=np.float64) for t in trajectories)
    return np.sum([v @ v.T for v in flat], axis=0)


def blended(first: Forecast, second: Forecast) -> Forecast:
    """Half of one forecast and half of the other."""
    return lambda known, step: 0.5 * (first(known, step) + second(known, step))


def _spectrum(bench: Bench, calls: int) -> Configured:
    forecast = chebyshev_ridge(len(bench.sigmas) - 1)
    return by_forecast(bench, bench.our_steps(calls), forecast)


def _spectrum_blended(bench: Bench, calls: int) -> Configured:
    forecast = blended(chebyshev_ridge(len(bench.sigmas) - 1), slope(bench.sigmas))
    return by_forecast(bench, bench.our_steps(calls), forecast)


def _learned(bench: Bench, calls: int) -> Configured:
    return by_forecast(bench, bench.our_steps(calls), learned(gram_of(bench.trajectories)))


def _taylor(order: int) -> Contestant:
    forecast = partial(taylor, order=order)
    return lambda bench, calls: by_forecast(bench, bench.our_steps(calls), forecast)


CONTESTANTS: dict[str, Contestant] = {
    f"Spectrum's Chebyshev ridge {ON_OURS}": _spectrum,
    f"Spectrum's Chebyshev ridge and slope, half each, {ON_OURS}": _spectrum_blended,
    f"L2P-like learned weights {ON_OURS}": _learned,
    f"TaylorSeer of order 1 {ON_OURS}": _taylor(1),
    f"TaylorSeer of order 2 {ON_OURS}": _taylor(2),
}
