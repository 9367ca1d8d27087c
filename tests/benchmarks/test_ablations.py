"""What the record of the ablations keeps of its lines, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.ablations import prediction_row, section
from benchmarks.runs.ablations import ANCHOR_BUDGETS, STARTS, Extent


def _line(*lpips: float, rho: float = 1.3) -> dict[str, Any]:
    return {
        "rho": rho, "computed_steps": [0, 9], "estimator": "meancache", "lpips": list(lpips),
        "psnr": [20.0, 30.0], "ssim": [0.5, 0.75],
    }  # fmt: skip


@pytest.fixture
def lines() -> dict[str, Any]:
    searches = {
        f"pair {pair} from {kind}": {"start": 0.4, "losses": [0.4, 0.3, 0.2, 0.5]}
        for kind in STARTS
        for pair in range(2)
    }
    anchors = {f"anchor {budget}": {"trials": 4} for budget in ANCHOR_BUDGETS}
    paper = {"paper 15 rho 1.3": _line(0.2, 0.4), "paper 15 rho 1.0": _line(0.1, 0.2, rho=1.0)}
    predicted = {"paper 10 from 8": _line(0.2, 0.4), "paper 10 from 4": _line(0.3, 0.6)}
    return searches | anchors | paper | predicted


def test_a_prediction_is_held_against_the_papers_choice_prompt_by_prompt() -> None:
    row = prediction_row(_line(0.1, 0.2, rho=1.0), _line(0.2, 0.4))

    assert row["over_papers_choice"] == [0.5, 0.5, 0.5]
    assert (row["rho"], row["psnr"], row["ssim"]) == (1.0, 25.0, 0.625)
    assert row["lpips_low"] == 0.1 and row["lpips"] == 0.15 and row["lpips_high"] == 0.2


def test_a_section_has_what_was_measured(lines: dict[str, Any]) -> None:
    made = section(lines, Extent(pairs=2, held_out=2))

    assert made["searches"]["random"] == {
        "start": [0.4, 0.4],
        "best": [[0.2, 0.3, 0.4, 0.5]] * 2,
        "found_at": [[3, 2, 1, 4]] * 2,
        "trials": [4, 4],
    }
    ratios = [(r["budget"], r["rho"], r["over_papers_choice"][0]) for r in made["paper_rho"]]
    assert ratios == [(15, 1.0, 0.5), (15, 1.3, 1.0)]
    assert [(r["anchor"], r["over_papers_choice"][0]) for r in made["paper_anchor"]] == [
        (8, 1.0),
        (4, 1.5),
    ]
    assert made["standard_rho"] == made["standard_anchor"] == []
