"""What the README says is what the repository holds."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.pages.readme import FIDELITY, README, RECORD, compare_table, with_tables

ROOT = Path(__file__).parents[3]


def test_measured_tables_are_the_records() -> None:
    runs = json.loads(RECORD.read_text(encoding="utf-8"))["results"]["runs"]
    fidelity = json.loads(FIDELITY.read_text(encoding="utf-8"))["results"]
    text = README.read_text(encoding="utf-8")
    assert with_tables(text, runs, fidelity) == text


def test_the_comparison_marks_the_best_and_says_other_calls() -> None:
    rows = [
        {"contestant": "OTCache", "budget": 8, "lpips": 0.005, "calls": 8.0},
        {"contestant": "EasyCache (the host's)", "budget": 8, "lpips": 0.002, "calls": 15.2},
    ]

    lines = compare_table(rows).splitlines()

    assert lines[2] == "| **OTCache** | 0.0050 | - | - | - |"
    assert "| EasyCache | **0.0020** (15.2 calls) | - | - | - |" in lines


def test_files_that_the_readme_names_exist() -> None:
    text = README.read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    for link in links:
        if not link.startswith("http"):
            assert (ROOT / link.partition("#")[0]).exists(), link
