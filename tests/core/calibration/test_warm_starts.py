import numpy as np
import pytest

from otcache_core.calibration.full_runs import FullRun
from otcache_core.calibration.warm_starts import GAINS, LATENESS, Graphs
from otcache_core.documents.schedule import ESTIMATORS
from otcache_core.estimate.open_loop import fitted_costs, run_products
from otcache_core.gaps import candidate, uniform_steps
from otcache_core.graph import (
    LOOK_BACKS,
    PairCosts,
    TripleCosts,
    shortest_path_over_pairs,
    shortest_path_over_triples,
)
from otcache_core.trajectory import Trajectory

STEPS, BUDGET = 16, 8


def _trajectory(seed: int) -> Trajectory:
    """Ten decays of different speed, each integrated by Euler."""
    sigmas = np.linspace(1, 0, STEPS + 1)
    speed = np.random.default_rng(seed).uniform(0.5, 6, 10)
    x, velocity = [np.ones(10)], []
    for sigma, sigma_next in zip(sigmas, sigmas[1:], strict=False):
        velocity.append(np.cos(speed * sigma) * speed)
        x.append(x[-1] + velocity[-1] * (sigma_next - sigma))
    return Trajectory(sigmas, np.array(x, np.float32), np.array(velocity, np.float32))


TRAJECTORIES = [_trajectory(seed) for seed in (0, 1)]


def _graphs(estimator: str, gamma: float = 3.0) -> Graphs:
    graphs = Graphs(STEPS, estimator, gamma)
    for trajectory in TRAJECTORIES:
        graphs.add(FullRun.of(trajectory, np.zeros((1, 2, 2, 3), np.uint8)))
    return graphs


def _pairs(look_backs: tuple[int, ...]) -> PairCosts:
    costs = PairCosts(STEPS, look_backs)
    for trajectory in TRAJECTORIES:
        costs.add(trajectory)
    return costs


def _triples() -> TripleCosts:
    costs = TripleCosts(STEPS)
    for trajectory in TRAJECTORIES:
        costs.add(trajectory)
    return costs


@pytest.mark.parametrize("gamma", [1.5, 3.0])
@pytest.mark.parametrize("budget", [3, 5, 9])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_path_is_the_estimators_own(estimator: str, budget: int, gamma: float) -> None:
    path = _graphs(estimator, gamma).path(budget)

    if estimator == "slope":
        assert path == shortest_path_over_triples(_triples().mean(), budget, gamma=gamma)
    else:
        costs = _pairs((1,) if estimator == "reuse" else LOOK_BACKS).mean()
        assert path == shortest_path_over_pairs(costs, budget, gamma=gamma)


def test_the_fitted_path_is_by_what_fits_leave_missing() -> None:
    products = [run_products(trajectory) for trajectory in TRAJECTORIES]
    costs = fitted_costs(products, TRAJECTORIES[0].sigmas.tolist())

    for gamma in (1.5, 3.0):
        path = _graphs("slope", gamma).fitted_path(BUDGET)
        assert path == shortest_path_over_triples(costs, BUDGET, gamma=gamma)
    assert path != _graphs("slope").path(BUDGET)


def test_the_fitted_path_knows_of_runs_that_were_added_since() -> None:
    graphs, budgets, found = Graphs(STEPS, "slope", 3.0), range(3, STEPS), []
    for trajectory in TRAJECTORIES:
        graphs.add(FullRun.of(trajectory, np.zeros((1, 2, 2, 3), np.uint8)))
        found.append([graphs.fitted_path(budget) for budget in budgets])

    assert found[0] != found[1]
    assert found[1] == [_graphs("slope").fitted_path(budget) for budget in budgets]


@pytest.mark.parametrize("late", LATENESS)
def test_late_paths_count_errors_by_the_share_of_the_run_that_is_done(late: float) -> None:
    products = [run_products(trajectory) for trajectory in TRAJECTORIES]
    fitted = fitted_costs(products, TRAJECTORIES[0].sigmas.tolist())
    graphs = _graphs("slope")

    for costs, path in ((_triples().mean(), graphs.path), (fitted, graphs.fitted_path)):
        weighted = costs.copy()
        for end in range(2, STEPS + 1):
            weighted[:, :, end] *= (end / STEPS) ** late
        assert path(BUDGET, late) == shortest_path_over_triples(weighted, BUDGET, gamma=3.0)


def test_late_paths_have_longer_first_edges() -> None:
    graphs = _graphs("slope")

    for path in (graphs.path, graphs.fitted_path):
        firsts = [path(BUDGET, late)[1] for late in (0.0, 2.0, 8.0)]
        assert firsts == sorted(firsts)
        assert firsts[0] < firsts[-1]


def test_paths_are_of_both_kinds_where_edges_are_fitted() -> None:
    graphs = _graphs("slope")
    own, fitted = graphs.path, graphs.fitted_path

    expected = [own(BUDGET), fitted(BUDGET), own(BUDGET, 1.0), own(BUDGET, 2.0)]
    expected += [fitted(BUDGET, 1.0), fitted(BUDGET, 2.0)]
    assert graphs.paths(BUDGET) == expected
    earlier = [*expected[:3], own(BUDGET, 1.0), fitted(BUDGET, 1.0), fitted(BUDGET, 1.0)]
    assert graphs.paths(BUDGET, 1.0) == earlier
    plain = Graphs(STEPS, "slope", fitted=False)
    for trajectory in TRAJECTORIES:
        plain.add(FullRun.of(trajectory, np.zeros((1, 2, 2, 3), np.uint8)))
    assert plain.paths(BUDGET) == [graphs.path(BUDGET)]
    for estimator in ("reuse", "meancache"):
        assert _graphs(estimator).paths(BUDGET) == [_graphs(estimator).path(BUDGET)]


def test_the_papers_path_is_over_pairs() -> None:
    graphs = _graphs("slope")

    assert graphs.paper_path(BUDGET) == _graphs("meancache").path(BUDGET)
    assert graphs.paper_path(BUDGET) != graphs.path(BUDGET)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_candidates_begin_with_the_default_path(estimator: str) -> None:
    graphs = _graphs(estimator)

    found = graphs.candidates(BUDGET)

    assert found[0] == candidate(graphs.path(BUDGET))
    assert len(set(found)) == len(found)
    paths = [*graphs.paths(BUDGET), graphs.paper_path(BUDGET), uniform_steps(BUDGET, STEPS)]
    for steps in paths:
        assert candidate(steps) in found


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_first_path_is_tried_with_other_gains_of_the_slope(estimator: str) -> None:
    graphs = _graphs(estimator)
    own = graphs.path(BUDGET)

    found = graphs.candidates(BUDGET)

    damped = [of for of in found if of.slope_gain != (1.0,) * (BUDGET - 1)]
    assert damped == ([candidate(own, g) for g in GAINS] if estimator == "slope" else [])
    assert damped == found[1 : 1 + len(damped)]


def test_look_backs_are_for_their_own_estimator() -> None:
    assert _graphs("meancache").look_back_table() == _pairs(LOOK_BACKS).look_back_table()
    assert _graphs("slope").look_back_table() is None
    assert _graphs("reuse").look_back_table() is None
