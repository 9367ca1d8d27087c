import itertools
import math
from typing import Any

import numpy as np
import pytest

from otcache_core.projection import REACH, project_to_steps, round_to_steps

Nodes = tuple[int, ...]


def _is_schedule(nodes: Nodes, budget: int, steps: int) -> bool:
    return (
        len(nodes) == budget
        and (nodes[0], nodes[-1]) == (0, steps - 1)
        and all(a < b for a, b in itertools.pairwise(nodes))
    )


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        # Gaps 1.4 4.2 4.4: 1 4 5 is closer to them than 1 5 4, which rounding makes.
        ([0, 1.4, 5.6, 10], (0, 1, 5, 10)),
        # Gaps 2.4 3.2 3.3 4.1: rounding would make a gap of 2 and one of 4 of the first two.
        ([0, 2.4, 5.6, 8.9, 13], (0, 3, 6, 9, 13)),
        # Rounded 0 0 1 2 3 5, gaps 0 1 1 1 2; the first becomes 1 and the last, largest, pays.
        ([0, 0.2, 0.8, 1.8, 3.2, 5], (0, 1, 2, 3, 4, 5)),
        # Rounded 0 0 0 6 9, gaps 0 0 6 3 -> 1 1 6 3 -> 1 1 4 3
        ([0, 0.1, 0.3, 6, 9], (0, 1, 2, 6, 9)),
        # Rounded 0 4 8 8 8: gaps 4 4 0 0 -> 4 4 1 1 -> 3 3 1 1
        ([0, 4, 8, 8, 8], (0, 3, 6, 7, 8)),
        # Three gaps of at least 1 end at step 3 or later.
        ([0, 0.4, 0.6, 2], (0, 1, 2, 3)),
    ],
)
def test_projection_by_hand(positions: list[float], expected: Nodes) -> None:
    assert project_to_steps(positions) == expected


def _changed_gaps(nodes: Nodes, positions: Any) -> float:
    """Squared logs of what becomes of each gap, and half of each offset in gaps, squared."""
    total = 0.0
    for k in range(1, len(nodes)):
        wanted = max(positions[k] - positions[k - 1], 1.0)
        total += math.log((nodes[k] - nodes[k - 1]) / wanted) ** 2
        total += (0.5 * (nodes[k] - positions[k]) / wanted) ** 2
    return total


def _random_positions(
    random: np.random.Generator, most_steps: int, most_budget: int
) -> tuple[Any, int, int]:
    steps = int(random.integers(2, most_steps + 1))
    budget = int(random.integers(2, min(steps, most_budget) + 1))
    shape = random.uniform(0.2, 4.0)
    inner = np.sort(random.uniform(0, 1, budget - 2)) ** shape * (steps - 1)
    return np.array([0.0, *inner, steps - 1.0]), budget, steps


def test_projection_changes_gaps_least() -> None:
    """No choice of steps around the rounded ones keeps the gaps closer: all of them are tried."""
    random, better_than_rounding = np.random.default_rng(4), 0
    for _ in range(200):
        positions, _, _ = _random_positions(random, most_steps=30, most_budget=6)
        rounded = round_to_steps(positions)
        around = [range(t - REACH, t + REACH + 1) for t in rounded[1:-1]]
        tried = [
            _changed_gaps((0, *inner, rounded[-1]), positions)
            for inner in itertools.product(*around)
            if all(a < b for a, b in itertools.pairwise((0, *inner, rounded[-1])))
        ]

        found = _changed_gaps(project_to_steps(positions), positions)

        assert found == pytest.approx(min(tried), abs=1e-9)
        better_than_rounding += found < _changed_gaps(rounded, positions) - 1e-9
    assert 20 < better_than_rounding < 180


def test_projection_moves_nodes_no_further_than_it_must() -> None:
    """Half a step by rounding, one for each gap that rounding closed, and then ``REACH``."""
    random, closed_any = np.random.default_rng(5), 0
    for _ in range(5000):
        positions, budget, steps = _random_positions(random, most_steps=200, most_budget=60)

        rounded, nodes = round_to_steps(positions), project_to_steps(positions)

        closed = int((np.diff(np.rint(positions)) == 0).sum())
        closed_any += closed > 0
        assert _is_schedule(rounded, budget, steps)
        assert _is_schedule(nodes, budget, steps)
        assert np.abs(rounded - positions).max() <= 0.5 + closed
        assert np.abs(np.subtract(nodes, rounded)).max() <= REACH
    assert 500 < closed_any < 4500
