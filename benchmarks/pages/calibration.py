"""Keeps the measured tables of `docs/calibration.md` the same as the record they come from.

`python -m benchmarks.pages.calibration` writes them anew.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.instruments.record import RECORDS
from benchmarks.pages.tables import markdown_table, replace_table, rewrite
from scripts.host.find import REPOSITORY

PAGE = REPOSITORY / "docs" / "calibration.md"

SIZES = ("quick", "small", "standard", "custom")
BUDGETS = (8, 10, 12, 15, 20)
RATIO = "over_size_before_"
"""What the record calls a ratio to the size before, with the budget after it."""


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def variants_table(results: dict[str, Any]) -> str:
    """What each way of searching spends and finds."""
    columns = ("way to search", "model calls:", "of the paper's:", "seconds:", "warm start:",
               "anchor:", "held-out prompts:")  # fmt: skip
    return markdown_table(columns, [
        (
            row["variant"], f"{row['model_calls']:,}", f"{100 * row['share_of_paper']:.0f} %",
            f"{row['seconds']:.0f}", _loss(row["warm_start"]), _loss(row["calibration_lpips"]),
            _loss(row["held_out_lpips"]),
        )
        for row in results["variants"]
    ])  # fmt: skip


def regret_table(results: dict[str, Any]) -> str:
    """Prediction against a search at the budget itself."""
    columns = ("budget:", "predicted:", "searched directly:", "ratio:", "medians:",
               "with a middle schedule at 12:", "calls of the direct search:")  # fmt: skip
    middle = {row["budget"]: row["predicted"] for row in results["regret_with_middle"]}
    return markdown_table(columns, [
        (
            str(row["budget"]), _loss(row["predicted"]), _loss(row["direct"]),
            f"{row['ratio']:.2f}",
            f"{_loss(row['predicted_median'])} / {_loss(row['direct_median'])}",
            _loss(middle[row["budget"]]), f"{row['direct_model_calls']:,}",
        )
        for row in results["regret"]
    ])  # fmt: skip


def expected_table(results: dict[str, Any]) -> str:
    """What the fidelity curve foretells, and what held-out prompts measure."""
    columns = ("budget:", "expected:", "spread over prompts:", "held-out mean:", "median:")
    keys = ("expected", "expected_spread", "held_out", "held_out_median")
    return markdown_table(columns, [
        (str(row["budget"]), *(_loss(row[key]) for key in keys))
        for row in results["expected_against_held_out"]
    ])  # fmt: skip


def workers_table(results: dict[str, Any]) -> str:
    """One worker against two."""
    columns = ("workers:", "trials:", "seconds:", "trials a second:", "model calls:",
               "trials of each:")  # fmt: skip
    return markdown_table(columns, [
        (
            str(row["workers"]), str(row["trials"]), f"{row['seconds']:.0f}",
            f"{row['trials_per_second']:.2f}", f"{row['model_calls']:,}",
            " + ".join(map(str, row["trials_by_worker"])),
        )
        for row in results["runs"]
    ])  # fmt: skip


def effort_table(results: dict[str, Any]) -> str:
    """What each size of calibration spends and reaches on held-out prompts."""
    budgets = [key for key in results["rows"][0] if key.startswith("lpips_")]
    names = (f"{key.removeprefix('lpips_')} calls:" for key in budgets)
    columns = ("model", "size", "prompts:", "model calls:", *names, "learns from:")
    return markdown_table(columns, [
        (
            f"`{row['model']}`", row["size"], str(row["prompts"]), f"{row['model_calls']:,}",
            *(f"{row[key][0]:.5f}" for key in budgets), str(row["learned_from"] or "-"),
        )
        for row in _by_model(results["rows"])
    ])  # fmt: skip


def effort_ratios_table(results: dict[str, Any]) -> str:
    """Each size's LPIPS over that of the size before, and where it is surely closer or farther."""
    lines = []
    for before, size in pairwise(SIZES):
        rows = [r for r in results["rows"] if r["size"] == size and f"{RATIO}8" in r]
        ratios = {budget: [row[f"{RATIO}{budget}"] for row in rows] for budget in BUDGETS}
        every = [ratio for of_budget in ratios.values() for ratio in of_budget]
        if every:
            means = (np.exp(np.mean(np.log([ratio[0] for ratio in r]))) for r in ratios.values())
            sure = sum(high < 1 for *_, high in every)
            farther = [
                f"`{row['model']}` {budget} ({row[f'{RATIO}{budget}'][0]:.2f})"
                for row in rows
                for budget in BUDGETS
                if row[f"{RATIO}{budget}"][1] > 1
            ]
            lines.append(
                (f"{size} over {before}", str(len(rows)), *(f"{mean:.2f}" for mean in means),
                 f"{sure} of {len(every)}", ", ".join(farther) or "-")
            )  # fmt: skip
    columns = ("sizes", "models:", *(f"{budget} calls:" for budget in BUDGETS), "surely closer:",
               "surely farther")  # fmt: skip
    return markdown_table(columns, lines)


def _by_model(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    models = list(dict.fromkeys(row["model"] for row in rows))
    return sorted(rows, key=lambda r: (models.index(r["model"]), SIZES.index(r["size"])))


TABLES = {"variants": variants_table, "regret": regret_table, "expected": expected_table}


def with_tables(text: str) -> str:
    """The page's text with every table as its record has it."""
    for name, table in TABLES.items():
        text = replace_table(text, name, table(_results("calibration")))
    effort = _results("effort")
    text = replace_table(text, "effort", effort_table(effort))
    text = replace_table(text, "effort-ratios", effort_ratios_table(effort))
    return replace_table(text, "workers", workers_table(_results("workers")))


def _results(name: str) -> Any:
    return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))["results"]


if __name__ == "__main__":
    sys.exit(rewrite(PAGE, with_tables))
