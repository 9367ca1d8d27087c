import itertools
from dataclasses import replace

import numpy as np
import pytest

from otcache_core.gaps import (
    Candidate,
    Steps,
    candidate,
    ending_at,
    gaps_from_steps,
    neighbours,
    steps_from_gaps,
    unfitted,
    uniform_steps,
)

# From gaps to steps


@pytest.mark.parametrize(
    ("gaps", "steps", "expected"),
    [
        ((1, 2, 3), 7, (0, 1, 3, 6)),  # they sum to 6 already
        ((1, 1, 1), 7, (0, 2, 4, 6)),  # 3 to share, 1 each
        ((9, 9, 9), 4, (0, 1, 2, 3)),  # nothing to share
        # Above one (2, 0, 1.5), 7 to share in proportion: (4, 0, 3), so gaps (5, 1, 4).
        ((3.0, 1.0, 2.5), 11, (0, 5, 6, 10)),
        # Above one (1.2, 1, 0.5), 2 to share: (0.89, 0.74, 0.37), the largest remainders win.
        ((2.2, 2.0, 1.5), 6, (0, 2, 4, 5)),
        # Below one counts as one.
        ((0.5, 3.0), 6, (0, 1, 5)),
    ],
)
def test_gaps_by_hand(gaps: tuple[float, ...], steps: int, expected: Steps) -> None:
    assert steps_from_gaps(gaps, steps - 1) == expected


def test_any_gaps_give_a_schedule() -> None:
    random = np.random.default_rng(0)
    for _ in range(4000):
        steps = int(random.integers(2, 200))
        edges = int(random.integers(1, min(steps, 40)))
        gaps = 10.0 ** random.uniform(-3, random.choice([0.1, 1, 6]), edges)

        nodes = steps_from_gaps(gaps.tolist(), steps - 1)

        assert len(nodes) == edges + 1
        assert (nodes[0], nodes[-1]) == (0, steps - 1)
        assert all(a < b for a, b in itertools.pairwise(nodes))
        assert all(type(node) is int for node in nodes)
        # Nobody is rounded by a whole step: 1 + share, with all shares summing to the spare ones.
        above = np.maximum(gaps - 1, 0)
        spare = steps - 1 - edges
        ideal = 1 + (above * spare / above.sum() if above.any() else spare / edges)
        assert np.abs(np.diff(nodes) - ideal).max() < 1 + 1e-6


def test_integer_gaps_come_back_as_they_are() -> None:
    random = np.random.default_rng(1)
    for _ in range(4000):
        steps = int(random.integers(2, 300))
        budget = int(random.integers(2, min(steps, 60) + 1))
        inner = np.sort(random.choice(np.arange(1, steps - 1), budget - 2, replace=False))
        nodes = (0, *inner.tolist(), steps - 1)

        assert steps_from_gaps(gaps_from_steps(nodes), steps - 1) == nodes


def test_uniform_steps_by_hand() -> None:
    # i * 49 / 4 = 0, 12.25, 24.5, 36.75, 49
    assert uniform_steps(5, 50) == (0, 12, 24, 37, 49)


def test_uniform_steps_are_a_schedule_for_any_budget() -> None:
    for steps in range(2, 80):
        for budget in range(2, steps + 1):
            gaps = gaps_from_steps(uniform_steps(budget, steps))
            assert len(gaps) == budget - 1
            assert sum(gaps) == steps - 1
            assert 1 <= min(gaps)
            assert max(gaps) - min(gaps) <= 1 or (max(gaps) - min(gaps) == 2 and steps % 2 == 0)


# The normal form of candidates. Edges of (0, 2, 3, 6, 9): the first has no slope before it but may
# drift, 2 -> 3 skips nothing, so the gains of 3 -> 6 and 6 -> 9 change a run, and three drifts.

NODES = (0, 2, 3, 6, 9)
NOTHING = (0.0,) * 4


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1.0, (1.0, 1.0, 1.0, 1.0)),
        (0.5, (1.0, 1.0, 0.5, 0.5)),  # one factor for all edges
        ((0.3, 0.4, 0.5, 0.6), (1.0, 1.0, 0.5, 0.6)),
        ([0.0, 0.0, 0.0, 2.0], (1.0, 1.0, 0.0, 2.0)),
        ((1, 1, 0.5124, 0.5376), (1.0, 1.0, 0.512, 0.538)),  # three decimals
        ((1, 1, -0.4, -1.9996), (1.0, 1.0, -0.4, -2.0)),
        ((1, 1, -4.3, 4.3), (1.0, 1.0, -4.0, 4.0)),  # from -4 to 4
    ],
)
def test_gains_in_their_normal_form(
    given: float | tuple[float, ...], kept: tuple[float, ...]
) -> None:
    assert candidate(NODES, given) == Candidate(NODES, kept, NOTHING, NOTHING, NOTHING)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("drift", 0.0, (0.0, 0.0, 0.0, 0.0)),
        ("drift", 0.25, (0.25, 0.0, 0.25, 0.25)),  # one share for all edges
        ("drift", (0.3, 0.4, -0.5, 0.6), (0.3, 0.0, -0.5, 0.6)),
        ("drift", (0.0126, 1, -0.0124, 0), (0.013, 0.0, -0.012, 0.0)),  # three decimals
        ("drift", (-2.3, 9, 2.3, 1e9), (-2.0, 0.0, 2.0, 2.0)),  # from -2 to 2
        ("foretold", 0.25, (0.0, 0.0, 0.25, 0.25)),  # before the first edge nothing was learned
        ("foretold", (0.3, 0.4, -0.5124, 9), (0.0, 0.0, -0.512, 2.0)),
        ("bend", 0.25, (0.0, 0.0, 0.25, 0.25)),
        ("bend", (0.3, 0.4, -0.5124, -9), (0.0, 0.0, -0.512, -2.0)),
    ],
)
def test_the_others_in_their_normal_form(
    name: str, given: float | tuple[float, ...], kept: tuple[float, ...]
) -> None:
    plain = Candidate(NODES, (1.0,) * 4, NOTHING, NOTHING, NOTHING)

    assert candidate(NODES, **{name: given}) == replace(plain, **{name: kept})  # type: ignore[arg-type]


def test_the_second_edge_has_one_slope_before_it_which_cannot_have_bent() -> None:
    assert candidate((0, 3, 6, 9), bend=0.5).bend == (0.0, 0.0, 0.5)
    assert candidate((0, 3, 6, 9), foretold=0.5).foretold == (0.0, 0.5, 0.5)


def test_nothing_is_minus_nothing() -> None:
    """-0.0 equals 0.0 but is written otherwise, and keys of studies are written."""
    of = candidate(NODES, *(-0.0001,) * 4)

    assert repr(of) == repr(Candidate(NODES, (1.0, 1.0, 0.0, 0.0), *(NOTHING,) * 3))


def test_the_normal_form_stays_as_it_is() -> None:
    random = np.random.default_rng(2)
    for _ in range(500):
        gains, drifts = random.uniform(-4.5, 4.5, (2, 4)).tolist()
        once = candidate(NODES, gains, drifts)

        assert candidate(once.computed_steps, once.slope_gain, once.drift) == once
        assert all(-4.0 <= value <= 4.0 for value in once.slope_gain)
        assert all(-2.0 <= value <= 2.0 for value in once.drift)


def test_equal_runs_are_equal_candidates() -> None:
    gains, drifts = (0.1, 0.2, 0.5, 0.5), (0.1, 0.7, 0.1, 0.1)
    same = candidate(list(NODES), 0.5004, 0.0996)  # type: ignore[arg-type]

    assert len({candidate(NODES, gains, drifts), same}) == 1


@pytest.mark.parametrize("count", [3, 5])
def test_coefficients_of_other_edges_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        candidate(NODES, (1.0,) * count)
    with pytest.raises(ValueError, match="zip"):
        candidate(NODES, 1.0, (0.0,) * count)


# Neighbours


def test_neighbours_by_hand() -> None:
    """Moves of -1, then 1, then -2, then 2: of each inner step, by 1 of both too."""
    of = candidate((0, 2, 4, 8))

    assert [near.computed_steps for near in neighbours(of)] == [
        *((0, 1, 4, 8), (0, 2, 3, 8), (0, 1, 3, 8)),
        *((0, 3, 4, 8), (0, 2, 5, 8), (0, 3, 5, 8)),
        # 2 - 2 is step 0, and 4 - 2 and 2 + 2 are each other's.
        (0, 2, 6, 8),
    ]


def test_the_last_step_moves_where_it_may() -> None:
    """Alone, and with the steps before it, from a step on; within 6 to 8, at 8 at first."""
    of = candidate((0, 2, 4, 8))

    moved = [near.computed_steps for near in neighbours(of, ends=range(6, 9))]

    assert [nodes for nodes in moved if nodes[-1] != 8] == [
        *((0, 2, 4, 7), (0, 1, 3, 7), (0, 2, 3, 7)),
        (0, 2, 4, 6),
    ]
    assert [nodes for nodes in moved if nodes[-1] == 8] == [
        near.computed_steps for near in neighbours(of)
    ]


def test_runs_of_steps_move_together() -> None:
    """From each step on, and up to each, by 1."""
    of = candidate((0, 4, 8, 12, 16, 20))

    moved = {near.computed_steps for near in neighbours(of) if near.computed_steps[1] == 5}

    assert moved == {(0, 5, *rest) for rest in (
        (8, 12, 16, 20), (9, 12, 16, 20), (9, 13, 16, 20), (9, 13, 17, 20)
    )}  # fmt: skip
    assert (0, 4, 8, 13, 17, 20) in {near.computed_steps for near in neighbours(of)}


def test_unfitted_only_the_steps_are_left() -> None:
    assert unfitted(candidate((0, 3, 6, 9), 0.5, 0.25)) == candidate((0, 3, 6, 9))


def test_neighbours_keep_the_coefficients_that_still_count() -> None:
    of = candidate((0, 2, 4, 6), (1.0, -0.5, 0.75), (0.1, 0.2, -0.3))

    edges = {near.computed_steps: (near.slope_gain, near.drift) for near in neighbours(of)}

    # What skips nothing any more has neither.
    assert edges == {
        (0, 1, 4, 6): ((1.0, -0.5, 0.75), (0.0, 0.2, -0.3)),
        (0, 2, 3, 6): ((1.0, 1.0, 0.75), (0.1, 0.0, -0.3)),
        (0, 1, 3, 6): ((1.0, -0.5, 0.75), (0.0, 0.2, -0.3)),
        (0, 3, 4, 6): ((1.0, 1.0, 0.75), (0.1, 0.0, -0.3)),
        (0, 2, 5, 6): ((1.0, -0.5, 1.0), (0.1, 0.2, 0.0)),
        (0, 3, 5, 6): ((1.0, -0.5, 1.0), (0.1, 0.2, 0.0)),
    }


def test_neighbours_are_distinct_candidates_in_their_normal_form() -> None:
    random = np.random.default_rng(3)
    for _ in range(200):
        inner = np.sort(random.choice(np.arange(1, 19), 5, replace=False)).tolist()
        of = candidate((0, *inner, 19), *random.uniform(-2, 2, (2, 6)).tolist())

        found = list(neighbours(of))

        assert of not in found
        assert len(set(found)) == len(found)
        for near in found:
            assert near == candidate(near.computed_steps, near.slope_gain, near.drift)
            pairs_of_steps = zip(near.computed_steps, of.computed_steps, strict=True)
            moves = {a - b for a, b in pairs_of_steps} - {0}
            assert len(moves) == 1


def test_a_shape_that_ends_earlier() -> None:
    assert ending_at((0, 7, 14, 21, 28, 35, 42, 49), 42) == (0, 6, 12, 18, 24, 30, 36, 42)
