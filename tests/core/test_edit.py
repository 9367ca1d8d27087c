import re

import pytest

from otcache_core.documents.mask import write_mask
from otcache_core.documents.schedule import Origin, Schedule
from otcache_core.edit import edit_schedule
from otcache_core.errors import OTCacheError

LEVELS = tuple(1.0 - i / 10 for i in range(11))

# Edges 0-2, 2-3, 3-7 and 7-8, then a tail of one step; the edge 2-3 skips nothing.
LEARNED = Schedule(
    10,
    (0, 2, 3, 7, 8),
    look_back=(1, 2, 3, 4),
    slope_gain=(1.0, 1.0, 0.4567, 1.0),  # more digits than the method itself gives
    drift=(-0.2, 0.0, -0.3, 0.0),
    foretold=(0.0, 0.0, 0.4, 0.0),
    bend=(0.0, 0.0, -0.6, 0.0),
    sigmas=LEVELS,
    origin=Origin("Flux", "euler", "simple", 3.5, LEVELS),
)


def _edited(mask: str, schedule: Schedule | None = LEARNED) -> Schedule:
    edited = edit_schedule(schedule, mask)
    assert edited is not None
    return edited


@pytest.mark.parametrize("mask", ["", " \n", "[]"])
@pytest.mark.parametrize("schedule", [None, LEARNED])
def test_an_empty_mask_leaves_the_schedule_as_it_comes(
    schedule: Schedule | None, mask: str
) -> None:
    assert edit_schedule(schedule, mask) is schedule


@pytest.mark.parametrize("estimator", ["slope", "adaptive", "meancache", "reuse"])
def test_the_schedules_own_mask_changes_no_edge(estimator: str) -> None:
    schedule = Schedule(10, (0, 2, 3, 7, 8), estimator, (1, 2, 3, 4), LEVELS)
    assert _edited(write_mask(schedule), schedule) == schedule
    assert _edited(write_mask(LEARNED)) == LEARNED


def test_a_schedule_for_any_steps_is_edited_for_those_of_the_mask() -> None:
    schedule = Schedule(50, (0, 9, 49), of_steps=lambda steps: Schedule(steps, (0, 3, steps - 1)))

    edited = _edited("1110000001", schedule)

    assert (edited.steps, edited.computed_steps) == (10, (0, 1, 2, 9))
    assert edited.of_steps is None  # other steps would lose the edit


def test_an_edge_that_stays_keeps_what_it_has_learned() -> None:
    edited = _edited("1111000110")  # step 1 runs as well

    assert edited.computed_steps == (0, 1, 2, 3, 7, 8)
    assert edited.slope_gain == (1.0, 1.0, 1.0, 0.4567, 1.0)
    assert edited.drift == (0.0, 0.0, 0.0, -0.3, 0.0)  # 0-1 and 1-2 skip nothing
    assert edited.foretold == (0.0, 0.0, 0.0, 0.4, 0.0)
    assert edited.bend == (0.0, 0.0, 0.0, -0.6, 0.0)
    assert edited.look_back == (1, 1, 2, 3, 4)


def test_a_new_edge_takes_what_was_known_at_its_place() -> None:
    # Step 5 splits the edge 3-7: each half has its gain, and drifts by its share of the length.
    split = _edited("1011010110")
    assert split.computed_steps == (0, 2, 3, 5, 7, 8)
    assert split.slope_gain == (1.0, 1.0, 0.457, 0.457, 1.0)
    assert split.drift == (-0.2, 0.0, -0.15, -0.15, 0.0)  # -0.3 * 2 / 4
    assert split.foretold == (0.0, 0.0, 0.4, 0.4, 0.0)
    assert split.bend == (0.0, 0.0, -0.6, -0.6, 0.0)
    assert split.look_back == (1, 2, 3, 3, 4)

    # Without step 7 the edge goes from 3 to 8: four of its steps, 4 to 7, are skipped. Three lay in
    # 3-7; step 7 began an edge that skipped nothing, so it says gain 1 and no drift.
    merged = _edited("1011000010")
    assert merged.computed_steps == (0, 2, 3, 8)
    assert merged.slope_gain[-1] == pytest.approx((3 * 0.4567 + 1.0) / 4, abs=5e-4)
    assert merged.drift[-1] == pytest.approx(5 * (3 * -0.3 / 4) / 4, abs=5e-4)
    assert merged.look_back == (1, 2, 3)


@pytest.mark.parametrize("estimator", ["slope", "adaptive", "meancache", "reuse"])
@pytest.mark.parametrize("mask", ["1000000000", "1111111111", "1000000001", "1100000000"])
def test_any_mask_makes_a_schedule_of_the_same_estimator(estimator: str, mask: str) -> None:
    edited = _edited(mask, Schedule(10, (0, 4, 9), estimator, (2, 6)))

    assert (write_mask(edited), edited.estimator) == (mask, estimator)
    assert edited.budget == mask.count("1")


def test_a_run_of_one_step() -> None:
    assert _edited("1", Schedule.full(1)) == Schedule.full(1)


def test_a_mask_alone_is_a_schedule_that_learns_in_the_run() -> None:
    assert _edited("1101", None) == Schedule(4, (0, 1, 3), "adaptive")


def test_a_mask_is_never_placed_anew_at_other_noise_levels() -> None:
    edited = _edited("1111000110")

    assert edited.origin == Origin("Flux", "euler", "simple", 3.5, None)
    assert edited.sigmas == LEVELS  # parts of the very run are still found
    assert _edited("1101", Schedule(4, (0, 3), sigmas=LEVELS[:5])).origin == Origin()


@pytest.mark.parametrize("mask", ["1", "101100011", "10110001101"])
def test_another_number_of_steps_is_refused(mask: str) -> None:
    said = f"`mask` must have as many steps as the schedule, 10, but has {len(mask)}: write one for"
    with pytest.raises(OTCacheError, match=re.escape(said)):
        edit_schedule(LEARNED, mask)


def test_rules_of_masks_hold_with_and_without_a_schedule() -> None:
    for schedule in (None, LEARNED):
        with pytest.raises(OTCacheError, match="must begin with 1"):
            edit_schedule(schedule, "0" * 10)
