"""How far slopes are followed: by what is known, by what was seen, and at other calls."""

import pytest
import torch

from otcache_core.run_time.slope_trust import (
    AT_CALLS,
    LEAST_EDGE,
    MOST_CALLS,
    SlopeTrust,
    expected_cosine,
    foreseen_cosine,
    steadiness_of,
)

LIKE = torch.zeros(2, 1, 1, 1)


def _cosines(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("calls", [4, 8, 10, 11, 16, 40])
def test_a_steadiness_says_what_the_run_that_told_it_showed(calls: int) -> None:
    assert expected_cosine(steadiness_of(0.2, calls), calls) == pytest.approx(0.2)


def test_more_calls_are_steadier_up_to_a_point() -> None:
    expected = [expected_cosine(0.1, calls) for calls in (5, 8, AT_CALLS, 12, MOST_CALLS, 50)]

    assert expected == sorted(expected)
    assert expected[2] == pytest.approx(0.1)
    assert expected[-1] == expected[-2]


def test_both_stay_within_what_a_cosine_can_be() -> None:
    assert expected_cosine(-0.9, 2) == -1.0
    assert expected_cosine(0.9, 16) == 1.0
    assert steadiness_of(-0.9, 16) == -1.0


@pytest.mark.parametrize(("expected", "share"), [(-0.5, 0.0), (0.0, 0.0), (0.1, 0.3), (0.5, 1.0)])
def test_before_an_edge_is_seen_all_goes_by_what_is_known(expected: float, share: float) -> None:
    assert torch.allclose(SlopeTrust(expected).share(LIKE), torch.full_like(LIKE, share))


def test_each_picture_goes_by_what_it_shows_itself() -> None:
    trust = SlopeTrust(0.25)
    for _ in range(4):
        trust.see(_cosines(0.25, -0.75))

    assert trust.share(LIKE).flatten().tolist() == pytest.approx([0.75, 0.0])
    assert float(trust.mean_cosine()) == pytest.approx(-0.25)


def test_one_edge_that_turns_round_ends_the_trust_at_once() -> None:
    trust = SlopeTrust(1.0)
    trust.see(_cosines(0.9, 0.9))
    assert trust.share(LIKE).min() == 1.0

    trust.see(_cosines(-0.3, -0.05))

    assert trust.share(LIKE).flatten().tolist() == pytest.approx([0.0, 0.15])


def test_nothing_seen_has_no_mean() -> None:
    assert SlopeTrust(0.3).mean_cosine() is None


def _foreseen(drift: float, length: float = 0.06, mean: float = 1 / 16) -> float:
    return float(foreseen_cosine(torch.tensor(drift), length, mean))


def test_the_farther_the_clean_picture_shrinks_the_less_slopes_go_on() -> None:
    """Drifts of the proving ground's models over the first of 16 edges, easy ones to hard ones."""
    easy, between, hard = (_foreseen(drift, 0.05) for drift in (-0.15, -0.3, -0.5))

    assert easy > 0.4
    assert 0.15 < between < 0.35
    assert hard < 0.05


def test_a_short_first_edge_that_shrinks_as_much_tells_of_a_harder_model() -> None:
    assert _foreseen(-0.3, 0.02) < _foreseen(-0.3, 0.06)
    # As the root of its length, so that a quarter of the edge counts for half of the drift.
    assert _foreseen(-0.15, 0.015) == pytest.approx(_foreseen(-0.3, 0.06))


def test_finer_runs_go_on_more_plainly_up_to_a_point() -> None:
    foreseen = [_foreseen(0.0, mean, mean) for mean in (0.125, 0.1, 0.0625, LEAST_EDGE, 0.02)]

    assert foreseen == sorted(foreseen)
    assert foreseen[0] < foreseen[2]
    assert foreseen[-1] == foreseen[-2]


@pytest.mark.parametrize(("drift", "bound"), [(-9.0, -1.0), (9.0, 1.0)])
def test_what_is_foreseen_can_be_a_cosine(drift: float, bound: float) -> None:
    assert _foreseen(drift) == bound


def test_each_picture_goes_by_what_is_foreseen_of_it_until_it_shows_more() -> None:
    trust = SlopeTrust()
    trust.foresee(_cosines(0.2, -0.2))
    assert trust.share(LIKE).flatten().tolist() == pytest.approx([0.6, 0.0])

    known = SlopeTrust(0.9)
    known.foresee(_cosines(0.2, -0.2))  # tells more than what was known
    assert known.share(LIKE).flatten().tolist() == pytest.approx([0.6, 0.0])

    trust.see(_cosines(0.2, 0.7))
    # Four edges that were foreseen weigh against one that was seen.
    assert trust.share(LIKE).flatten().tolist() == pytest.approx([0.6, 0.0])
    for _ in range(3):
        trust.see(_cosines(0.2, 0.7))
    assert trust.share(LIKE).flatten().tolist() == pytest.approx([0.6, 0.75])
