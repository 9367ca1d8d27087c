"""The page on calibration holds what its record holds, and the record what was aimed at."""

from __future__ import annotations

import json

from benchmarks.instruments.record import RECORDS
from benchmarks.pages.calibration import PAGE, with_tables


def test_measured_tables_are_the_record() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text


def test_the_defaults_are_as_good_as_the_paper_for_a_third_of_its_calls() -> None:
    results = json.loads((RECORDS / "calibration.json").read_text(encoding="utf-8"))["results"]
    ours, paper = results["variants"][:2]

    assert ours["variant"] == "CMA-ES and polish, fitted gains"
    assert ours["model_calls"] <= 0.3 * results["paper_model_calls"]
    assert ours["held_out_lpips"] <= paper["held_out_lpips"]
    assert ours["calibration_lpips"] <= 0.75 * ours["warm_start"]
