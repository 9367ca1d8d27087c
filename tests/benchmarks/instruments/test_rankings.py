"""How soon a search came to its best, and shares by which losses fell, by hand."""

import pytest

from benchmarks.instruments.rankings import best_losses, found_at, gains, middle_and_late

LOSSES = [0.5, 0.2, 0.4, 0.1, 0.2]


def test_the_best_come_with_the_trials_that_tried_them() -> None:
    assert best_losses(LOSSES, 3) == [0.1, 0.2, 0.2]
    assert found_at(LOSSES, 3) == [4, 2, 5]  # of equals the earlier first


def test_a_short_search_has_fewer_of_them() -> None:
    assert best_losses([0.3, 0.1], 5) == [0.1, 0.3]
    assert found_at([0.3, 0.1], 5) == [2, 1]


def test_the_gain_of_means_is_not_the_mean_of_gains() -> None:
    # 1 - (0.2 + 0.1) / (0.4 + 0.1), and the mean of 1/2 and 0
    assert gains([0.4, 0.1], [0.2, 0.1]) == pytest.approx((0.4, 0.25))


def test_late_is_a_value_that_nine_of_ten_do_not_exceed() -> None:
    assert middle_and_late(range(1, 11)) == (5.5, 9.0)
    assert middle_and_late([7]) == (7.0, 7.0)
