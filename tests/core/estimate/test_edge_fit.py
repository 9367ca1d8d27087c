"""Coefficients fitted to full runs: exact where the answer is known, robust where it is not."""

from itertools import product

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray

from otcache_core.calibration import kept_fits
from otcache_core.calibration.kept_fits import GainFits
from otcache_core.documents.schedule import COEFFICIENTS, coefficient_values
from otcache_core.estimate.edge_fit import (
    HOLDS,
    LEAST_FOR_ALL,
    USUAL_HOLD,
    State,
    best_holds,
    fit_edges,
    products,
    refine_gains,
    solve,
)
from otcache_core.gaps import Candidate, candidate

ELEMENTS, PROMPTS = 40, 6
STEPS = (0, 2, 5, 6, 9)
# The first edge has nothing before it and 5 -> 6 skips nothing: two gains, three drifts, two shares
# of what is foretold, and one edge that has a slope to have bent.
WANTED = candidate(STEPS, (1.0, 0.35, 1.0, 1.6), (0.6, -0.4, 0.0, 0.8), (0.0, 0.7, 0.0, -0.3),
                   (0.0, 0.0, 0.0, 0.4))  # fmt: skip
NOTHING = (0.0,) * 4

EXACT = 0.0035
"""What rounding and the loosest of the holds, a thousandth of 2, leave of an answer."""


class Linear:
    """Runs whose end of an edge moves with its coefficients, and carries on what came before.

    Attributes:
        directions: What a unit of each coefficient moves, ``(prompts, edges, gain, drift,
            foretold or bend, elements)``.
    """

    def __init__(self, wanted: Candidate = WANTED, prompts: int = PROMPTS) -> None:
        random = np.random.default_rng(0)
        self.directions = random.normal(size=(prompts, len(STEPS), 4, ELEMENTS))
        self.wanted, self.calls = wanted, 0
        self.tried: list[tuple[Candidate, int]] = []

    def state(self, of: Candidate, prompt: int, step: int) -> State:
        edges = slice(STEPS.index(step))
        coefficients = np.stack([of.slope_gain, of.drift, of.foretold, of.bend], axis=1)[edges]
        moved = np.einsum("ek,eki->i", coefficients, self.directions[prompt, edges])
        return moved.astype(np.float32)

    def arrive(self, of: Candidate, prompt: int, step: int) -> State:
        self.calls += 1
        self.tried.append((of, step))
        return self.state(of, prompt, step)

    def full(self, prompt: int) -> State:
        states = np.full((STEPS[-1] + 2, self.directions.shape[-1]), np.nan, dtype=np.float32)
        for step in STEPS[1:]:
            states[step] = self.state(self.wanted, prompt, step)
        return states

    def fit(self, of: Candidate | None = None) -> Candidate:
        start = candidate(STEPS) if of is None else of
        return fit_edges(start, range(len(self.directions)), self.arrive, self.full)


def _differ(one: Candidate, other: Candidate) -> float:
    """By how much the coefficients of two candidates differ at most.

    What is foretold and bends is never quite free, and comes back by so much less at most.
    """
    free, held = (
        np.abs(np.subtract(*[[getattr(of, name) for name in names] for of in (one, other)])).max()
        for names in (COEFFICIENTS[:2], COEFFICIENTS[2:])
    )
    return float(max(free, held - HOLDS[1]))


# Edge by edge


@pytest.mark.parametrize(
    "wanted",
    [
        WANTED,
        candidate(STEPS, 1.0, 0.0),  # the plain slope
        candidate(STEPS, (1.0, -0.7, 1.0, -1.9), (-0.3, -1.2, 0.0, -0.05)),
        candidate(STEPS, 0.0, 0.5),
        candidate(STEPS, 0.0, 0.0, -0.9),
        candidate(STEPS, 1.0, 0.0, 0.0, -0.8),
    ],
    ids=["mixed", "plain", "negative", "drifts alone", "foretold alone", "bent"],
)
@pytest.mark.parametrize("start", [1.0, 0.7])
def test_known_coefficients_come_back(wanted: Candidate, start: float) -> None:
    """Whatever the candidate begins with."""
    found = Linear(wanted).fit(candidate(STEPS, start, start, start, start))

    assert found.computed_steps == STEPS
    assert _differ(found, wanted) <= EXACT


def test_the_first_edge_drifts_alone_and_edges_without_a_skip_have_nothing() -> None:
    runs = Linear()

    found = runs.fit()

    assert found.slope_gain[0] == 1.0
    assert found.drift[0] == pytest.approx(0.6, abs=EXACT)
    assert (found.slope_gain[2], found.drift[2]) == (1.0, 0.0)
    assert found.foretold[::2] == (0.0, 0.0)
    assert found.bend[:3] == (0.0, 0.0, 0.0)
    # Each prompt arrives where edges end that skip something: without coefficients, and with a unit
    # of each, which the first edge has one of.
    ends = [step for _, step in runs.tried]
    assert {step: ends.count(step) for step in ends} == {
        2: 2 * PROMPTS, 5: 4 * PROMPTS, 9: 5 * PROMPTS,
    }  # fmt: skip


def test_an_edge_takes_back_what_those_before_it_left() -> None:
    """The first edge wants more drift than there may be; the next one moves the same way."""
    runs = Linear(Candidate(STEPS, (1.0,) * 4, (2.5, 0.0, 0.0, 0.0), NOTHING, NOTHING))
    runs.directions[:, 1, 1] = runs.directions[:, 0, 1]

    found = runs.fit()

    assert found.drift == (2.0, pytest.approx(0.5, abs=EXACT), 0.0, pytest.approx(0, abs=EXACT))


def test_coefficients_stay_in_range() -> None:
    wanted = Candidate(STEPS, (1.0, -6.0, 1.0, 6.0), (-7.0, 8.0, 0.0, -9.0), (0.0, 5.0, 0.0, -5.0),
                       (0.0, 0.0, 0.0, 9.0))  # fmt: skip

    found = Linear(wanted).fit()

    assert found == candidate(
        STEPS,
        (1.0, -4.0, 1.0, 4.0),
        (-2.0, 2.0, 0.0, -2.0),
        (0.0, 2.0, 0.0, -2.0),
        (0.0, 0.0, 0.0, 2.0),
    )


def test_few_prompts_ask_for_no_steep_gains() -> None:
    """On five, gains end at 2 in either sign."""
    runs = Linear(Candidate(STEPS, (1.0, -3.0, 1.0, 3.5), NOTHING, NOTHING, NOTHING))

    few = fit_edges(candidate(STEPS), range(LEAST_FOR_ALL - 1), runs.arrive, runs.full)
    refined = refine_gains(few, range(LEAST_FOR_ALL - 1), runs.arrive, runs.full)

    assert few.slope_gain == refined.slope_gain == (1.0, -2.0, 1.0, 2.0)
    assert runs.fit().slope_gain == pytest.approx((1.0, -3.0, 1.0, 3.5), abs=1e-2)


@pytest.mark.parametrize(("gain", "bend"), [(0.8, 0.6), (0.2, 0.0), (-0.7, 0.0)])
def test_only_a_slope_that_goes_on_has_a_bend(gain: float, bend: float) -> None:
    """Whatever the others would have it bend."""
    wanted = candidate(STEPS, (1.0, 0.0, 1.0, gain), 0.0, 0.0, (0.0, 0.0, 0.0, 0.6))

    assert Linear(wanted).fit().bend[-1] == pytest.approx(bend, abs=HOLDS[1])


@pytest.mark.parametrize(
    ("prompts", "least", "kinds"), [(2, 3, 2), (3, 3, 4), (5, 3, 4), (3, LEAST_FOR_ALL, 2)]
)
def test_few_prompts_tell_all_coefficients_where_asked_to(
    prompts: int, least: int, kinds: int
) -> None:
    """But no fewer than can be left out in turn."""
    runs = Linear(candidate(STEPS, 1.0, 0.3, (0.0, 0.7, 0.0, 0.7), (0.0, 0.0, 0.0, 0.6)), prompts)

    found = fit_edges(candidate(STEPS), range(prompts), runs.arrive, runs.full, least_for_all=least)

    told = [any(getattr(found, kind)) for kind in COEFFICIENTS]
    assert told == [True, True, kinds == 4, kinds == 4]


def test_few_prompts_hold_what_is_foretold_and_bends_more_firmly() -> None:
    """A ridge of 0.3 leaves about 1 / 1.3 of what is there."""
    wanted = candidate(STEPS, 1.0, 0.3, (0.0, 0.7, 0.0, 0.7), (0.0, 0.0, 0.0, 0.6))

    few, many = (Linear(wanted, prompts) for prompts in (3, LEAST_FOR_ALL))
    held, free = (
        fit_edges(
            candidate(STEPS), range(len(each.directions)), each.arrive, each.full, least_for_all=3
        )
        for each in (few, many)
    )

    for kind, edge in (("foretold", 1), ("bend", 3)):
        told = getattr(wanted, kind)[edge]
        assert 0.6 * told < getattr(held, kind)[edge] < 0.85 * told
        assert getattr(free, kind)[edge] == pytest.approx(told, rel=0.06)


@pytest.mark.parametrize("told", [0.7, 0.0, -0.3])
def test_what_is_foretold_is_held_at_its_mean_so_far(told: float) -> None:
    """A ridge of 0.3 leaves about 1 / 1.3 of the way there from the edge before."""
    wanted = candidate(STEPS, 1.0, 0.3, (0.0, 0.7, 0.0, told))
    few, many = (Linear(wanted, prompts) for prompts in (3, LEAST_FOR_ALL))

    held, free = (
        fit_edges(
            candidate(STEPS), range(len(each.directions)), each.arrive, each.full, least_for_all=3
        ).foretold
        for each in (few, many)
    )

    assert held[3] == pytest.approx(held[1] + (told - held[1]) / 1.3, abs=0.06)
    assert free[3] == pytest.approx(told, abs=0.04)


def test_edges_before_the_first_one_keep_what_they_have() -> None:
    """The last edge, fitted behind others than its own, makes up for them."""
    runs, others = Linear(), candidate(STEPS, 0.5, 0.1, 0.2, 0.3)

    found = fit_edges(others, range(PROMPTS), runs.arrive, runs.full, first=len(STEPS) - 2)

    for known, of in zip(coefficient_values(found), coefficient_values(others), strict=True):
        assert known[:-1] == of[:-1]
    assert found != others
    assert {step for _, step in runs.tried} == {STEPS[-1]}


@pytest.mark.parametrize(("gain", "prompts", "bends"), [(0.7, 3, False), (0.9, 3, True),
                                                        (0.7, LEAST_FOR_ALL, True)])  # fmt: skip
def test_few_prompts_bend_only_where_a_slope_goes_on_nearly_in_full(
    gain: float, prompts: int, bends: bool
) -> None:
    wanted = candidate(STEPS, (1.0, 0.0, 1.0, gain), 0.0, 0.0, (0.0, 0.0, 0.0, 0.6))
    runs = Linear(wanted, prompts)

    found = fit_edges(candidate(STEPS), range(prompts), runs.arrive, runs.full, least_for_all=3)

    assert bool(found.bend[-1]) == bends


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["without coefficients", "with a unit"])
def test_a_run_that_is_not_finite_leaves_all_as_it_is(bad: float, where: str) -> None:
    runs, start = Linear(), candidate(STEPS, 0.7)

    def arrive(of: Candidate, prompt: int, step: int) -> State:
        edge = STEPS.index(step) - 1
        probed = any(getattr(of, name)[edge] for name in COEFFICIENTS)
        spoilt = prompt == 1 and step == 5 and probed == (where == "with a unit")
        return runs.arrive(of, prompt, step) * np.float32(bad if spoilt else 1.0)

    with np.errstate(invalid="ignore"):
        assert fit_edges(start, range(PROMPTS), arrive, runs.full) == start


def test_fits_are_kept_with_what_they_cost() -> None:
    storage = optuna.storages.InMemoryStorage()
    runs = Linear()
    expected = Linear().fit()

    for _ in range(2):
        fits = GainFits(storage, "fits")
        found = fits.keep(STEPS, runs.fit, lambda: runs.calls)
        assert found == expected
        assert fits.model_calls == runs.calls == 11 * PROMPTS


def test_fits_from_before_a_coefficient_came_to_be_are_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage, runs = optuna.storages.InMemoryStorage(), Linear()
    with monkeypatch.context() as earlier:
        earlier.setattr(kept_fits, "_FIELDS", ("computed_steps", "slope_gain", "drift", "foretold"))
        earlier.setattr(kept_fits, "coefficient_values", lambda of: coefficient_values(of)[:3])
        GainFits(storage, "fits").keep(STEPS, runs.fit, lambda: runs.calls)

    found = GainFits(storage, "fits").keep(STEPS, runs.fit, lambda: runs.calls)

    assert found == Linear().fit()
    assert runs.calls == 2 * 11 * PROMPTS


# Least squares

SIDES = np.eye(2, 4, dtype=np.float32)
"""A gain that moves the first element and a drift that moves the second, by 1."""


def _solve(missing: list[list[float]], hold: float, scale: float = 1.0) -> NDArray[np.float64]:
    moves = [list(scale * SIDES) for _ in missing]
    return solve(
        products(moves, [np.array(m, dtype=np.float32) for m in missing]),
        np.array(HOLDS[:1] + (hold,)),
    )


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("hold", HOLDS)
def test_the_drift_is_held_and_the_gain_is_not(hold: float, scale: float) -> None:
    """Ridge on coefficients of unit size divides them by 1 + ridge, whatever they move."""
    gain, drift = _solve([[0.5, -0.4, 0, 0]] * 3, hold, scale) * scale

    assert gain == pytest.approx(0.5 / (1 + HOLDS[0]))
    assert drift == pytest.approx(-0.4 / (1 + hold))


def test_what_moves_nothing_keeps_0() -> None:
    known = products([list(SIDES * [[0], [1]])], [np.array([3, 0.5, 0, 0], dtype=np.float32)])
    nothing = products([list(0 * SIDES)], [np.ones(4, dtype=np.float32)])

    assert solve(known, np.array([HOLDS[0], 0.0])).tolist() == [0.0, pytest.approx(0.5)]
    assert solve(nothing, np.full(2, USUAL_HOLD)).tolist() == [0.0, 0.0]


def test_edges_that_nothing_moves_are_without_change() -> None:
    runs = Linear()
    runs.directions[:, 1] = 0.0

    found = runs.fit()

    assert (found.slope_gain[1], found.drift[1]) == (0.0, 0.0)
    assert (found.slope_gain[3], found.drift[3]) == pytest.approx((1.6, 0.8), abs=EXACT)


def test_one_prompt_that_tips_over_moves_nothing() -> None:
    """Of plain least squares it would be the whole answer: (4 * 0.4 - 50) / 5."""
    missing = [[0.4, -0.2, 0.0, 0.0]] * 4

    alone, tipped = (_solve(rows, HOLDS[0]) for rows in (missing, [*missing, [-50, 50, 9, 9]]))

    assert alone == pytest.approx([0.4, -0.2], abs=1e-3)
    assert tipped == pytest.approx(alone, abs=0.02)


def test_a_prompt_whose_run_tips_over_is_left_behind() -> None:
    runs, random = Linear(), np.random.default_rng(1)
    end = 100 * random.normal(size=(len(STEPS), ELEMENTS)).astype(np.float32)
    full = runs.full

    def tipped(prompt: int) -> State:
        states = full(prompt)
        if prompt == 0:
            states[list(STEPS)] += end
        return states

    runs.full = tipped  # type: ignore[method-assign]

    assert _differ(runs.fit(), WANTED) <= 0.1


def test_products_tell_what_is_left() -> None:
    """3 of the first element and 4 of the second are missing; 1 and 2 of them are brought."""
    known = products([list(SIDES)] * 2, [np.array([3, 4, 0, 2], dtype=np.float32)] * 2)

    assert known.left(np.zeros(2)).tolist() == [29.0, 29.0]
    assert known.left(np.array([1.0, 2.0])) == pytest.approx([2**2 + 2**2 + 2**2] * 2)


# How firmly coefficients are held

GAIN_AND_DRIFT = ("slope_gain", "drift")

# Prompts that want as much drift one way as the other, those that want more a little larger.
TORN = [(1.0, 1.2), (1.0, 1.2), (-1.0, 1.0), (-1.0, 1.0)]


@pytest.mark.parametrize(
    ("kind", "times", "hold"),
    [
        *[("drift", times, 1e-3) for times in (1, 2)],
        *[
            (kind, times, hold)
            for kind in ("foretold", "bend")
            for times, hold in ((1, 0.3), (2, 3e-2))
        ],
    ],
)
def test_what_serves_every_prompt_is_hardly_held(kind: str, times: int, hold: float) -> None:
    """By four of them more firmly than by eight."""
    known = products(*_along_one_direction([(0.5, size) for _, size in TORN] * times))

    assert best_holds(known, (kind,)) == [hold]


@pytest.mark.parametrize("kinds", [("drift",), ("foretold",), ("bend",)])
def test_what_serves_only_whom_it_was_fitted_on_is_held_at_0(kinds: tuple[str, ...]) -> None:
    """All four want some of it, but whoever is left out wants the opposite of the other three."""
    known = products(*_along_one_direction(TORN))
    assert solve(known, np.array(HOLDS[:1]))[0] > 0.3

    holds = best_holds(known, kinds)

    assert holds == [HOLDS[-1]]
    assert solve(known, holds)[0] == pytest.approx(0.0, abs=1e-5)


def _along_one_direction(
    wanted: list[tuple[float, float]],
) -> tuple[list[list[State]], list[State]]:
    """Prompts whose drift moves one element: (share that is missing, size) of each."""
    moves = [[np.array([size], dtype=np.float32)] for _, size in wanted]
    return moves, [share * move[0] for (share, _), move in zip(wanted, moves, strict=True)]


def test_drifts_without_a_rule_are_mostly_held_at_0() -> None:
    """Three elements, each prompt's own drift in a direction of chance: fitted, it explains some of
    what is missing on the prompts at hand, and nothing of it elsewhere."""
    held, astray, ones = [], [], np.ones(3)
    for seed in range(40):
        random = np.random.default_rng(seed)
        missing = [ones + random.normal(size=3) for _ in range(4)]
        moves = [[ones, random.normal(size=3)] for _ in range(4)]
        known = products(moves, missing)  # type: ignore[arg-type]
        held.append(best_holds(known, GAIN_AND_DRIFT)[1] == HOLDS[-1])
        astray.append(abs(solve(known, np.full(2, HOLDS[0]))[1]))

    assert np.median(astray) > 0.1
    assert np.mean(held) > 0.6


def test_where_holds_make_no_difference_the_drift_is_held() -> None:
    known = products([list(SIDES * [[1], [0]])] * 3, [np.ones(4, dtype=np.float32)] * 3)

    assert best_holds(known, GAIN_AND_DRIFT)[1] == HOLDS[-1]


def test_a_held_drift_leaves_the_gain_as_it_is() -> None:
    """The first edge and 6 -> 9 are torn between drifts; gains and the other drift come back."""
    runs = Linear(candidate(STEPS, (1.0, 0.35, 1.0, 1.6), (1.0, 0.4, 0.0, 1.0)), prompts=4)
    runs.directions[:, :, 1:] = 0.0
    # Each edge's drift moves an element of its own.
    for prompt, edge in product(range(4), (0, 1, 3)):
        runs.directions[prompt, edge, 0, :4] = 0.0
        runs.directions[prompt, edge, 1, edge] = TORN[prompt][1]
    full = runs.full

    def torn(prompt: int) -> State:
        states, (share, size) = full(prompt), TORN[prompt]
        states[2:, 0] += (share - 1.0) * size
        states[9, 3] += (share - 1.0) * size
        return states

    runs.full = torn  # type: ignore[method-assign]

    expected = candidate(STEPS, (1.0, 0.35, 1.0, 1.6), (0.0, 0.4, 0.0, 0.0))
    assert _differ(runs.fit(), expected) <= EXACT


@pytest.mark.parametrize("prompts", [1, 2])
def test_too_few_prompts_to_leave_one_out_take_the_usual_hold(prompts: int) -> None:
    """Whether they agree or not."""
    known = products(*_along_one_direction(TORN[1 : 1 + prompts]))
    agreed = products(*_along_one_direction([(0.5, 1.0)] * prompts))

    held = [best_holds(each, ("drift",)).item() for each in (known, agreed)]
    assert held == [USUAL_HOLD, USUAL_HOLD]
    # Their drifts come out as much smaller.
    found = Linear(prompts=prompts).fit()
    assert found.drift[0] == pytest.approx(0.6 / (1 + USUAL_HOLD), abs=1e-3)
    assert found.foretold == found.bend == NOTHING


# All gains together


class Mending(Linear):
    """Runs in which the model mends most of what the first fitted edge leaves missing."""

    def state(self, of: Candidate, prompt: int, step: int) -> State:
        state = super().state(of, prompt, step)
        if step < STEPS[-1]:
            return state
        mended = 0.8 * of.slope_gain[1] * self.directions[prompt, 1, 0]
        return (state - mended).astype(np.float32)


def _missing(runs: Linear, of: Candidate, target: State, prompt: int) -> float:
    return float(np.linalg.norm(runs.state(of, prompt, STEPS[-1]) - target))


@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_all_gains_together_come_closer_than_edge_by_edge(drift: float) -> None:
    """Edge by edge the first gain is 0.35, which in the end gives only a fifth of what it did."""
    wanted = candidate(STEPS, (1.0, 0.35, 1.0, 1.6), drift)
    full, runs = Linear(wanted), Mending(wanted)
    by_edge = fit_edges(candidate(STEPS), range(PROMPTS), runs.arrive, full.full)
    assert by_edge.slope_gain[1] == pytest.approx(0.35, abs=EXACT)

    together = refine_gains(by_edge, range(PROMPTS), runs.arrive, full.full)

    # 0.35 = (1 - 0.8) x gain
    assert together.slope_gain == pytest.approx((1.0, 1.75, 1.0, 1.6), abs=0.05)
    assert together.drift == by_edge.drift
    for prompt in range(PROMPTS):
        target = full.full(prompt)[STEPS[-1]]
        assert _missing(runs, together, target, prompt) < 0.2 * _missing(
            runs, by_edge, target, prompt
        )


def test_the_others_stay_while_gains_are_refined() -> None:
    """They are those of every run, too; of others the gains would not come back."""
    runs = Linear()

    found = refine_gains(
        candidate(STEPS, 0.7, WANTED.drift, WANTED.foretold, WANTED.bend),
        range(PROMPTS),
        runs.arrive,
        runs.full,
    )

    assert found.slope_gain == pytest.approx(WANTED.slope_gain, abs=1e-3)
    others = (WANTED.drift, WANTED.foretold, WANTED.bend)
    assert (found.drift, found.foretold, found.bend) == others
    assert {(of.drift, of.foretold, of.bend) for of, _ in runs.tried} == {others}


@pytest.mark.parametrize(("gain", "found"), [(-1.2, -1.2), (3.1, 3.1), (5.0, 4.0), (-5.0, -4.0)])
def test_refined_gains_have_any_sign_and_stay_in_range(gain: float, found: float) -> None:
    runs = Linear(Candidate(STEPS, (1.0, gain, 1.0, 0.5), NOTHING, NOTHING, NOTHING))

    refined = refine_gains(candidate(STEPS, 0.7), range(PROMPTS), runs.arrive, runs.full)

    assert refined.slope_gain[1] == pytest.approx(found, abs=1e-3)


def test_one_prompt_that_tips_over_does_not_decide_for_all() -> None:
    runs, random = Linear(), np.random.default_rng(3)

    def tipped(prompt: int) -> State:
        states = runs.full(prompt)
        if prompt == 0:
            states[STEPS[-1]] += 100 * random.normal(size=ELEMENTS).astype(np.float32)
        return states

    together = refine_gains(
        candidate(STEPS, 0.7, WANTED.drift, WANTED.foretold, WANTED.bend),
        range(PROMPTS),
        runs.arrive,
        tipped,
    )

    assert np.abs(np.subtract(together.slope_gain, WANTED.slope_gain)).max() <= 0.3


def test_nothing_to_refine_costs_nothing() -> None:
    full = candidate(tuple(range(5)))
    runs = Linear(full)

    assert refine_gains(full, range(PROMPTS), runs.arrive, runs.full) == full
    assert runs.calls == 0
