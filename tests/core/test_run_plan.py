import logging

import pytest

from otcache_core.run_plan import fit_to_run, same_sigma, step_of_sigma
from otcache_core.schedule import Schedule

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
    schedule = Schedule(5, (0, 2, 4), "meancache", (2, 3))

    assert fit_to_run(schedule, LEVELS) is schedule
    # Also over other noise levels, such as those of an image-to-image run.
    assert fit_to_run(schedule, (0.5, 0.4, 0.3, 0.2, 0.1, 0.0)) is schedule


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

    part = fit_to_run(schedule, MADE_FOR[first : last + 1])

    assert part.steps == last - first
    assert part.computed_steps == computed_steps
    assert part.look_back == look_back
    assert part.estimator == "meancache"


def test_a_part_is_found_in_spite_of_rounding() -> None:
    schedule = Schedule(10, (0, 1, 4, 9), sigmas=MADE_FOR)

    part = fit_to_run(schedule, [s * 1.00005 for s in MADE_FOR[4:9]])

    assert part.computed_steps == (0, 3)


def test_a_part_that_is_denoised_to_the_end_is_still_that_part() -> None:
    # KSampler (Advanced) with an early end and no leftover noise sets the last level to 0.
    schedule = Schedule(10, (0, 1, 4, 9), sigmas=MADE_FOR)

    part = fit_to_run(schedule, (*MADE_FOR[:5], 0.0))

    assert part.computed_steps == (0, 1, 4)


def test_both_halves_cost_the_budget_and_the_cut() -> None:
    schedule = Schedule(10, (0, 2, 5, 9), sigmas=MADE_FOR)

    high, low = fit_to_run(schedule, MADE_FOR[:5]), fit_to_run(schedule, MADE_FOR[4:])

    assert high.computed_steps == (0, 2, 3)  # its last step is computed, too
    assert low.computed_steps == (0, 1, 5)  # steps 4, 5 and 9; its first is computed, too
    assert high.budget + low.budget == schedule.budget + 2


@pytest.mark.parametrize(
    ("steps", "budget"),
    [(20, 8), (100, 8), (9, 8), (8, 8), (7, 7), (2, 2), (1, 1)],  # made for 50 steps, budget 8
)
def test_another_step_count_keeps_the_budget(
    steps: int, budget: int, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = Schedule(50, (0, 2, 5, 9, 15, 24, 36, 49))
    sigmas = [1.0 - i / steps for i in range(steps + 1)]
    with caplog.at_level(logging.INFO, logger="otcache"):
        placed = fit_to_run(schedule, sigmas)

    assert (placed.steps, placed.budget) == (steps, budget)
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert "50 steps" in message and f"has {steps}" in message and f"{budget} model" in message


def test_a_schedule_placed_again_keeps_its_shape() -> None:
    placed = fit_to_run(Schedule(51, (0, 5, 10, 20, 50)), [1.0 - i / 101 for i in range(102)])

    assert placed.computed_steps == (0, 10, 20, 40, 100)  # each index twice as far


def test_other_levels_of_fewer_steps_are_no_part() -> None:
    schedule = Schedule(10, (0, 1, 2, 3, 9), sigmas=MADE_FOR)

    other = fit_to_run(schedule, (1.0, 0.85, 0.65, 0.45, 0.25, 0.05, 0.0))  # 6 steps

    assert (other.steps, other.budget) == (6, 5)


@pytest.mark.parametrize(("sigmas", "lines"), [(LEVELS, 0), (MADE_FOR[:4], 0), ((1.0, 0.0), 1)])
def test_only_a_schedule_placed_again_is_logged(
    sigmas: tuple[float, ...], lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    schedules = {5: Schedule(5, (0, 2, 4)), 3: Schedule(10, (0, 4, 9), sigmas=MADE_FOR)}
    with caplog.at_level(logging.INFO, logger="otcache"):
        fit_to_run(schedules.get(len(sigmas) - 1, Schedule(5, (0, 2, 4))), sigmas)

    assert len(caplog.records) == lines
