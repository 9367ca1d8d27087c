"""A record's rows of sizes, and their ratios to the size before."""

from typing import Any

import pytest

from benchmarks import effort
from benchmarks.instruments.losses import Losses


def _measured(size: str, loss: float) -> tuple[dict[str, Any], Losses]:
    line = {
        "model_calls": 100,
        "seconds": 1.0,
        "learned_from": None,
        "losses": {str(budget): [loss, loss] for budget in effort.BUDGETS},
    }
    losses = {effort.loss_key("demo", size, b): values for b, values in line["losses"].items()}
    return effort.row_of("demo", size, line), losses


QUICK, SMALL, STANDARD = (
    _measured(*each) for each in (("quick", 0.4), ("small", 0.2), ("standard", 0.1))
)


def _ratios(rows: list[dict[str, Any]]) -> list[list[float] | None]:
    return [row.get("over_size_before_8") for row in rows]


def test_a_row_has_means_with_intervals() -> None:
    assert QUICK[0]["lpips_8"] == [0.4, 0.4, 0.4]
    assert (QUICK[0]["model"], QUICK[0]["prompts"], QUICK[0]["model_calls"]) == ("demo", 3, 100)


def test_ratios_are_to_the_size_before() -> None:
    rows = effort.merged([], [QUICK[0], STANDARD[0]], QUICK[1] | STANDARD[1])

    assert _ratios(rows) == [None, [0.25, 0.25, 0.25]]


def test_a_size_between_is_what_the_next_one_is_compared_with_from_then_on() -> None:
    before = effort.merged([], [QUICK[0], STANDARD[0]], QUICK[1] | STANDARD[1])

    rows = effort.merged(before, [SMALL[0]], QUICK[1] | SMALL[1] | STANDARD[1])

    assert [row["size"] for row in rows] == ["quick", "standard", "small"]
    assert _ratios(rows) == [None, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]


@pytest.mark.parametrize("known", [{}, STANDARD[1]])
def test_a_ratio_that_cannot_be_taken_anew_is_left_out(known: Losses) -> None:
    before = effort.merged([], [QUICK[0], STANDARD[0]], QUICK[1] | STANDARD[1])

    anew = effort.merged(before, [QUICK[0]], known)
    untouched = effort.merged(before, [_measured("small", 0.3)[0] | {"model": "unet"}], known)

    assert _ratios(anew) == [None, None]
    assert _ratios(untouched) == [None, [0.25, 0.25, 0.25], None]
