from dataclasses import replace

import pytest

from otcache_core.documents.anchor import load_anchor
from otcache_core.documents.fidelity import FidelityCurve
from otcache_core.expectation import expectation, expected_loss
from otcache_core.transport import predict_schedule
from scripts.host.find import REPOSITORY

ANCHOR = load_anchor(REPOSITORY / "presets" / "otcache-demo.otanchor.json")
LOWEST, HIGHEST = ANCHOR.fidelity[0].budget, ANCHOR.fidelity[-1].budget


@pytest.mark.parametrize("budget", [LOWEST, 10, HIGHEST])
def test_what_was_measured_is_expected(budget: int) -> None:
    typical, mean = FidelityCurve(ANCHOR.fidelity).expected(budget)
    schedule = predict_schedule(ANCHOR, budget).schedule

    assert expected_loss(ANCHOR, schedule) == (typical, mean)
    assert expectation(ANCHOR, schedule) == f"expected LPIPS {typical:.4f} (mean {mean:.4f})"


@pytest.mark.parametrize(
    ("budget", "changes"),
    [
        (10, {"rho": 2.0}),
        (10, {"steps": 40}),
        (10, {"steps": 51}),
        (HIGHEST + 1, {}),
        (50, {}),
    ],
)
def test_nothing_is_expected_where_nothing_was_measured(
    budget: int, changes: dict[str, float]
) -> None:
    schedule = predict_schedule(ANCHOR, budget, **changes).schedule  # type: ignore[arg-type]

    assert expected_loss(ANCHOR, schedule) is None
    assert expectation(ANCHOR, schedule) == "expected LPIPS not measured for these settings"


def test_a_searched_schedule_is_the_same_whatever_rho_is() -> None:
    schedule = predict_schedule(ANCHOR, ANCHOR.anchor.budget, rho=2.0).schedule
    assert expected_loss(ANCHOR, schedule) is not None


def test_an_anchor_without_a_curve_expects_nothing() -> None:
    bare = replace(ANCHOR, fidelity=())
    schedule = predict_schedule(bare, 10).schedule

    assert expected_loss(bare, schedule) is None
    assert expectation(bare, schedule) == "expected LPIPS not measured"
