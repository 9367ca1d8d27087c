import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from otcache_core import graph
from otcache_core.documents.schedule import MAX_LOOK_BACK
from otcache_core.errors import OTCacheError
from otcache_core.graph import (
    LOOK_BACKS,
    Costs,
    PairCosts,
    TripleCosts,
    shortest_path_over_pairs,
    shortest_path_over_triples,
)
from otcache_core.trajectory import Trajectory

Path = tuple[int, ...]


def _trajectory(steps: int, seed: int = 0, elements: int = 40) -> Trajectory:
    """An Euler run whose velocities turn slowly, so that their past tells something."""
    random = np.random.default_rng(seed)
    sigmas = np.linspace(1.0, 0.0, steps + 1) ** 1.5
    turns = np.cumsum(random.normal(size=(steps, elements)), axis=0)
    v = np.cumsum(turns, axis=0).astype(np.float32)
    return _euler(sigmas, random.normal(size=elements).astype(np.float32), v)


def _euler(
    sigmas: NDArray[np.float64], start: NDArray[np.float32], v: NDArray[np.float32]
) -> Trajectory:
    moves = v * np.diff(sigmas)[:, None].astype(np.float32)
    x = np.concatenate([start[None], start + np.cumsum(moves, axis=0)]).astype(np.float32)
    return Trajectory(sigmas, x, v)


def _pairs(*trajectories: Trajectory) -> PairCosts:
    costs = PairCosts(trajectories[0].steps)
    for trajectory in trajectories:
        costs.add(trajectory)
    return costs


def _triples(*trajectories: Trajectory) -> TripleCosts:
    costs = TripleCosts(trajectories[0].steps)
    for trajectory in trajectories:
        costs.add(trajectory)
    return costs


def _all_paths(steps: int, budget: int) -> list[Path]:
    inner = itertools.combinations(range(1, steps - 1), budget - 2)
    return [(0, *nodes, steps - 1) for nodes in inner]


# Costs over pairs


def _pair_cost(trajectory: Trajectory, t: int, s: int, k: int) -> float:
    """MeanCache's L_K(t, s), written down as the paper has it, element by element."""
    sigma, x, v = trajectory.sigmas, trajectory.x.astype(float), trajectory.velocity.astype(float)
    r = t if k == 1 else max(t - k, 0)
    errors = []
    for element in range(x.shape[1]):
        jvp = 0.0
        if r < t:
            average = (x[t, element] - x[r, element]) / (sigma[t] - sigma[r])
            jvp = (average - v[r, element]) / (sigma[t] - sigma[r])
        u = (x[s, element] - x[t, element]) / (sigma[s] - sigma[t])
        errors.append(abs(u - v[t, element] - (sigma[s] - sigma[t]) * jvp))
    return sum(errors) / len(errors)


@pytest.mark.parametrize("weighting", ["velocity", "displacement"])
def test_pair_costs_are_the_formula(weighting: graph.Weighting) -> None:
    steps, runs = 7, [_trajectory(7, seed) for seed in range(3)]

    costs = _pairs(*runs).mean(weighting)

    for t, s in itertools.product(range(steps), range(steps + 1)):
        if s <= t:
            assert costs[t, s] == math.inf
        elif s == t + 1:
            assert costs[t, s] == 0.0  # nothing is skipped
        else:
            best = min(np.mean([_pair_cost(run, t, s, k) for run in runs]) for k in LOOK_BACKS)
            span = abs(runs[0].sigmas[s] - runs[0].sigmas[t])
            expected = best * (span if weighting == "displacement" else 1.0)
            assert costs[t, s] == pytest.approx(expected, rel=1e-4)


def test_pair_costs_by_hand() -> None:
    """One element, sigmas 3 2 1 0, velocities 1 2 4: x = 0, -1, -3, -7."""
    run = _euler(np.array([3.0, 2.0, 1.0, 0.0]), np.zeros(1, np.float32), _column(1, 2, 4))
    costs = _pairs(run)

    # 0 -> 2: u = (-3 - 0) / (1 - 3) = 1.5, no look-back at step 0: |1.5 - 1|
    assert costs.mean("velocity")[0, 2] == pytest.approx(0.5)
    # 0 -> 3: u = -7 / -3, |7/3 - 1|
    assert costs.mean("velocity")[0, 3] == pytest.approx(4 / 3)
    # 1 -> 3: u = (-7 + 1) / -2 = 3. K = 1: |3 - 2| = 1.
    # K >= 2, r = 0: average = (-1 - 0) / (2 - 3) = 1, JVP = (1 - 1) / -1 = 0: 1 as well.
    assert costs.mean("velocity")[1, 3] == pytest.approx(1.0)
    # Displacement: times |sigma_s - sigma_t| = 2, 3, 2.
    assert costs.mean()[0, 2] == pytest.approx(1.0)
    assert costs.mean()[0, 3] == pytest.approx(4.0)
    assert costs.mean()[1, 3] == pytest.approx(2.0)


def _column(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)[:, None]


def test_look_back_table_names_the_cheapest_k_of_every_edge() -> None:
    steps, runs = 8, [_trajectory(8, seed) for seed in range(2)]

    table = _pairs(*runs).look_back_table()

    assert [len(row) for row in table] == [7, 6, 5, 4, 3, 2, 1]
    for t in range(steps - 1):
        assert table[t][0] == 1  # a direct neighbour needs no estimate
        for s in range(t + 2, steps):
            costs = {k: np.mean([_pair_cost(run, t, s, k) for run in runs]) for k in LOOK_BACKS}
            assert costs[table[t][s - t - 1]] == pytest.approx(min(costs.values()), rel=1e-4)
    assert len({k for row in table for k in row}) > 1  # not one K for all
    assert all(1 <= k <= MAX_LOOK_BACK for row in table for k in row)


def test_look_back_table_prefers_reuse_where_k_makes_no_difference() -> None:
    """Step 0 has no history; neither has a run of constant velocity anything to correct."""
    still = np.ones((6, 3), np.float32)
    constant = _euler(np.linspace(1, 0, 7), np.zeros(3, np.float32), still)

    assert set(_pairs(_trajectory(6)).look_back_table()[0]) == {1}
    costs = _pairs(constant).mean()
    assert costs[np.isfinite(costs)].max() < 1e-6


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_pair_costs_of_one_look_back(k: int) -> None:
    run = _trajectory(7)
    costs = PairCosts(7, (k,))
    costs.add(run)

    for t, s in itertools.combinations(range(7), 2):
        expected = _pair_cost(run, t, s, k) if s > t + 1 else 0.0
        assert costs.mean("velocity")[t, s] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert {k for row in costs.look_back_table() for k in row} == {k}


# Costs over triples


def _simulated_error(trajectory: Trajectory, r: int, t: int, s: int) -> float:
    """Euler from the true x_t to step s with v_t at t and the slope estimate after it."""
    sigma, x, v = trajectory.sigmas, trajectory.x.astype(float), trajectory.velocity.astype(float)
    slope = (v[t] - v[r]) / (sigma[t] - sigma[r]) if r < t else np.zeros_like(v[t])
    state = x[t].copy()
    for i in range(t, s):
        velocity = v[t] if i == t else v[t] + slope * (sigma[i] - sigma[t])
        state += velocity * (sigma[i + 1] - sigma[i])
    return float(np.abs(state - x[s]).mean())


def test_triple_costs_are_the_error_of_a_simulation() -> None:
    steps, runs = 7, [_trajectory(7, seed) for seed in range(3)]

    costs = _triples(*runs).mean()

    for r, t, s in itertools.product(range(steps), range(steps), range(steps + 1)):
        if s <= t or (r >= t and (r, t) != (0, 0)):
            assert costs[r, t, s] == math.inf
        elif s == t + 1:
            assert costs[r, t, s] == 0.0
        else:
            expected = np.mean([_simulated_error(run, r, t, s) for run in runs])
            assert costs[r, t, s] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_triple_costs_by_hand() -> None:
    """One element, sigmas 4 3 2 1 0, velocities 1 2 4 8: x = 0, -1, -3, -7, -15."""
    run = _euler(np.array([4.0, 3.0, 2.0, 1.0, 0.0]), np.zeros(1, np.float32), _column(1, 2, 4, 8))

    costs = _triples(run).mean()

    assert costs[0, 0, 2] == pytest.approx(1.0)  # holds 1: 0 - 1 - 1 = -2 against -3
    # Slope (2 - 1) / (3 - 4) = -1: at step 2 2 - 1 * (2 - 3) = 3; -1 - 2 - 3 = -6 against -7.
    assert costs[0, 1, 3] == pytest.approx(1.0)
    # At step 3 2 - 1 * (1 - 3) = 4; -6 - 4 = -10 against -15.
    assert costs[0, 1, 4] == pytest.approx(5.0)
    # From r = 0: slope (4 - 1) / (2 - 4) = -1.5, so 5.5; -3 - 4 - 5.5 = -12.5 against -15.
    assert costs[0, 2, 4] == pytest.approx(2.5)
    # From r = 1: slope (4 - 2) / (2 - 3) = -2, so 6; -3 - 4 - 6 = -13 against -15.
    assert costs[1, 2, 4] == pytest.approx(2.0)


def test_triple_costs_vanish_for_a_velocity_linear_in_sigma() -> None:
    sigmas = np.linspace(1.0, 0.0, 9) ** 2
    v = (1.0 + 3.0 * sigmas[:-1, None] * np.arange(1, 5)).astype(np.float32)

    costs = _triples(_euler(sigmas, np.zeros(4, np.float32), v)).mean()

    after_two = [costs[r, t, s] for r, t, s in itertools.combinations(range(9), 3)]
    assert max(after_two) < 1e-5
    assert costs[0, 0, 2:].min() > 0.01  # before there is a slope


# Both


Build = Callable[..., PairCosts | TripleCosts]


@pytest.mark.parametrize("build", [_pairs, _triples])
@pytest.mark.parametrize("chunk", [1, 7, 39])
def test_chunks_change_nothing(build: Build, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [_trajectory(6, seed) for seed in range(2)]
    whole = build(*runs)
    monkeypatch.setattr(graph, "CHUNK", chunk)

    chunked = build(*runs)

    np.testing.assert_allclose(chunked.mean(), whole.mean(), rtol=1e-5)


@pytest.mark.parametrize("build", [_pairs, _triples])
def test_the_order_of_trajectories_changes_nothing(build: Build) -> None:
    runs = [_trajectory(6, seed) for seed in range(3)]

    np.testing.assert_allclose(build(*runs).mean(), build(*runs[::-1]).mean(), rtol=1e-12)


@pytest.mark.parametrize("build", [_pairs, _triples])
def test_reading_the_costs_does_not_change_them(build: Build) -> None:
    costs = build(_trajectory(6, 0))
    first = costs.mean()
    costs.add(_trajectory(6, 1))

    np.testing.assert_allclose(
        costs.mean(), build(_trajectory(6, 0), _trajectory(6, 1)).mean(), rtol=1e-12
    )
    np.testing.assert_array_equal(first, build(_trajectory(6, 0)).mean())


@pytest.mark.parametrize("build", [_pairs, _triples])
def test_equal_sigmas_in_a_row_give_no_nan(build: Build) -> None:
    sigmas = np.array([1.0, 1.0, 0.7, 0.7, 0.7, 0.2, 0.0, 0.0])
    v = _trajectory(7).velocity

    with np.errstate(divide="raise", invalid="raise"):
        costs = build(_euler(sigmas, np.zeros(v.shape[1], np.float32), v))
        mean = costs.mean()

    assert not np.isnan(mean).any()
    assert np.isfinite(mean[..., -1]).any()
    if isinstance(costs, PairCosts):
        assert costs.mean()[2, 4] == 0.0  # from sigma 0.7 to 0.7 nothing moves
        assert not np.isnan(costs.mean("velocity")).any()
        assert len(shortest_path_over_pairs(mean, 4)) == 4
        assert len(costs.look_back_table()) == 6
    else:
        assert costs.mean()[0, 2, 4] == 0.0
        assert len(shortest_path_over_triples(mean, 4)) == 4


@pytest.mark.parametrize("build", [PairCosts, TripleCosts])
def test_trajectories_of_another_length_are_refused(build: type[PairCosts | TripleCosts]) -> None:
    with pytest.raises(OTCacheError, match="must have 6 steps like the first one but got 7"):
        build(6).add(_trajectory(7))


@pytest.mark.parametrize("build", [PairCosts, TripleCosts])
def test_costs_of_nothing_are_refused(build: type[PairCosts | TripleCosts]) -> None:
    with pytest.raises(OTCacheError, match="edge costs need at least 1 trajectory but have 0"):
        build(6).mean()
    with pytest.raises(OTCacheError, match="at least 1 trajectory"):
        PairCosts(6).look_back_table()


# Shortest paths


def _sum_over_pairs(costs: Costs, path: Path, gamma: float) -> float:
    return sum(costs[t, s] ** gamma for t, s in itertools.pairwise(path))


def _sum_over_triples(costs: Costs, path: Path, gamma: float) -> float:
    before = (0, *path)
    return sum(costs[r, t, s] ** gamma for r, t, s in zip(before, path, path[1:], strict=False))


BUDGETS = [(3, 2), (3, 3), (6, 3), (6, 5), (8, 4), (9, 2), (9, 3), (9, 5), (9, 8), (9, 9)]


@pytest.mark.parametrize(("steps", "budget"), BUDGETS)
@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("table", "total", "shortest"),
    [
        (_pairs, _sum_over_pairs, shortest_path_over_pairs),
        (_triples, _sum_over_triples, shortest_path_over_triples),
    ],
    ids=["pairs", "triples"],
)
def test_paths_are_the_cheapest(
    table: Callable[..., PairCosts | TripleCosts],
    total: Callable[..., float],
    shortest: Callable[..., Path],
    steps: int,
    budget: int,
    gamma: float,
    seed: int,
) -> None:
    costs = table(_trajectory(steps, seed)).mean()
    paths = {path: total(costs, path, gamma) for path in _all_paths(steps, budget)}

    path = shortest(costs, budget, gamma=gamma)

    assert paths[path] == pytest.approx(min(paths.values()), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_paths_over_triples_are_the_cheapest_in_simulation(seed: int) -> None:
    """The same without any cost table: each candidate path is simulated segment by segment."""
    run = _trajectory(8, seed)

    def simulated(path: Path) -> float:
        before = (0, *path)
        segments = zip(before, path, path[1:], strict=False)
        return sum(_simulated_error(run, r, t, s) ** 3 for r, t, s in segments)

    path = shortest_path_over_triples(_triples(run).mean(), 4, gamma=3.0)

    assert path == min(_all_paths(8, 4), key=simulated)


def test_random_costs_over_triples() -> None:
    """Costs of no trajectory, so that the last two nodes matter as much as they can."""
    random = np.random.default_rng(0)
    for _ in range(20):
        costs = np.full((7, 7, 8), np.inf)
        for r, t, s in itertools.combinations(range(8), 3):
            costs[r, t, s] = random.random()
        costs[0, 0, 1:] = random.random(7)
        best = min(_all_paths(7, 4), key=lambda path: _sum_over_triples(costs, path, 1.0))

        assert shortest_path_over_triples(costs, 4, gamma=1.0) == best


def test_larger_gamma_avoids_the_large_jump() -> None:
    """0 -> 1 -> 3 costs 0 + 3, 0 -> 2 -> 3 costs 2 + 1.5: cheaper at the peak, not in sum."""
    costs = np.full((4, 5), np.inf)
    costs[0, 1], costs[1, 3], costs[0, 2], costs[2, 3] = 0.0, 3.0, 2.0, 1.5

    assert shortest_path_over_pairs(costs, 3, gamma=1.0) == (0, 1, 3)  # 3 < 3.5
    assert shortest_path_over_pairs(costs, 3, gamma=2.0) == (0, 2, 3)  # 9 > 4 + 2.25


@pytest.mark.parametrize(
    ("budget", "gamma", "message"),
    [
        (1, 3.0, "`budget` must be from 2 to steps = 6 but got 1"),
        (7, 3.0, "`budget` must be from 2 to steps = 6 but got 7"),
        (4, 0.5, "`gamma` must be at least 1 and finite but got 0.5"),
        (4, math.inf, "`gamma` must be at least 1 and finite but got inf"),
        (4, math.nan, "`gamma` must be at least 1 and finite but got nan"),
    ],
)
def test_paths_that_cannot_be_found(budget: int, gamma: float, message: str) -> None:
    run = _trajectory(6)

    with pytest.raises(OTCacheError, match=message):
        shortest_path_over_pairs(_pairs(run).mean(), budget, gamma=gamma)
    with pytest.raises(OTCacheError, match=message):
        shortest_path_over_triples(_triples(run).mean(), budget, gamma=gamma)
