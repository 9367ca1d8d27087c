"""The curve of loss against budget."""

import math

import pytest

from otcache_core.documents.fidelity import MAX_POINTS, FidelityCurve, FidelityPoint
from otcache_core.errors import OTCacheError

CURVE = FidelityCurve(
    [FidelityPoint(8, 0.08, 0.02), FidelityPoint(16, 0.02, 0.01), FidelityPoint(32, 0.02, 0.0)]
)


@pytest.mark.parametrize(
    ("budget", "mean"), [(8, 0.08), (16, 0.02), (24, 0.02), (4, 0.08), (50, 0.02)]
)
def test_expected_at_and_outside_the_points(budget: int, mean: float) -> None:
    assert CURVE.expected(budget) == pytest.approx((mean, mean))


def test_between_points_the_loss_is_a_power_of_the_budget() -> None:
    # From 8 to 16 calls the loss falls by 4, so loss = c / budget^2: at 12 it is 0.08 (8/12)^2.
    assert CURVE.expected(12)[0] == pytest.approx(0.08 * (8 / 12) ** 2)


def test_more_calls_never_cost_fidelity() -> None:
    noisy = FidelityCurve([FidelityPoint(8, 0.02, 0.0), FidelityPoint(9, 0.03, 0.0)])
    assert noisy.expected(9)[0] == pytest.approx(0.02)


@pytest.mark.parametrize(("target", "budget"), [(0.5, 8), (0.08, 8), (0.04, 12), (0.02, 16)])
def test_budget_for_a_target(target: float, budget: int) -> None:
    assert CURVE.budget_for(target) == budget


def test_a_target_that_no_budget_meets() -> None:
    with pytest.raises(OTCacheError, match=r"at least 0\.0200, expected at 32 model calls"):
        CURVE.budget_for(0.01)


def test_a_loss_of_zero() -> None:
    exact = FidelityCurve([FidelityPoint(8, 0.1, 0.0), FidelityPoint(50, 0.0, 0.0)])
    assert math.isfinite(exact.expected(20)[0])
    assert exact.expected(50)[0] < 1e-5


@pytest.mark.parametrize("budgets", [[], [9, 8], [8, 8], list(range(1, MAX_POINTS + 2))], ids=len)
def test_points_that_make_no_curve(budgets: list[int]) -> None:
    with pytest.raises(OTCacheError, match="increasing budgets"):
        FidelityCurve(FidelityPoint(budget, 0.1, 0.0) for budget in budgets)


def test_one_prompt_that_tips_over_does_not_move_what_is_expected() -> None:
    points = [FidelityPoint(8, 0.02, 0.01, 0.018), FidelityPoint(16, 0.09, 0.4, 0.004)]

    assert FidelityCurve(points).expected(16)[0] == pytest.approx(0.004)
    assert FidelityCurve(points).budget_for(0.01) < 16
