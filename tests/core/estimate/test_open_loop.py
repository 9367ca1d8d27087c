"""What full runs say of fitted edges, against least squares over their elements one by one."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from otcache_core.estimate.open_loop import RIDGE, fitted_costs, run_products
from otcache_core.trajectory import Trajectory

STEPS, ELEMENTS, RUNS = 6, 30, 3
SIGMAS = np.array([3.0, 2.2, 1.6, 1.0, 0.5, 0.2, 0.0])
Elements = NDArray[np.float64]


def _random_run(seed: int, size: float = 1.0) -> Trajectory:
    random = np.random.default_rng(seed)
    x, velocity = (random.normal(size=(n, ELEMENTS)) * size for n in (STEPS + 1, STEPS))
    return Trajectory(SIGMAS, x.astype(np.float32), velocity.astype(np.float32))


def _costs(*runs: Trajectory) -> Elements:
    return fitted_costs([run_products(run) for run in runs], SIGMAS.tolist())


def _parts(run: Trajectory, r: int, t: int, s: int) -> tuple[list[Elements], Elements]:
    """What a unit of each coefficient moves, and what holding the velocity leaves missing."""
    x, v = run.x.astype(np.float64), run.velocity.astype(np.float64)
    moves = [x[t] - SIGMAS[t] * v[t]]
    if t:
        moves.append((v[t] - v[r]) / (SIGMAS[t] - SIGMAS[r]))
    return moves, x[s] - (x[t] + (SIGMAS[s] - SIGMAS[t]) * v[t])


def _left_by_elements(runs: list[Trajectory], r: int, t: int, s: int) -> float:
    """Ridge on the coefficients of all runs, and the mean size of what they leave, a run."""
    parts = [_parts(run, r, t, s) for run in runs]
    squares = [float(np.mean(missing**2)) for _, missing in parts]
    weights = 1.0 / np.sqrt(np.array(squares) + 0.3 * np.median(squares))
    rows = np.concatenate(
        [np.sqrt(w) * np.stack(m, axis=1) for w, (m, _) in zip(weights, parts, strict=True)]
    )
    wanted = np.concatenate([np.sqrt(w) * m for w, (_, m) in zip(weights, parts, strict=True)])
    normal = rows.T @ rows
    found = np.linalg.solve(normal + RIDGE * np.diag(np.diag(normal)), rows.T @ wanted)
    left = [missing - found @ np.stack(moves) for moves, missing in parts]
    return float(np.mean([np.sqrt(np.mean(each**2)) for each in left]))


@pytest.mark.parametrize("runs", [1, 2, RUNS])
def test_costs_are_those_of_least_squares_over_elements(runs: int) -> None:
    listed = [_random_run(seed, size) for seed, size in zip(range(runs), (1, 3, 0.2), strict=False)]

    costs = _costs(*listed)

    for t, s in itertools.combinations(range(STEPS + 1), 2):
        for r in range(max(t, 1)):
            expected = _left_by_elements(listed, r, t, s) if s > t + 1 else 0.0
            assert costs[r, t, s] == pytest.approx(expected, rel=1e-4), (r, t, s)


def test_only_edges_that_go_on_have_a_cost() -> None:
    costs = _costs(_random_run(0))

    assert costs.shape == (STEPS, STEPS, STEPS + 1)
    for r, t, s in itertools.product(range(STEPS), range(STEPS), range(STEPS + 1)):
        assert np.isfinite(costs[r, t, s]) == ((r < t or r == t == 0) and t < s), (r, t, s)


def test_what_slope_and_drift_can_bring_is_not_missing() -> None:
    """A velocity that is linear in sigma: whatever comes before, the slope has it all."""
    random = np.random.default_rng(1)
    base, rise, x = random.normal(size=(3, ELEMENTS))
    velocity = np.stack([base + s * rise for s in SIGMAS[:-1]])
    states = np.stack([x + s * base + s**2 / 2 * rise for s in SIGMAS])
    run = Trajectory(SIGMAS, states.astype(np.float32), velocity.astype(np.float32))
    other = _random_run(2)

    straight, rough = (_costs(each)[0, 2, STEPS] for each in (run, other))

    held = np.sqrt(np.mean(_parts(run, 0, 2, STEPS)[1] ** 2))
    # All but what the ridge keeps back of each coefficient
    assert straight < 2 * RIDGE * held
    assert rough > 0.3


def test_one_run_that_tips_over_does_not_decide_for_the_others() -> None:
    """Over the edge 2 -> 5 the drift of four runs is 0.5 and that of a far larger one -1."""

    def run(drift: float, size: float) -> Trajectory:
        x, velocity = np.zeros((STEPS + 1, 2)), np.zeros((STEPS, 2))
        x[2] = (size, 0)  # denoised = x - sigma * 0
        x[5] = (size + drift * size, 0)
        return Trajectory(SIGMAS, x.astype(np.float32), velocity.astype(np.float32))

    costs = _costs(*[run(0.5, 1.0)] * 4, run(-1.0, 2.0))[0, 2, 5]

    # Squares alone would give (4 * 0.5 - 4 * 1) / 8 < 0. Of a size of 1 and 2, means of 2 elements:
    squares = np.array([0.25] * 4 + [4.0]) / 2
    weights = 1 / np.sqrt(squares + 0.3 * 0.125)
    sizes = np.array([1.0] * 4 + [4.0])
    wanted = np.array([0.5] * 4 + [-1.0])
    drift = (weights * sizes) @ wanted / ((weights @ sizes) * (1 + RIDGE))
    assert drift > 0.1
    left = np.abs(wanted - drift) * np.sqrt(sizes / 2)
    assert costs == pytest.approx(left.mean(), rel=1e-6)


def test_levels_that_repeat_have_no_slope() -> None:
    sigmas = (1.0, 0.5, 0.5, 0.25, 0.0)
    random = np.random.default_rng(5)
    x, velocity = (random.normal(size=(n, 8)).astype(np.float32) for n in (5, 4))

    costs = fitted_costs([run_products(Trajectory(np.array(sigmas), x, velocity))], sigmas)

    assert np.isfinite(costs[1, 2, 4])


def test_products_by_hand() -> None:
    """Means over two elements."""
    run = Trajectory(
        np.array([1.0, 0.0]),
        np.array([[1, 2], [3, 4]], dtype=np.float32),
        np.array([[5, 6]], dtype=np.float32),
    )

    assert run_products(run).tolist() == [[2.5, 5.5, 8.5], [5.5, 12.5, 19.5], [8.5, 19.5, 30.5]]
