"""Random starts of searches: schedules like others, decided by their seed, all as likely."""

from collections import Counter

import pytest

from benchmarks.runs.ablations import random_steps


@pytest.mark.parametrize("budget", [2, 3, 8, 50])
def test_a_random_start_is_a_schedule_of_its_budget(budget: int) -> None:
    steps = random_steps(budget, 50, seed=3)

    assert len(steps) == budget
    assert (steps[0], steps[-1]) == (0, 49)
    assert list(steps) == sorted(set(steps))


def test_a_seed_decides_it() -> None:
    assert random_steps(8, 50, 1) == random_steps(8, 50, 1) != random_steps(8, 50, 2)


def test_every_choice_is_as_likely() -> None:
    # 2 of 4 inner steps: six choices.
    drawn = Counter(random_steps(4, 6, seed) for seed in range(1200))

    assert len(drawn) == 6
    assert all(140 <= count <= 260 for count in drawn.values())
