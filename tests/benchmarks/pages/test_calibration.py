"""The page on calibration holds what its record holds, and the record what was aimed at."""

from __future__ import annotations

import json

from benchmarks import effort
from benchmarks.instruments.record import RECORDS
from benchmarks.pages import calibration
from benchmarks.pages.calibration import (
    BUDGETS,
    PAGE,
    effort_ratios_table,
    effort_table,
    with_tables,
)


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


def test_sizes_are_compared_over_all_models_that_have_both() -> None:
    def row(model: str, size: str, loss: float, ratio: list[float] | None) -> dict[str, object]:
        at = {f"lpips_{budget}": [loss] * 3 for budget in BUDGETS}
        over = {} if ratio is None else {f"over_size_before_{budget}": ratio for budget in BUDGETS}
        about = {"model": model, "size": size, "prompts": 3, "model_calls": 100}
        return about | {"learned_from": None} | at | over

    rows = [
        row("b", "small", 0.2, [0.5, 0.4, 0.6]), row("a", "small", 0.1, [2.0, 1.5, 2.5]),
        row("b", "quick", 0.4, None), row("b", "standard", 0.1, None),
    ]  # fmt: skip

    lines = effort_ratios_table({"rows": rows}).splitlines()

    farther = ", ".join(f"`a` {budget} (2.00)" for budget in BUDGETS)
    assert lines[2:] == [f"| small over quick | 2 |{' 1.00 |' * 5} 5 of 10 | {farther} |"]
    models = [line.split(" | ")[:2] for line in effort_table({"rows": rows}).splitlines()[2:]]
    assert models == [["| `b`", "quick"], ["| `b`", "small"], ["| `b`", "standard"],
                      ["| `a`", "small"]]  # fmt: skip


def test_the_page_knows_the_sizes_that_are_measured() -> None:
    assert calibration.SIZES == tuple(effort.SIZES)
    assert (calibration.BUDGETS, calibration.RATIO) == (effort.BUDGETS, effort.RATIO)
