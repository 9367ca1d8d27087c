"""The tables over all models: hard ones first, leads by group, and every place where ours loses."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.contestants.contestant import ON_OURS
from benchmarks.contestants.generic import GENERIC
from benchmarks.contestants.meancache import MEANCACHE
from benchmarks.contestants.own import ORACLE
from benchmarks.pages import ground
from benchmarks.pages.fidelity import leaders


def _rows(budget: int, lpips: dict[str, float], calls: dict[str, float] | None = None) -> list[Any]:
    ours = lpips["OTCache"]
    return [
        {"contestant": name, "budget": budget, "lpips": value}
        | {"calls": (calls or {}).get(name, budget)}
        | ({} if name == "OTCache" else {"ours_over": [ours / value, ours / value - 0.1, 9.0]})
        for name, value in lpips.items()
    ]  # fmt: skip


EASY = _rows(15, {"OTCache": 0.01, MEANCACHE: 0.02, "fewer steps: euler": 0.04, ORACLE: 0.001})
HARD = _rows(15, {
    "OTCache": 0.08, MEANCACHE: 0.10, "fewer steps: euler": 0.20, GENERIC: 0.30, "EasyCache": 0.05,
    "uniform steps, slope": 0.16, f"VDE's estimate {ON_OURS}": 0.04,
}, {"EasyCache": 17.0})  # fmt: skip


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"ground-easy": {"rows": EASY}, "ground-hard": {"rows": HARD}}
    monkeypatch.setattr(ground, "read_results", found.__getitem__)
    monkeypatch.setattr(ground.grounds, "usual", lambda: ["easy", "later"])
    paths = [type("Path", (), {"stem": name})() for name in found]
    monkeypatch.setattr(ground, "RECORDS", type("Folder", (), {"glob": lambda self, _: paths})())


def test_whom_ours_is_measured_by() -> None:
    found = {group: row["contestant"] for group, row in leaders(HARD, 15).items()}
    # EasyCache makes two calls more than were asked for; a preset of ours is no rival.
    assert found == {
        "MeanCache": MEANCACHE,
        "rest": "uniform steps, slope",
        "on our steps": f"VDE's estimate {ON_OURS}",
    }


def test_the_summary_has_the_hardest_model_first_and_means_over_models(records: None) -> None:
    lines = ground.summary_table().splitlines()[2:]

    assert lines == [
        "| `hard` | 0.2000 | 0.80 / 0.50 |",
        "| `easy` | 0.0400 | 0.50 / 0.25 |",
        "| `later` | no record yet | - |",
        "| geometric mean |  | 0.63 / 0.35 |",
        "| worst |  | 0.80 / 0.50 |",
    ]


def test_losses_name_everyone_but_the_oracle(records: None) -> None:
    lines = ground.losses_table().splitlines()[2:]

    assert lines == [
        f"| `hard` | 15 | VDE's estimate {ON_OURS} | 2.00 | 1.90 to 9.00 | yes |",
        "| `hard` | 15 (17.0 made) | EasyCache | 1.60 | 1.50 to 9.00 | yes |",
    ]


def test_a_preset_that_does_harm_is_set_off(records: None) -> None:
    lines = ground.uncalibrated_table().splitlines()[2:]
    assert lines == ["| `hard` | **1.50** |", "| `easy` | - |"]


def test_a_preset_is_judged_with_and_without_what_comes_from_the_model() -> None:
    row = {"model": "demo", "fewer": [0.2, 0.1], "preset": [0.1, 0.05], "left_out": [0.15, 0.2]}

    lines = ground.left_out_table({"left_out": {"budgets": [8, 10], "rows": [row]}}).splitlines()

    assert lines[0] == "| model | flow preset | 8 calls | 10 calls |"
    assert lines[2:] == [
        "| `demo` | as it is | 0.50 | 0.50 |",
        "| `demo` | without `demo`'s steps | 0.75 | **2.00** |",
    ]
