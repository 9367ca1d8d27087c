"""How far slopes are followed: by what is known, by what was seen, and at other calls."""

import pytest
import torch

from otcache_core.run_time.slope_trust import (
    AT_CALLS,
    MOST_CALLS,
    SlopeTrust,
    expected_cosine,
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
