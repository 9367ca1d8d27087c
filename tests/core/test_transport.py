import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from otcache_core.documents.anchor import Anchor, LearnedInRuns, Sampling
from otcache_core.documents.schedule import ESTIMATORS, Schedule, coefficients
from otcache_core.drawing.schedule_plot import render_schedule
from otcache_core.errors import OTCacheError
from otcache_core.gaps import Candidate, candidate
from otcache_core.projection import REACH, project_to_steps
from otcache_core.transport import (
    MAX_RHO,
    RESOLUTION,
    coefficient_curves,
    curves_at,
    edges_along,
    evened,
    geodesic_weights,
    predict_schedule,
    realise,
    retime,
    warping_curve,
)

Nodes = tuple[int, ...]

# FLUX-like: 50 steps, 8 and 20 of them computed.
REFERENCE = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 30, 38, 43, 46, 48, 49)
ANCHOR = (0, 1, 4, 10, 19, 31, 43, 49)


def _anchor(**changes: Any) -> Anchor:
    reference, anchor = Schedule(50, REFERENCE), Schedule(50, ANCHOR)
    return Anchor(**{"name": "m", "architecture": "Flux", **changes}, **{
        "reference": reference, "anchor": anchor,
    })  # fmt: skip


def _random_nodes(random: np.random.Generator, budget: int, steps: int) -> Nodes:
    inner = random.choice(np.arange(1, steps - 1), budget - 2, replace=False)
    return (0, *np.sort(inner).tolist(), steps - 1)


def _random_anchors(count: int, seed: int = 0) -> Iterator[tuple[np.random.Generator, Anchor]]:
    random = np.random.default_rng(seed)
    for _ in range(count):
        steps = int(random.integers(4, 101))
        low = int(random.integers(2, min(steps - 1, 20)))
        high = int(random.integers(low + 1, min(steps, 40) + 1))
        rho = float(random.uniform(1, 2)) if random.random() < 0.8 else None
        yield random, Anchor(
            "m", "Flux",
            Schedule(steps, _random_nodes(random, high, steps)),
            Schedule(steps, _random_nodes(random, low, steps)),
            rho=rho,
        )  # fmt: skip


def _is_schedule(nodes: Nodes, budget: int, steps: int) -> bool:
    return (
        len(nodes) == budget
        and (nodes[0], nodes[-1]) == (0, steps - 1)
        and all(a < b for a, b in itertools.pairwise(nodes))
    )


# Curves


def test_curves_are_monotone_and_pass_through_their_nodes() -> None:
    random = np.random.default_rng(0)
    for _ in range(1000):
        steps = int(random.integers(3, 200))
        # 1000 = 2^3 * 5^3 divides by these, so every node has a sample of its own.
        budget = int(random.choice([b for b in (2, 3, 5, 6, 9, 11, 21, 26, 41) if b <= steps]))
        nodes = _random_nodes(random, budget, steps)

        curve = warping_curve(nodes, steps)

        assert curve.shape == (RESOLUTION,)
        assert (np.diff(curve) >= 0).all()
        assert (curve[0], curve[-1]) == (0.0, 1.0)
        at_nodes = curve[:: (RESOLUTION - 1) // (budget - 1)] * (steps - 1)
        np.testing.assert_allclose(at_nodes, nodes, atol=1e-9)


def test_evenly_spaced_nodes_give_a_straight_curve() -> None:
    curve = warping_curve((0, 4, 8, 12, 16), 17)

    np.testing.assert_allclose(curve, np.linspace(0, 1, RESOLUTION), atol=1e-12)


def test_curves_cannot_be_spoilt_for_others() -> None:
    for nodes, steps in ((ANCHOR, 50), ((0,), 1)):
        with pytest.raises(ValueError, match="read-only"):
            warping_curve(nodes, steps)[0] = 0.5


# The geodesic


@pytest.mark.parametrize(
    ("budget", "budgets", "raw"),
    [
        (8, (8, 20), (math.log(8) / 1, math.log(20) / 13)),
        (10, (8, 20), (math.log(8) / 3, math.log(20) / 11)),
        (14, (8, 20), (math.log(8) / 7, math.log(20) / 7)),
        (20, (8, 20), (math.log(8) / 13, math.log(20) / 1)),
        (30, (20, 50), (math.log(20) / 11, math.log(50) / 21)),
    ],
)
def test_weights_are_equation_9(
    budget: int, budgets: tuple[int, int], raw: tuple[float, float]
) -> None:
    low, high = geodesic_weights(budget, budgets)

    assert low == pytest.approx(raw[0] / (raw[0] + raw[1]))
    assert low + high == pytest.approx(1.0)


# 17 steps. The anchor is the straight line u * 16; the reference stands at 2, 4, 8 for u = 1/4,
# 1/2, 3/4, which are nodes of its own.
LINE = Schedule(17, (0, 8, 16))
BENT = Schedule(17, (0, 1, 2, 3, 4, 6, 8, 12, 16))


def test_a_prediction_by_hand() -> None:
    """Weights log 3 / (2 + 1) and log 9 / (4 + 1); as log 9 = 2 log 3, they are as 5 to 6."""
    prediction = predict_schedule(Anchor("m", "Flux", BENT, LINE), 5, rho=1.0)

    # u = 1/4: (5 * 4 + 6 * 2) / 11 = 2.9; 1/2: (5 * 8 + 6 * 4) / 11 = 5.8;
    # 3/4: (5 * 12 + 6 * 8) / 11 = 9.8
    assert prediction.schedule == Schedule(17, (0, 3, 6, 10, 16))
    assert prediction.rho == 1.0


def test_rho_by_hand() -> None:
    """Both endpoints straight, so mu(u) = 12 u: only rho bends."""
    anchor = Anchor("m", "Flux", Schedule(13, (0, 3, 6, 9, 12)), Schedule(13, (0, 6, 12)))

    # i / 3 = 0, 1/3, 2/3, 1
    assert predict_schedule(anchor, 4, rho=1.0).schedule.computed_steps == (0, 4, 8, 12)
    # Squared: 0, 1/9, 4/9, 1, times 12: 0, 1.3, 5.3, 12
    assert predict_schedule(anchor, 4, rho=2.0).schedule.computed_steps == (0, 1, 5, 12)


def test_rho_fades_out_towards_the_full_schedule() -> None:
    anchor = Anchor("m", "Flux", BENT, LINE, rho=1.5)

    assert predict_schedule(anchor, 5).rho == 1.5
    # Of the way from 9 to 17, 4 / 8 is left: 1 + 0.5 * 4 / 8
    assert predict_schedule(anchor, 13).rho == 1.25
    assert predict_schedule(anchor, 17).rho == 1.0


@pytest.mark.parametrize(
    ("own", "given", "used"), [(None, None, 1.3), (1.1, None, 1.1), (1.1, 1.7, 1.7), (None, 1, 1)]
)
def test_rho_comes_from_the_user_or_the_anchor_or_the_paper(
    own: float | None, given: float | None, used: float
) -> None:
    assert predict_schedule(_anchor(rho=own), 12, rho=given).rho == used


def test_predictions_of_random_anchors_are_schedules() -> None:
    for random, anchor in _random_anchors(2500):
        budget = int(random.integers(anchor.anchor.budget, anchor.steps + 1))

        schedule = predict_schedule(anchor, budget).schedule

        assert _is_schedule(schedule.computed_steps, budget, anchor.steps)
        assert schedule.budget == budget
        assert predict_schedule(anchor, budget).schedule == schedule


def test_predictions_for_other_step_counts_are_schedules() -> None:
    for random, anchor in _random_anchors(2000, seed=1):
        steps = int(random.integers(2, 201))
        budget = int(random.integers(min(anchor.anchor.budget, steps), steps + 1))

        schedule = predict_schedule(anchor, budget, steps=steps).schedule

        assert schedule.steps == steps
        assert _is_schedule(schedule.computed_steps, budget, steps)


@pytest.mark.parametrize("steps", range(1, 201))
def test_every_step_count_has_every_budget(steps: int) -> None:
    for budget in {min(8, steps), min(9, steps), min(20, steps), min(21, steps), steps}:
        schedule = predict_schedule(_anchor(), budget, steps=steps, rho=2.0).schedule
        assert _is_schedule(schedule.computed_steps, budget, steps)


def test_full_budget_is_the_identity() -> None:
    for random, anchor in _random_anchors(500, seed=2):
        steps = int(random.integers(1, 201))

        assert predict_schedule(anchor, anchor.steps, rho=MAX_RHO).schedule.is_full
        assert predict_schedule(anchor, steps, steps=steps, rho=MAX_RHO).schedule.is_full


@pytest.mark.parametrize("rho", [1.0, 1.3, 2.0])
def test_endpoints_come_back_as_they_are_stored(rho: float) -> None:
    for _, anchor in _random_anchors(300, seed=3):
        for stored in (anchor.anchor, anchor.reference):
            assert predict_schedule(anchor, stored.budget, rho=rho).schedule is stored


def test_curves_of_random_anchors_can_be_drawn() -> None:
    for random, anchor in _random_anchors(300, seed=4):
        budget = int(random.integers(anchor.anchor.budget, anchor.steps + 1))
        last = anchor.steps - 1

        curves = predict_schedule(anchor, budget).curves

        assert [*curves] == [
            f"reference (B={anchor.reference.budget})",
            f"anchor (B={anchor.anchor.budget})",
            f"prediction (B={budget})",
        ]
        for curve in curves.values():
            assert curve.shape == (RESOLUTION,)
            assert (curve[0], curve.min(), curve.max(), curve[-1]) == (0, 0, last, last)


def test_a_prediction_is_drawn() -> None:
    prediction = predict_schedule(_anchor(), 12)
    nodes = prediction.schedule.computed_steps

    picture = render_schedule(steps=50, computed_steps=nodes, curves=prediction.curves)

    assert picture.shape == (540, 960, 3)
    # The curve passes through its own nodes: 11 edges divide the samples unevenly, so by value.
    curve = prediction.curves["prediction (B=12)"]
    np.testing.assert_allclose(
        np.interp(np.linspace(0, 1, 12), np.linspace(0, 1, RESOLUTION), curve), nodes, atol=0.01
    )


def test_a_curve_ends_where_its_schedule_does() -> None:
    curve = warping_curve((0, 1, 4, 10, 19, 31, 43, 47), 50)

    assert curve[-1] == 47 / 49
    assert realise(curve, 8, 50, 1.0) == (0, 1, 4, 10, 19, 31, 43, 47)


@pytest.mark.parametrize("tail", range(6))
def test_tails_shrink_from_the_anchor_to_the_reference(tail: int) -> None:
    nodes = (0, 1, 4, 10, 19, 31, 43, 49 - tail)
    anchor = replace(_anchor(), anchor=Schedule(50, nodes))

    tails = [predict_schedule(anchor, budget).schedule.tail for budget in range(8, 51)]

    assert (tails[0], tails[12], tails[-1]) == (tail, 0, 0)
    assert tails == sorted(tails, reverse=True)
    for budget in range(8, 51):
        schedule = predict_schedule(anchor, budget).schedule
        assert schedule.budget == len(set(schedule.computed_steps)) == budget


@pytest.mark.parametrize("steps", [8, 9, 10, 17, 25, 33, 100])
def test_a_tail_over_other_step_counts_keeps_its_share(steps: int) -> None:
    schedule = Schedule(50, (0, 1, 4, 10, 19, 31, 43, 47))

    again = retime(schedule, steps)

    assert again.budget == 8
    assert again.tail == pytest.approx(2 * (steps - 1) / 49, abs=0.5) or steps == 8
    assert steps > 8 or again.is_full


# Integers


def test_steps_stay_as_they_are() -> None:
    for random, anchor in _random_anchors(300, seed=8):
        nodes = anchor.reference.computed_steps
        assert project_to_steps(nodes) == nodes
        assert project_to_steps(np.array(nodes) + random.uniform(-1e-6, 1e-6)) == nodes


def test_nodes_follow_rho_continuously() -> None:
    """The real samples move continuously with rho; the nodes stay near them as above."""
    for random, anchor in _random_anchors(1000, seed=6):
        budget = int(random.integers(2, anchor.steps + 1))
        curve = warping_curve(anchor.anchor.computed_steps, anchor.steps)
        for rho in random.uniform(1, 2, 2):
            progress = (np.arange(budget) / (budget - 1)) ** rho
            samples = np.interp(progress, np.linspace(0, 1, RESOLUTION), curve)
            positions = samples * (anchor.steps - 1)
            closed = int((np.diff(np.rint(positions)) == 0).sum())

            nodes = realise(curve, budget, anchor.steps, rho)

            assert _is_schedule(nodes, budget, anchor.steps)
            assert np.abs(nodes - positions).max() <= 0.5 + closed + REACH + 1e-9


def test_larger_rho_computes_earlier() -> None:
    """Up to the step that the projection may shift a node by."""
    line = np.linspace(0, 1, RESOLUTION)

    nodes = [realise(line, 8, 101, rho) for rho in (1.0, 1.25, 1.5, 1.75, 2.0)]

    for later, earlier in itertools.pairwise(nodes):
        assert all(a < b for a, b in zip(earlier[1:-1], later[1:-1], strict=True))


# A third schedule in the middle


def test_neighbouring_schedules_decide() -> None:
    """Below the middle the reference has no say, above it the anchor has none."""
    middle = Schedule(50, (0, 1, 3, 6, 10, 15, 20, 26, 32, 38, 44, 49))
    bent = Schedule(50, (0, 10, 20, 30, 40, 45, 47, 49))
    late = Schedule(50, (0, *range(31, 50)))
    own, other_anchor, other_reference = (
        Anchor("m", "Flux", reference, anchor, middle=middle)
        for reference, anchor in (
            (Schedule(50, REFERENCE), Schedule(50, ANCHOR)),
            (Schedule(50, REFERENCE), bent),
            (late, Schedule(50, ANCHOR)),
        )
    )

    for budget in range(8, 51):
        predicted, by_anchor, by_reference = (
            predict_schedule(anchor, budget).schedule
            for anchor in (own, other_anchor, other_reference)
        )
        assert _is_schedule(predicted.computed_steps, budget, 50)
        assert (predicted == by_anchor) == (budget >= 12)
        assert (predicted == by_reference) == (budget <= 12 or budget == 50)


def test_three_schedules_come_back_as_they_are_stored() -> None:
    middle = Schedule(17, (0, 1, 4, 9, 16), slope_gain=(1.0, 0.5, -0.5, 0.25), drift=(0.1,) * 4)
    anchor = Anchor("m", "Flux", BENT, LINE, middle=middle)

    for stored in (LINE, middle, BENT):
        for rho in (1.0, 2.0):
            assert predict_schedule(anchor, stored.budget, rho=rho).schedule is stored
    assert [*predict_schedule(anchor, 7).curves] == [
        "reference (B=9)",
        "middle (B=5)",
        "anchor (B=3)",
        "prediction (B=7)",
    ]


def test_a_prediction_between_middle_and_reference_by_hand() -> None:
    """Both straight, so that every blend of theirs is: mu(u) = 12 u, however bent the anchor is."""
    anchor = Anchor(
        "m",
        "Flux",
        reference=Schedule(13, (0, 2, 4, 6, 8, 10, 12)),
        anchor=Schedule(13, (0, 1, 12)),
        middle=Schedule(13, (0, 3, 6, 9, 12)),
    )

    # i * 12 / 5 = 0, 2.4, 4.8, 7.2, 9.6, 12
    assert predict_schedule(anchor, 6, rho=1.0).schedule.computed_steps == (0, 2, 5, 7, 10, 12)
    # Below the middle, the anchor pulls: at u = 1/3 and 2/3 it is far below 4 and 8.
    below = predict_schedule(anchor, 4, rho=1.0).schedule.computed_steps
    assert below[1] < 4
    assert below[2] < 8


# Coefficients of edges


def test_curves_by_hand() -> None:
    """Each step has the gain of the edge it lies in and its drift per share of the run; the last
    step begins none."""
    schedule = Schedule(7, (0, 2, 3, 6), slope_gain=(1.0, 0.25, -0.5), drift=(0.2, 0.0, -0.6),
                        foretold=(0.0, 0.0, 0.7), bend=(0.0, 0.0, -0.4))  # fmt: skip

    gains, rates, foretold, bends = coefficient_curves(schedule, 7)

    assert gains.tolist() == [1.0, 1.0, 0.25, -0.5, -0.5, -0.5, 1.0]
    # Edges are 2/6, 1/6 and 3/6 of the run: 0.2 / (2/6), 0, -0.6 / (3/6).
    assert rates == pytest.approx([0.6, 0.6, 0.0, -1.2, -1.2, -1.2, 0.0])
    assert foretold.tolist() == [0.0, 0.0, 0.0, 0.7, 0.7, 0.7, 0.0]
    assert bends.tolist() == [0.0, 0.0, 0.0, -0.4, -0.4, -0.4, 0.0]


def test_a_tail_follows_the_plain_slope() -> None:
    schedule = Schedule(7, (0, 2, 4), slope_gain=(1.0, 0.5), drift=(0.3, 0.3), foretold=(0.0, 0.2))

    curves = coefficient_curves(schedule, 7)

    assert curves[:, 4:].tolist() == [[1.0] * 3, *[[0.0] * 3] * 3]
    assert curves[:, 3] == pytest.approx([0.5, 0.9, 0.2, 0.0])


def test_curves_of_another_step_count_by_hand() -> None:
    schedule = Schedule(3, (0, 1, 2), slope_gain=(1.0, 0.5), drift=(0.25, -0.5))

    # Gains 1, 0.5, 1 and rates 0.5, -1, 0 at progress 0, 1/2, 1; half way between them
    assert coefficient_curves(schedule, 5).tolist() == [
        [1.0, 0.75, 0.5, 0.75, 1.0],
        [0.5, -0.25, -1.0, -0.5, 0.0],
        [0.0] * 5,
        [0.0] * 5,
    ]
    assert coefficient_curves(schedule, 2).tolist() == [
        [1.0, 1.0],
        [0.5, 0.0],
        [0.0, 0.0],
        [0.0, 0.0],
    ]


def test_edges_along_curves_by_hand() -> None:
    gains = [9.0, 9.0, 9.0, 0.5, 9.0, 0.2, -0.6, 0.7, 9.0, 0.5134, 9.0]
    rates = [9.0, 0.5, 9.0, -0.3, 9.0, 0.1, 0.2, 0.6, 9.0, -9.0, 9.0]
    foretold = [9.0, 9.0, 9.0, 0.1, 9.0, 0.3, 0.2, 0.1, 9.0, -0.5, 9.0]
    bends = [-share for share in foretold]
    curves = np.array([gains, rates, foretold, bends])

    # The first edge has no slope before it; 2 -> 4 skips 3, 4 -> 8 skips 5 to 7 with means of 0.1
    # and 0.3, and 8 -> 10 skips 9. They are 2, 2, 4 and 2 tenths of the run; three decimals, and
    # -9 * 0.2 is within 2.
    assert edges_along(curves, (0, 2, 4, 8, 10)) == Candidate(
        *((0, 2, 4, 8, 10), (1.0, 0.5, 0.1, 0.513), (0.1, -0.06, 0.12, -1.8)),
        foretold=(0.0, 0.1, 0.2, -0.5),
        bend=(0.0, 0.0, -0.2, 0.5),
    )
    # 2 -> 3 skips nothing; 3 -> 10 skips 4 to 9, with sums of 18.8134 and 9.9: the gain is a mean,
    # what is foretold ends at 2, and the drift is 9.9 / 6 * 0.7.
    assert edges_along(curves, (0, 2, 3, 10)) == Candidate(
        (0, 2, 3, 10), (1.0, 1.0, 3.136), (0.1, 0.0, 1.155), (0.0, 0.0, 2.0), (0.0, 0.0, -2.0)
    )
    assert edges_along(curves[:, :1], (0,)) == candidate((0,))


def _coefficients(random: np.random.Generator, nodes: Nodes) -> Candidate:
    return candidate(nodes, *random.uniform(-2, 2, (4, len(nodes) - 1)).tolist())


def _with_coefficients(random: np.random.Generator, of: Schedule) -> Schedule:
    edges = _coefficients(random, of.computed_steps)
    return replace(of, **coefficients(edges))


def test_edges_along_the_curves_of_their_own_schedule_have_their_own_coefficients() -> None:
    random = np.random.default_rng(8)
    for _ in range(300):
        steps = int(random.integers(4, 60))
        nodes = _random_nodes(random, int(random.integers(2, steps)), steps)
        edges = _coefficients(random, nodes)
        schedule = Schedule(steps, nodes, **coefficients(edges))

        assert edges_along(coefficient_curves(schedule, steps), nodes) == edges


def test_a_blend_of_coefficients_by_hand() -> None:
    """17 steps, budget 5 between 3 and 9, a third of the way: shares of 2/3 and 1/3."""
    line = Schedule(17, (0, 8, 16), slope_gain=(1.0, 0.45), drift=(0.32, -0.16))
    bent = Schedule(
        *(17, BENT.computed_steps),
        slope_gain=(1.0,) * 4 + (0.2, 0.4, 0.6, 0.8),
        drift=(0.0,) * 4 + (0.1, 0.0, 0.4, -0.2),
    )

    schedule = predict_schedule(Anchor("m", "Flux", bent, line), 5, rho=1.0).schedule

    assert schedule.computed_steps == (0, 3, 6, 10, 16)
    # 0 -> 3 has no slope before it; 3 -> 6 skips 4 and 5: (2 * 1 + 0.2) / 3 = 0.733.
    # 6 -> 10 skips 7 with (2 * 1 + 0.4) / 3 = 0.8, 8 and 9 with (2 * 0.45 + 0.6) / 3 = 0.5: 0.6.
    # 10 -> 16 skips 11 with 0.5, 12 to 15 with (2 * 0.45 + 0.8) / 3 = 0.567: 0.553.
    assert schedule.slope_gain == (1.0, 0.733, 0.6, 0.553)
    # Rates are 0.64 and -0.32 on the halves of the line; 0.8, 0, 1.6, -0.8 from 4, 6, 8, 12 on.
    # 0 -> 3 skips 1 and 2 with (2 * 0.64 + 0) / 3 = 0.427, times 3/16.
    # 3 -> 6 skips 4 and 5 with (2 * 0.64 + 0.8) / 3 = 0.693, times 3/16.
    # 6 -> 10 skips 7 with 0.427, 8 and 9 with (-2 * 0.32 + 1.6) / 3 = 0.32: 0.356, times 4/16.
    # 10 -> 16 skips 11 with 0.32, 12 to 15 with (-2 * 0.32 - 0.8) / 3 = -0.48: -0.32, times 6/16.
    assert schedule.drift == (0.08, 0.13, 0.089, -0.12)


def test_fitted_schedules_are_taken_as_they_are_and_elsewhere_their_coefficients() -> None:
    low = Schedule(17, (0, 8, 16), slope_gain=(1.0, 0.4), drift=(0.0, 0.08))
    high = Schedule(17, (0, 2, 4, 6, 8, 10, 12, 14, 16))
    plain = Anchor("m", "Flux", high, low)
    nodes = predict_schedule(plain, 5).schedule.computed_steps
    fitted = Schedule(17, nodes, slope_gain=(1.0, 0.1, -0.2, 0.3), drift=(0.5, -0.017, 0.333, 2.0))
    elsewhere = Schedule(
        17, (0, 1, 2, 3, 16), slope_gain=(1.0, 1.0, 1.0, 0.2), drift=(0.0, 0.0, 0.0, 1.3)
    )

    assert predict_schedule(replace(plain, fitted=(fitted,)), 5).schedule == fitted
    other = replace(plain, fitted=(elsewhere,))
    assert predict_schedule(other, 5).schedule == elsewhere
    assert predict_schedule(other, 5, steps=33).schedule.computed_steps[-2] > 16
    moved = predict_schedule(other, 5, rho=1.31).schedule
    assert (moved.computed_steps, set(moved.slope_gain[2:])) == (nodes, {0.2})
    # 1.3 over 13 steps: 0.1 a step
    assert moved.drift[2:] == pytest.approx([0.1 * gap for gap in moved.gaps[2:]])
    # Half way from 3 to 5 the coefficients are half way, too.
    between = predict_schedule(replace(plain, fitted=(fitted,)), 4, rho=1.0).schedule
    assert 0.3 <= between.slope_gain[-1] <= 0.4
    rates = [2.0 / fitted.gaps[-1], 0.01]  # the gap of the other is 8
    assert between.drift[-1] == pytest.approx(np.mean(rates) * between.gaps[-1], abs=0.001)


def test_fitted_coefficients_come_back_exactly() -> None:
    """At every budget whose steps are those that were fitted, whatever is known elsewhere."""
    for random, plain in _random_anchors(300, seed=11):
        low, high = (_with_coefficients(random, s) for s in (plain.anchor, plain.reference))
        anchor = replace(plain, anchor=low, reference=high)
        between = [b for b in range(low.budget + 1, anchor.steps) if b != high.budget][::3]
        fitted = tuple(
            _with_coefficients(random, predict_schedule(anchor, b).schedule) for b in between[:16]
        )

        again = replace(anchor, fitted=fitted)

        for known in (low, *fitted, high):
            assert predict_schedule(again, known.budget).schedule == known


def test_coefficients_fade_out_towards_the_full_schedule() -> None:
    """The full schedule skips nothing: its gain is 1 and its drift 0 everywhere, the plain slope's.

    Drifts are compared by rate: edges become shorter, too.
    """
    low = Schedule(101, (0, 50, 100), slope_gain=(1.0, 0.0), drift=(0.4, 0.4))
    high = Schedule(101, (0, 25, 50, 75, 100), slope_gain=(1.0,) + (0.0,) * 3, drift=(0.2,) * 4)
    anchor = Anchor("m", "Flux", high, low)

    gains, rates = [], []
    for budget in (5, 6, 10, 20, 40, 50):
        schedule = predict_schedule(anchor, budget, rho=1.0).schedule
        skipping = [edge for edge, gap in enumerate(schedule.gaps) if edge and gap > 1]
        gains.append(np.mean([schedule.slope_gain[edge] for edge in skipping]))
        rates.append(np.mean([schedule.drift[e] / schedule.gaps[e] for e in skipping]))

    assert (gains[0], rates[0]) == (0.0, pytest.approx(0.2 / 25))
    assert gains == sorted(gains)
    assert rates == sorted(rates, reverse=True)
    assert gains[-1] > 0.4
    assert rates[-1] < 0.6 * rates[0]


def test_the_full_schedule_has_the_plain_slope() -> None:
    for random, plain in _random_anchors(100, seed=12):
        low, high = (_with_coefficients(random, s) for s in (plain.anchor, plain.reference))
        anchor = replace(plain, anchor=low, reference=high)
        for steps in {anchor.steps, int(random.integers(2, 121))}:
            if steps == high.budget:  # all of a shorter run
                continue
            gains, *others = curves_at(anchor, steps, steps).tolist()
            assert (set(gains), [set(other) for other in others]) == ({1.0}, [{0.0}] * 3)
            schedule = predict_schedule(anchor, steps, steps=steps).schedule
            assert set(schedule.slope_gain) <= {1.0}
            assert set(schedule.drift) | set(schedule.foretold) | set(schedule.bend) <= {0.0}


def test_plain_anchors_predict_the_plain_slope() -> None:
    for _, anchor in _random_anchors(200, seed=9):
        for budget in range(anchor.anchor.budget, anchor.steps + 1, 7):
            schedule = predict_schedule(anchor, budget).schedule
            assert set(schedule.slope_gain) <= {1.0}
            assert set(schedule.drift) | set(schedule.foretold) | set(schedule.bend) <= {0.0}


def test_coefficients_of_any_prediction_are_in_their_normal_form() -> None:
    for random, plain in _random_anchors(500, seed=10):
        low, high = (_with_coefficients(random, s) for s in (plain.anchor, plain.reference))
        anchor = Anchor("m", "Flux", high, low)
        steps = int(random.integers(2, 121))
        budget = int(random.integers(min(low.budget, steps), steps + 1))

        schedule = predict_schedule(anchor, budget, steps=steps).schedule

        assert len(schedule.slope_gain) == len(schedule.drift) == budget - 1
        if budget not in (low.budget, high.budget):
            of = candidate(schedule.computed_steps, **coefficients(schedule))
            assert coefficients(of) == coefficients(schedule)


def test_below_the_anchor_its_coefficients_hold() -> None:
    """Gains as they are, drifts by what an edge spans: 0.02 a step."""
    drift = tuple(0.02 * (after - node) for node, after in itertools.pairwise(ANCHOR))
    low = Schedule(50, ANCHOR, slope_gain=(1.0,) + (0.5,) * 6, drift=drift)
    anchor = Anchor("m", "Flux", Schedule(50, REFERENCE), low)

    schedule = predict_schedule(anchor, 5, below_anchor=True).schedule

    gaps = schedule.gaps
    assert schedule.slope_gain[1:] == tuple(0.5 if gap > 1 else 1.0 for gap in gaps[1:])
    assert schedule.drift == pytest.approx([0.02 * gap if gap > 1 else 0.0 for gap in gaps])
    assert sum(schedule.drift) > 0.9


def test_coefficients_are_retimed_with_their_edges() -> None:
    """An edge spans the same share of the run, so it drifts as far."""
    gains, drifts = (1.0, 0.5, -0.25), (0.1, -0.2, 0.3)
    schedule = Schedule(11, (0, 2, 4, 10), slope_gain=gains, drift=drifts)

    again = retime(schedule, 21)
    assert (again.slope_gain, again.drift) == (gains, drifts)
    assert retime(schedule, 6) == Schedule(6, (0, 1, 2, 5), slope_gain=gains, drift=drifts)
    assert retime(schedule, 3) == Schedule(3, (0, 1, 2), slope_gain=gains[:2], drift=drifts[:2])


# Below the anchor


def test_budgets_below_the_anchor_are_an_option() -> None:
    with pytest.raises(OTCacheError, match="`budget` must be at least 8 for this anchor but got 7"):
        predict_schedule(_anchor(), 7)

    curve = warping_curve(ANCHOR, 50)
    for budget in range(2, 8):
        schedule = predict_schedule(_anchor(), budget, rho=1.2, below_anchor=True).schedule
        assert schedule.computed_steps == realise(curve, budget, 50, 1.2)


def test_that_option_changes_nothing_above() -> None:
    for budget in range(8, 51):
        allowed = predict_schedule(_anchor(), budget, below_anchor=True).schedule
        assert allowed == predict_schedule(_anchor(), budget).schedule


# What else a prediction carries


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_estimator_is_the_anchors(estimator: str) -> None:
    anchor = Anchor(
        "m", "Flux", Schedule(50, REFERENCE, estimator), Schedule(50, ANCHOR, estimator)
    )

    assert predict_schedule(anchor, 12).schedule.estimator == estimator


def test_positions_half_way_to_even_spacing_by_hand() -> None:
    positions = np.array([0.0, 1.0, 3.0, 12.0])

    assert evened(positions, 0.0).tolist() == [0, 1, 3, 12]
    assert evened(positions, 0.5).tolist() == [0, 2.5, 5.5, 12]
    assert evened(positions, 1.0).tolist() == [0, 4, 8, 12]


def test_from_its_budget_on_an_anchor_lets_runs_learn() -> None:
    given, learning = _anchor(), _anchor(learned_in_runs=LearnedInRuns(12, 0.5))

    for budget in range(8, 51):
        ours = predict_schedule(learning, budget).schedule
        theirs = predict_schedule(given, budget).schedule
        if budget < 12:
            assert ours == theirs
            continue
        assert ours.estimator == "adaptive"
        assert (set(ours.slope_gain), set(ours.drift)) <= ({1.0}, {0.0})
        # Real positions lie up to a step from those that were rounded, before and after.
        half = evened(np.array(theirs.computed_steps, dtype=float), 0.5)
        assert np.abs(half - ours.computed_steps).max() <= REACH + 0.5
    reference = predict_schedule(learning, 20).schedule
    even = np.linspace(0, 49, 20)
    assert reference.computed_steps == project_to_steps((np.array(REFERENCE) + even) / 2)
    assert predict_schedule(learning, 50).schedule.is_full


def test_without_evenness_learning_keeps_the_steps() -> None:
    given, learning = _anchor(), _anchor(learned_in_runs=LearnedInRuns(8, 0.0))

    for budget in (8, 9, 13, 20, 35):
        ours = predict_schedule(learning, budget).schedule
        theirs = predict_schedule(given, budget).schedule
        assert (ours.computed_steps, ours.estimator) == (theirs.computed_steps, "adaptive")


def test_learning_at_other_step_counts_goes_by_calls() -> None:
    learning = _anchor(learned_in_runs=LearnedInRuns(12, 1.0))

    assert predict_schedule(learning, 11, steps=100).schedule.estimator == "slope"
    there = predict_schedule(learning, 12, steps=100).schedule
    assert there.estimator == "adaptive"
    assert there.computed_steps == (0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99)
    assert predict_schedule(learning, 12, steps=12).schedule.is_full


def test_sigmas_belong_to_the_anchors_own_step_count() -> None:
    sigmas = tuple(1 - i / 50 for i in range(51))
    anchor = _anchor(sampling=Sampling(sigmas=sigmas))

    assert predict_schedule(anchor, 12).schedule.sigmas == sigmas
    assert predict_schedule(anchor, 12, steps=40).schedule.sigmas is None


def test_look_backs_come_from_the_table() -> None:
    table = tuple(tuple(1 + (t + s) % 5 for s in range(t + 1, 17)) for t in range(16))
    anchor = Anchor("m", "Flux", BENT, LINE, look_back_table=table)

    schedule = predict_schedule(anchor, 5, rho=1.0).schedule

    # Edges 0 -> 3 -> 6 -> 10 -> 16, K = 1 + (t + s) mod 5
    assert schedule.computed_steps == (0, 3, 6, 10, 16)
    assert schedule.look_back == (1 + 3, 1 + 4, 1 + 1, 1 + 1)
    assert len(predict_schedule(anchor, 9, steps=40).schedule.look_back) == 8


# Errors


@pytest.mark.parametrize(
    ("budget", "options", "message"),
    [
        (12, {"steps": 0}, "`steps` must be from 1 to 1000 but got 0"),
        (12, {"steps": 1001}, "`steps` must be from 1 to 1000 but got 1001"),
        (12, {"rho": 0.95}, "`rho` must be from 1.0 to 2.0 but got 0.95"),
        (12, {"rho": 2.05}, "`rho` must be from 1.0 to 2.0 but got 2.05"),
        (12, {"rho": math.nan}, "`rho` must be from 1.0 to 2.0 but got nan"),
        (51, {}, "`budget` must be at most `steps` = 50 but got 51: lower the budget or raise"),
        (12, {"steps": 11}, "`budget` must be at most `steps` = 11 but got 12"),
        (7, {}, "at least 8 for this anchor but got 7: it was searched at 8 model calls"),
        (7, {"steps": 100}, "at least 8 for this anchor but got 7"),
        (4, {"steps": 5}, "at least 5 for this anchor but got 4"),
        (1, {"below_anchor": True}, "at least 2 for this anchor but got 1"),
        (0, {"steps": 1}, "at least 1 for this anchor but got 0"),
    ],
)
def test_predictions_that_cannot_be_made(
    budget: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OTCacheError, match=message):
        predict_schedule(_anchor(), budget, **options)


# Runs of another length


def test_the_same_run_keeps_its_schedule() -> None:
    schedule = Schedule(50, ANCHOR)

    assert retime(schedule, 50) is schedule


def test_retiming_by_hand() -> None:
    schedule = Schedule(11, (0, 2, 4, 10), "meancache", (1, 2, 5))

    # 21 steps: 20 / 10 = 2 times as far.
    assert retime(schedule, 21) == Schedule(21, (0, 4, 8, 20), "meancache", (1, 2, 5))
    # 6 steps: half as far.
    assert retime(schedule, 6) == Schedule(6, (0, 1, 2, 5), "meancache", (1, 2, 5))
    # 3 steps: shorter than the budget, so all of them.
    assert retime(schedule, 3).is_full
    assert retime(schedule, 1) == Schedule(1, (0,), "meancache")


def test_retiming_from_a_single_step() -> None:
    assert retime(Schedule.full(1), 5).computed_steps == (0, 4)


def test_retimed_schedules_keep_budget_and_place() -> None:
    for random, anchor in _random_anchors(1000, seed=7):
        schedule, steps = anchor.reference, int(random.integers(2, 201))
        budget = min(schedule.budget, steps)

        retimed = retime(schedule, steps)

        assert _is_schedule(retimed.computed_steps, budget, steps)
        assert retimed.estimator == schedule.estimator
        assert retimed.sigmas is None
        if budget == schedule.budget:
            scaled = np.array(schedule.computed_steps) * (steps - 1) / (schedule.steps - 1)
            closed = int((np.diff(np.rint(scaled)) == 0).sum())
            # The curve is sampled between its 1,001 points, hence the small allowance.
            assert np.abs(retimed.computed_steps - scaled).max() <= 0.6 + closed + REACH
