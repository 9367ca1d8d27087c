import pytest

from otcache_core.documents.schedule import Origin, Schedule, coefficients
from otcache_core.run_time.run_plan import (
    LEAST_STEPS,
    alike,
    fit_to_run,
    place_by_levels,
    same_sigma,
    step_of_sigma,
)

LEVELS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)  # 5 steps
TWICE = (1.0, 0.5, 0.5, 0.25, 0.0)  # step 1 has no length
CLOSE = (1.0, 0.99995, 0.9999, 0.5, 0.0)  # nearer to each other than rounding may be
MADE_FOR = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)  # 10 steps


@pytest.mark.parametrize(
    ("sigma", "step"),
    [
        (1.0, 0),  # the levels themselves
        (0.8, 1),
        (0.2, 4),
        (0.9, 0),  # between two levels: the step that passes there
        (0.7, 1),
        (0.4001, 2),  # 2.5e-4 above level 3: not the same
        (0.1, 4),
        (0.80006, 1),  # 7.5e-5 off in the host's casts: the same level
        (0.79994, 1),
        (0.600001, 2),
        (1.2, 0),  # noise was added above the first level
        (14.6, 0),
        (0.0, 4),  # the last level starts no step
        (0.00001, 4),
    ],
)
def test_step_of_sigma(sigma: float, step: int) -> None:
    assert step_of_sigma(sigma, LEVELS) == step


@pytest.mark.parametrize(("sigma", "step"), [(1.0, 0), (0.75, 0), (0.5, 1), (0.3, 2), (0.25, 3)])
def test_of_equal_levels_the_first_counts(sigma: float, step: int) -> None:
    assert step_of_sigma(sigma, TWICE) == step


@pytest.mark.parametrize(
    ("sigma", "step"), [(1.0, 0), (0.99995, 1), (0.9999, 2), (0.99994, 1), (0.99991, 2)]
)
def test_the_nearest_of_close_levels_counts(sigma: float, step: int) -> None:
    assert step_of_sigma(sigma, CLOSE) == step


@pytest.mark.parametrize("steps", [1, 2, 50, 1000])
@pytest.mark.parametrize("shift", [1.0, 3.0, 12.0])
def test_every_level_finds_its_own_step(steps: int, shift: float) -> None:
    even = [1.0 - i / steps for i in range(steps + 1)]
    sigmas = tuple(shift * t / (1.0 + (shift - 1.0) * t) for t in even)

    assert [step_of_sigma(s, sigmas) for s in sigmas[:-1]] == list(range(steps))


@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.0, 80.0])
def test_a_run_of_one_step_has_no_other(sigma: float) -> None:
    assert step_of_sigma(sigma, (1.0, 0.0)) == 0


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1.0, 1.0, True),
        (1.0, 1.00009, True),
        (1.0, 1.0002, False),
        (14.6, 14.601, True),  # relative: 7e-5
        (0.001, 0.0011, False),
        (0.0, 0.0, True),
        (0.0, 1e-8, True),  # absolute next to 0
        (0.0, 1e-6, False),
    ],
)
def test_same_sigma(a: float, b: float, same: bool) -> None:
    assert same_sigma(a, b) is same
    assert same_sigma(b, a) is same


def test_a_run_of_as_many_steps_takes_the_schedule_as_it_is() -> None:
    schedule = Schedule(20, (0, 2, 19), "meancache", (2, 3))
    sigmas = [1.0 - i / 20 for i in range(21)]

    assert fit_to_run(schedule, sigmas).schedule is schedule
    # Also over other noise levels, such as those of an image-to-image run.
    plan = fit_to_run(schedule, [level / 2 for level in sigmas], 1.0)
    assert plan.schedule is schedule
    assert plan.note == ""


@pytest.mark.parametrize(
    ("first", "last", "computed_steps", "look_back"),
    [
        # made for steps 0 to 9, computed at 0, 1, 4, 7, 9 with look-backs 2, 3, 4, 5
        (0, 5, (0, 1, 4), (2, 3)),
        (5, 10, (0, 2, 4), (1, 5)),  # step 5 begins the run, so it is computed: K = 1
        (0, 3, (0, 1, 2), (2, 3)),  # step 2 ends the run
        (4, 8, (0, 3), (4,)),
        (1, 2, (0,), ()),
        (2, 4, (0, 1), (1,)),  # nothing of the schedule lies inside
    ],
)
def test_a_part_of_the_levels_takes_its_part_of_the_schedule(
    first: int, last: int, computed_steps: tuple[int, ...], look_back: tuple[int, ...]
) -> None:
    schedule = Schedule(10, (0, 1, 4, 7, 9), "meancache", (2, 3, 4, 5), MADE_FOR)

    part = fit_to_run(schedule, MADE_FOR[first : last + 1]).schedule

    assert part.steps == last - first
    assert part.computed_steps == computed_steps
    assert part.look_back == look_back
    assert part.estimator == "meancache"


@pytest.mark.parametrize(
    ("first", "last", "computed_steps", "gains", "drifts"),
    [
        # made for steps 0 to 9, computed at 0, 1, 4, 7, 9
        (0, 5, (0, 1, 4), (0.9, 0.8), (0.1, 0.3)),
        (0, 6, (0, 1, 4, 5), (0.9, 0.8, -0.7), (0.1, 0.3, 0.2)),  # one step of three
        (0, 7, (0, 1, 4, 6), (0.9, 0.8, -0.7), (0.1, 0.3, 0.4)),  # two of them
        (0, 3, (0, 1, 2), (0.9, 0.8), (0.1, 0.1)),
        (4, 8, (0, 3), (-0.7,), (0.6,)),
        (5, 10, (0, 2, 4), (1.0, 0.6), (0.0, -0.2)),  # step 5 begins no edge
        (7, 10, (0, 2), (0.6,), (-0.2,)),
        (2, 4, (0, 1), (1.0,), (0.0,)),
        (9, 10, (0,), (), ()),
    ],
)
def test_a_part_that_ends_within_an_edge_drifts_by_as_much_less(
    first: int,
    last: int,
    computed_steps: tuple[int, ...],
    gains: tuple[float, ...],
    drifts: tuple[float, ...],
) -> None:
    """Gains are factors of a slope and stay."""
    schedule = Schedule(
        *(10, (0, 1, 4, 7, 9), "slope", (1, 1, 1, 1), MADE_FOR),
        slope_gain=(0.9, 0.8, -0.7, 0.6),
        drift=(0.1, 0.3, 0.6, -0.2),
        foretold=(0.0, 0.3, 0.6, -0.2),
        bend=(0.0, 0.0, 0.5, -0.7),
    )

    part = fit_to_run(schedule, MADE_FOR[first : last + 1]).schedule

    assert (part.computed_steps, part.slope_gain) == (computed_steps, gains)
    assert part.drift == pytest.approx(drifts)
    # Shares are of an edge's change, however far it goes.
    begins = [t + first for t in part.computed_steps[:-1]]
    for name in ("foretold", "bend"):
        known = dict(zip(schedule.computed_steps, getattr(schedule, name), strict=False))
        assert getattr(part, name) == tuple(known.get(t, 0.0) for t in begins)


@pytest.mark.parametrize("gap", range(1, 50))
def test_a_whole_edge_drifts_as_far_as_it_may(gap: int) -> None:
    """Whatever rounding does on the way to a rate and back."""
    nodes = (0, gap, 50)
    schedule = Schedule(51, nodes, sigmas=_levels(51), drift=(2.0, -2.0))

    part = fit_to_run(schedule, _levels(51)[: gap + 2]).schedule

    assert part.drift[0] == pytest.approx(2.0)


def test_a_part_is_found_in_spite_of_rounding() -> None:
    schedule = Schedule(10, (0, 1, 4, 9), sigmas=MADE_FOR)

    part = fit_to_run(schedule, [s * 1.00005 for s in MADE_FOR[4:9]]).schedule

    assert part.computed_steps == (0, 3)


def test_a_part_that_is_denoised_to_the_end_is_still_that_part() -> None:
    # KSampler (Advanced) with an early end and no leftover noise sets the last level to 0.
    schedule = Schedule(10, (0, 1, 4, 9), sigmas=MADE_FOR)

    part = fit_to_run(schedule, (*MADE_FOR[:5], 0.0)).schedule

    assert part.computed_steps == (0, 1, 4)


@pytest.mark.parametrize(
    ("first", "computed_steps"),
    [(0, (0, 2, 5, 7)), (4, (0, 1, 3)), (7, (0,)), (8, (0,))],  # 8 and 9 are its tail
)
def test_a_part_up_to_the_end_keeps_the_tail(first: int, computed_steps: tuple[int, ...]) -> None:
    schedule = Schedule(10, (0, 2, 5, 7), sigmas=MADE_FOR)

    part = fit_to_run(schedule, MADE_FOR[first:]).schedule

    assert (part.computed_steps, part.steps) == (computed_steps, 10 - first)


def test_a_part_that_ends_at_the_last_computed_step_computes_it_once() -> None:
    schedule = Schedule(10, (0, 2, 5, 7), sigmas=MADE_FOR)

    assert fit_to_run(schedule, MADE_FOR[:9]).schedule.computed_steps == (0, 2, 5, 7)
    assert fit_to_run(schedule, MADE_FOR[:8]).schedule.computed_steps == (0, 2, 5, 6)


def test_both_halves_cost_the_budget_and_the_cut() -> None:
    schedule = Schedule(10, (0, 2, 5, 9), sigmas=MADE_FOR)

    high, low = (fit_to_run(schedule, part).schedule for part in (MADE_FOR[:5], MADE_FOR[4:]))

    assert high.computed_steps == (0, 2, 3)  # its last step is computed, too
    assert low.computed_steps == (0, 1, 5)  # steps 4, 5 and 9; its first is computed, too
    assert high.budget + low.budget == schedule.budget + 2


@pytest.mark.parametrize(
    ("steps", "budget"),
    [(20, 8), (100, 8), (13, 8), (12, 8)],  # made for 50 steps, budget 8
)
def test_another_step_count_keeps_the_budget(steps: int, budget: int) -> None:
    schedule = Schedule(50, (0, 2, 5, 9, 15, 24, 36, 49))

    plan = fit_to_run(schedule, [1.0 - i / steps for i in range(steps + 1)], 1.0)

    assert (plan.schedule.steps, plan.schedule.budget) == (steps, budget)
    assert "50 steps" in plan.note and f"run's {steps}" in plan.note


def test_a_schedule_placed_again_keeps_its_shape() -> None:
    sigmas = [1.0 - i / 101 for i in range(102)]

    placed = fit_to_run(Schedule(51, (0, 5, 10, 20, 50)), sigmas).schedule

    assert placed.computed_steps == (0, 10, 20, 40, 100)  # each index twice as far


@pytest.mark.parametrize("steps", [1, 2, 4, LEAST_STEPS - 1])
@pytest.mark.parametrize("made_for", [50, 0])
def test_a_run_too_short_to_cache_computes_every_step(steps: int, made_for: int) -> None:
    schedule = Schedule(50, (0, 49)) if made_for else Schedule(steps, tuple(sorted({0, steps - 1})))

    plan = fit_to_run(schedule, [1.0 - i / steps for i in range(steps + 1)], 1.0)

    assert plan.schedule.is_full
    assert plan.schedule.steps == steps
    assert f"has {steps} steps" in plan.note


def test_the_shortest_run_that_is_cached() -> None:
    sigmas = [1.0 - i / LEAST_STEPS for i in range(LEAST_STEPS + 1)]

    plan = fit_to_run(Schedule(50, (0, 20, 49)), sigmas, 1.0)

    assert plan.schedule.budget == 3


OTHER = (14.6, 9.0, 5.0, 3.0, 2.0, 1.3, 0.8, 0.5, 0.3, 0.15, 0.0)  # 10 steps, not MADE_FOR's
WHOLE = Schedule(10, (0, 1, 4, 7, 9), sigmas=MADE_FOR)


@pytest.mark.parametrize(
    ("sigmas", "computed_steps"),
    [
        (OTHER[:6], (0, 1, 4)),  # begins at the top, stops early: steps 0 to 4
        (OTHER[5:], (0, 2, 4)),  # begins lower, goes to the end: steps 5 to 9; 7 and 9 are ours
        (OTHER[9:], (0,)),
        (OTHER[:2], (0,)),
    ],
)
def test_a_split_run_over_other_levels_is_placed_by_its_ends(
    sigmas: tuple[float, ...], computed_steps: tuple[int, ...]
) -> None:
    plan = fit_to_run(WHOLE, sigmas, OTHER[0])

    assert plan.schedule.computed_steps == computed_steps
    assert plan.schedule.steps == len(sigmas) - 1
    assert "of the schedule's 10" in plan.note


def test_both_halves_of_a_split_run_cost_the_budget_and_the_cut() -> None:
    halves = [fit_to_run(WHOLE, part, OTHER[0]).schedule for part in (OTHER[:6], OTHER[5:])]

    assert sum(half.budget for half in halves) == WHOLE.budget + 1  # step 5 begins the second


def test_without_the_highest_level_a_part_is_not_guessed() -> None:
    plan = fit_to_run(Schedule(20, (0, 5, 10, 19)), [5.0 - i / 3 for i in range(16)])

    assert plan.schedule.budget == 4


def test_a_whole_run_of_fewer_steps_is_no_part() -> None:
    sigmas = [14.6 * (1.0 - i / 15) for i in range(16)]

    plan = fit_to_run(Schedule(20, (0, 5, 10, 19)), sigmas, OTHER[0])

    assert (plan.schedule.steps, plan.schedule.budget) == (15, 4)
    assert "fitted" in plan.note


def _levels(steps: int, power: float = 1.0, first: float = 1.0) -> tuple[float, ...]:
    return tuple(first * (1.0 - i / steps) ** power for i in range(steps + 1))


@pytest.mark.parametrize(
    ("sigmas", "same"),
    [
        (_levels(50), True),
        (_levels(20), True),  # other step counts of one scheduler
        (_levels(100), True),
        (_levels(50, 1.02), True),
        (_levels(50, 2.0), False),
        (_levels(50, first=0.5), False),
        (_levels(50, first=14.6), False),
    ],
)
def test_runs_of_one_scheduler_are_alike(sigmas: tuple[float, ...], same: bool) -> None:
    assert alike(_levels(50), sigmas) is same


def test_steps_placed_by_level_stay_at_their_levels() -> None:
    # (1 - p)^2 is at level l at p = 1 - sqrt(l): 1, 0.64, 0.36, 0.04 at steps 0, 10, 20, 40 of 50.
    schedule = Schedule(51, (0, 18, 32, 48, 50))

    placed = place_by_levels(schedule, _levels(51), _levels(51, 2.0))

    levels = _levels(51, 2.0)
    wanted = [1.0 - t / 51 for t in schedule.computed_steps]
    found = [levels[t] for t in placed.computed_steps]
    assert found[:-1] == pytest.approx(wanted[:-1], abs=0.02)  # the last step is computed anyhow
    assert placed.budget == 5


def test_steps_placed_by_level_over_the_same_levels_stay_where_they_are() -> None:
    schedule = Schedule(50, (0, 2, 5, 9, 15, 24, 36, 49), "meancache", (2, 1, 3, 1, 1, 4, 5))

    placed = place_by_levels(schedule, _levels(50), _levels(50))

    assert (placed.computed_steps, placed.look_back) == (
        schedule.computed_steps,
        (2, 1, 3, 1, 1, 4, 5),
    )


def test_coefficients_are_placed_with_their_edges() -> None:
    schedule = Schedule(
        *(50, (0, 2, 5, 9, 49)),
        slope_gain=(1.0, 0.5, -0.25, 2.0),
        drift=(0.1, -0.2, 0.3, -2.0),
        foretold=(0.0, 0.4, -0.5, 2.0),
        bend=(0.0, 0.0, 0.5, -2.0),
    )

    placed = place_by_levels(schedule, _levels(50), _levels(50, 2.0))
    again = fit_to_run(schedule, _levels(30)).schedule

    assert placed.computed_steps != schedule.computed_steps
    for other in (placed, again):
        assert coefficients(other) == coefficients(schedule)


def test_a_tail_stays_at_its_level() -> None:
    schedule = Schedule(50, (0, 2, 5, 9, 15, 24, 36, 46))

    assert place_by_levels(schedule, _levels(50), _levels(50)) == schedule
    twice = place_by_levels(schedule, _levels(50), _levels(100)).computed_steps
    assert _levels(100)[twice[-1]] == pytest.approx(_levels(50)[46], abs=0.01)


def test_a_run_that_begins_lower_takes_the_rest_of_the_curve() -> None:
    # Early steps are dense; half-way down the curve they are not.
    schedule = Schedule(50, (0, 1, 2, 3, 4, 25, 35, 49))

    placed = place_by_levels(schedule, _levels(50), _levels(50, first=0.5))

    assert (placed.steps, placed.budget) == (50, 8)
    assert max(placed.gaps) <= 2 * min(placed.gaps) + 4


@pytest.mark.parametrize("known_by", ["schedule", "origin"])
def test_a_run_over_other_levels_is_placed_by_level_and_says_so(known_by: str) -> None:
    made_for = _levels(50)
    if known_by == "schedule":
        schedule = Schedule(50, (0, 9, 18, 32, 49), sigmas=made_for)
    else:
        schedule = Schedule(50, (0, 9, 18, 32, 49), origin=Origin(sigmas=made_for))

    plan = fit_to_run(schedule, _levels(50, 2.0), 1.0)

    assert plan.schedule == place_by_levels(schedule, made_for, _levels(50, 2.0))
    assert plan.schedule.computed_steps != schedule.computed_steps
    assert "kept at the calibrated noise levels" in plan.note


def test_a_schedule_for_any_steps_is_made_for_those_of_the_run() -> None:
    asked = []

    def of_steps(steps: int) -> Schedule:
        asked.append(steps)
        return Schedule(steps, (0, 3, 4, steps - 1))

    schedule = Schedule(50, (0, 9, 18, 49), of_steps=of_steps)

    assert fit_to_run(schedule, _levels(50), 1.0).schedule is schedule
    plan = fit_to_run(schedule, _levels(20), 1.0)
    assert (plan.schedule.computed_steps, plan.note) == ((0, 3, 4, 19), "")
    assert asked == [20]
    assert "Caching is off" in fit_to_run(schedule, _levels(8), 1.0).note


def test_a_run_that_begins_lower_keeps_its_shares() -> None:
    schedule = Schedule(50, (0, 9, 18, 32, 49), sigmas=_levels(50))

    assert fit_to_run(schedule, _levels(50, first=0.5), 1.0).schedule is schedule


@pytest.mark.parametrize("steps", [10, 13, 20, 50, 1000])
@pytest.mark.parametrize("first", [0.05, 0.5, 1.0, 80.0])
@pytest.mark.parametrize("power", [0.3, 1.0, 7.0])
def test_any_levels_give_a_whole_schedule(steps: int, first: float, power: float) -> None:
    schedule = Schedule(50, (0, 2, 5, 9, 15, 24, 36, 49))

    placed = place_by_levels(schedule, _levels(50), _levels(steps, power, first))

    assert (placed.steps, placed.budget) == (steps, 8)  # its rules are checked when it is made
