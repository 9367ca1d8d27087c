import math
from typing import Any

import pytest

from otcache_core.documents.schedule import (
    ESTIMATORS,
    Schedule,
    check_end,
    check_sigmas,
    coefficients,
    longest_tail,
)
from otcache_core.errors import OTCacheError

SIGMAS = (1.0, 0.9, 0.75, 0.5, 0.5, 0.25, 0.0)


def test_derived_values_by_hand() -> None:
    schedule = Schedule(6, (0, 1, 3, 5))

    assert schedule.gaps == (1, 2, 2)  # 1 - 0, 3 - 1, 5 - 3
    assert sum(schedule.gaps) == 6 - 1
    assert schedule.mask == (True, True, False, True, False, True)
    assert schedule.budget == schedule.nfe == 4
    assert not schedule.is_full
    assert schedule.look_back == (1, 1, 1)  # plain reuse on each of 4 - 1 edges
    assert schedule.slope_gain == (1.0, 1.0, 1.0)  # the plain slope on each
    assert schedule.drift == schedule.foretold == (0.0, 0.0, 0.0)


def test_steps_after_the_last_computed_one_are_its_tail() -> None:
    schedule = Schedule(6, (0, 1, 3))

    assert (schedule.tail, Schedule.full(6).tail) == (2, 0)
    assert sum(schedule.gaps) + schedule.tail == 6 - 1
    assert schedule.mask == (True, True, False, True, False, False)


@pytest.mark.parametrize(("steps", "tail"), [(1, 0), (9, 0), (10, 1), (50, 5)])
def test_a_shared_schedule_goes_on_to_the_last_tenth(steps: int, tail: int) -> None:
    assert longest_tail(steps) == tail
    latest = (0, steps - 1 - tail) if steps > 1 else (0,)
    assert check_end(latest, steps) == latest
    if steps > 2 + tail:
        with pytest.raises(OTCacheError, match=f"must end at step {steps - 1 - tail} or later"):
            check_end((0, steps - 2 - tail), steps)


@pytest.mark.parametrize("steps", [1, 2, 50, 1000])
def test_full_schedule_computes_every_step(steps: int) -> None:
    full = Schedule.full(steps)

    assert full.computed_steps == tuple(range(steps))
    assert full.is_full
    assert full.budget == steps
    assert all(full.mask)
    assert full.gaps == (1,) * (steps - 1)


def test_lists_become_tuples() -> None:
    lists: dict[str, Any] = {
        "look_back": [4], "sigmas": [3, 2, 1, 0], "slope_gain": [0.5], "drift": [-0.25],
        "foretold": [0.75], "bend": [-0.5],
    }  # fmt: skip
    schedule = Schedule(3, [0, 2], **lists)  # type: ignore[arg-type]

    assert schedule.computed_steps == (0, 2)
    assert schedule.look_back == (4,)
    assert schedule.sigmas == (3.0, 2.0, 1.0, 0.0)
    assert schedule.slope_gain == (0.5,)
    assert schedule.drift == (-0.25,)
    assert (schedule.foretold, schedule.bend) == ((0.75,), (-0.5,))
    again = Schedule(3, (0, 2), **{name: tuple(values) for name, values in lists.items()})
    assert hash(schedule) == hash(again)


@pytest.mark.parametrize(
    ("name", "plain"), [("slope_gain", 1.0), ("drift", 0.0), ("foretold", 0.0), ("bend", 0.0)]
)
def test_coefficients_are_part_of_a_schedule(name: str, plain: float) -> None:
    of, same, other = (
        Schedule(6, (0, 2, 5), **{name: values})  # type: ignore[arg-type]
        for values in ((), (plain, plain), (plain, 0.5))
    )

    assert of == same
    assert of != other


@pytest.mark.parametrize("value", [-2.0, -0.35, 0.0, 0.35, 2.0])
def test_coefficients_of_either_sign(value: float) -> None:
    given = {"slope_gain": (1.0, value), "drift": (value, -value), "foretold": (-value, value)}
    given |= {"bend": (value, 0.5 * value)}
    schedule = Schedule(6, (0, 2, 5), **given)  # type: ignore[arg-type]

    assert coefficients(schedule) == given
    assert Schedule.from_json(schedule.to_json()) == schedule


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "`steps` must be from 1 to 1000 but got 0"),
        ({"steps": -3}, "`steps` must be from 1 to 1000 but got -3"),
        ({"steps": 1001}, "`steps` must be from 1 to 1000 but got 1001"),
        (
            {"computed_steps": ()},
            r"must begin with 0 .* = 5 or before but got \[\]",
        ),
        ({"computed_steps": (1, 5)}, r"must begin with 0 .* but got \[1, 5\]"),
        ({"computed_steps": (0, 6)}, r"must .* end with steps - 1 = 5 or before but got \[0, 6\]"),
        ({"computed_steps": (0, 3, 2, 5)}, r"strictly increasing but got \[0, 3, 2, 5\]"),
        ({"computed_steps": (0, 3, 3, 5)}, r"strictly increasing but got \[0, 3, 3, 5\]"),
        ({"estimator": "magic"}, "one of slope, meancache, reuse, adaptive but got 'magic'"),
        ({"look_back": (1,)}, r"`look_back` must have one value per edge \(2\) but has 1"),
        ({"look_back": (1, 1, 1)}, r"`look_back` must have one value per edge \(2\) but has 3"),
        ({"look_back": (0, 1)}, r"`look_back` values must be from 1 to 6 but got \(0, 1\)"),
        ({"look_back": (1, 7)}, r"`look_back` values must be from 1 to 6 but got \(1, 7\)"),
        ({"slope_gain": (1.0,)}, r"`slope_gain` must have one value per edge \(2\) but has 1"),
        ({"slope_gain": (1.0,) * 3}, r"`slope_gain` must have one value per edge \(2\) but has 3"),
        ({"slope_gain": (1.0, 4.1)}, r"`slope_gain` values must be from -4 to 4 but got \(1.0, 4."),
        ({"slope_gain": (-4.1, 1.0)}, r"`slope_gain` values must be from -4 to 4 but got \(-4.1, "),
        ({"slope_gain": (math.nan, 1.0)}, r"`slope_gain` values must be .* -4 to 4 but got \(nan"),
        ({"drift": (0.0,)}, r"`drift` must have one value per edge \(2\) but has 1"),
        ({"drift": (0.0,) * 3}, r"`drift` must have one value per edge \(2\) but has 3"),
        ({"drift": (0.0, 2.1)}, r"`drift` values must be from -2 to 2 but got \(0.0, 2.1"),
        ({"drift": (-2.1, 0.0)}, r"`drift` values must be from -2 to 2 but got \(-2.1, 0.0"),
        ({"drift": (0.0, math.nan)}, r"`drift` values must be from -2 to 2 but got \(0.0, nan"),
        ({"drift": (0.0, math.inf)}, r"`drift` values must be from -2 to 2 but got \(0.0, inf"),
        ({"sigmas": SIGMAS[1:]}, r"`sigmas` must have steps \+ 1 = 7 values but has 6"),
        ({"sigmas": SIGMAS[::-1]}, r"`sigmas` must be finite, never rise .* but got \(0.0, 0.25"),
    ],
)
def test_broken_rules(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"steps": 6, "computed_steps": (0, 2, 5), **changes}

    with pytest.raises(OTCacheError, match=message):
        Schedule(**arguments)


@pytest.mark.parametrize(
    "sigmas",
    [
        (2.0, 3.0, 0.0),
        (2.0, 1.0, -0.1),
        (math.nan, 1.0, 0.0),
        (2.0, math.nan, 0.0),
        (2.0, 1.0, math.nan),
        (math.inf, 1.0, 0.0),
        (math.inf, math.inf, math.inf),
    ],
)
def test_sigmas_that_no_sampler_has(sigmas: tuple[float, ...]) -> None:
    with pytest.raises(OTCacheError, match="`sigmas` must be finite, never rise"):
        check_sigmas(sigmas, 2)


def test_sigmas_may_repeat_and_end_above_zero() -> None:
    assert check_sigmas([2, 1, 1], 2) == (2.0, 1.0, 1.0)
    assert check_sigmas([1, 1, 1], 2) == (1.0, 1.0, 1.0)


# JSON


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule.full(1),
        Schedule(6, (0, 5)),
        Schedule(6, (0, 1, 3, 5), "meancache", (1, 3, 6)),
        Schedule(6, (0, 1, 3, 5), "reuse", sigmas=SIGMAS),
        Schedule(6, (0, 1, 3, 5), "slope", slope_gain=(1.0, 0.0, -0.35)),
        Schedule(6, (0, 1, 3, 5), "slope", drift=(0.0, -2.0, 0.013)),
    ],
)
def test_json_round_trip(schedule: Schedule) -> None:
    again = Schedule.from_json(schedule.to_json())

    assert again == schedule
    assert again.sigmas == schedule.sigmas
    assert again.look_back == schedule.look_back
    assert again.slope_gain == schedule.slope_gain
    assert again.drift == schedule.drift


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_json_keeps_the_estimator(estimator: str) -> None:
    text = Schedule(6, (0, 5), estimator).to_json()

    assert Schedule.from_json(text).estimator == estimator


def test_json_without_options_takes_the_defaults() -> None:
    schedule = Schedule.from_json('{"steps": 6, "computed_steps": [0, 2, 5]}')

    assert schedule == Schedule(6, (0, 2, 5), "slope", (1, 1))
    assert schedule.sigmas is None
    assert schedule.slope_gain == (1.0, 1.0)
    assert schedule.drift == (0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"computed_steps": [0, 5]}', "schedule.steps must be present but is missing"),
        ('{"steps": 6}', "schedule.computed_steps must be present but is missing"),
        ('{"steps": true, "computed_steps": [0]}', "schedule.steps must be an integer .* True"),
        ('{"steps": 6, "computed_steps": [0, 9]}', r"computed_steps\[1\] must .* 0 to 5 but got 9"),
        (
            '{"steps": 6, "computed_steps": [0, 2]}',
            r"at step 5 or later .* but end at 2",
        ),
        ('{"steps": 2, "computed_steps": [0, 1], "sigmas": [1, NaN, 0]}', r"sigmas\[1\] .* nan"),
        ('{"steps": 2, "computed_steps": [0, 1], "look_back": [9]}', r"look_back\[0\] must .* 9"),
        (
            '{"steps": 2, "computed_steps": [0, 1], "slope_gain": [5]}',
            r"gain\[0\] must .* 4 but got 5",
        ),
        ('{"steps": 2, "computed_steps": [0, 1], "slope_gain": ["1"]}', r"slope_gain\[0\] .* '1'"),
        ('{"steps": 2, "computed_steps": [0, 1], "slope_gain": 1}', "slope_gain must be a list"),
        ('{"steps": 2, "computed_steps": [0, 1], "slope_gain": [1, 1]}', "one value per edge .1."),
        (
            '{"steps": 2, "computed_steps": [0, 1], "drift": [-3]}',
            r"drift\[0\] must .* 2 but got -3",
        ),
        (
            '{"steps": 2, "computed_steps": [0, 1], "drift": ["1"]}',
            r"drift\[0\] must be .* got '1'",
        ),
        ('{"steps": 2, "computed_steps": [0, 1], "drift": [NaN]}', r"drift\[0\] must .* got nan"),
        ('{"steps": 2, "computed_steps": [0, 1], "drift": 0}', "schedule.drift must be a list"),
        (
            '{"steps": 2, "computed_steps": [0, 1], "drift": [0, 0]}',
            "`drift` .* one value per edge",
        ),
        ('{"steps": 2, "computed_steps": [0, 1], "estimator": 3}', "estimator must be a text"),
        ("[]", "schedule must be a JSON object but is a list"),
    ],
)
def test_json_that_is_no_schedule(text: str, message: str) -> None:
    with pytest.raises(OTCacheError, match=message):
        Schedule.from_json(text)
