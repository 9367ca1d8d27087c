"""The fidelity benchmark on two prompts: exact calls, nothing measured twice, ours as shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contestants.everyone import everyone
from benchmarks.contestants.meancache import MEANCACHE
from benchmarks.contestants.measuring import measure_missing, rows_of
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import OURS
from benchmarks.runs import fidelity_bench

pytestmark = pytest.mark.host


@pytest.fixture
def bench(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(fidelity_bench, "CALIBRATION_PROMPTS", 2)
    monkeypatch.setattr(fidelity_bench, "HELD_OUT_PROMPTS", 1)
    return fidelity_bench.FidelityBench(host, tmp_path / "work")


def test_contestants_make_the_calls_that_they_are_asked_for(bench: Any, tmp_path: Path) -> None:
    chosen = (OURS, MEANCACHE, "OTCache, reuse", "fewer steps: dpmpp_2m", "fewer steps: heun")
    listed = everyone()
    contestants = {name: listed[name] for name in chosen}
    path = tmp_path / "kept.json"

    measure_missing(bench, contestants, Kept(path), (9,))
    rows = rows_of(contestants, Kept(path).lines, (9,), fidelity_bench.SEEDS)

    assert [(row["contestant"], row["calls"]) for row in rows] == [(name, 9.0) for name in chosen]
    by_name = {row["contestant"]: row for row in rows}
    assert 0.0 < by_name[OURS]["lpips"] < by_name["OTCache, reuse"]["lpips"]
    assert by_name[MEANCACHE]["ours_over"][0] > 0.0
    steps = " ".join(map(str, bench.predicted(9).computed_steps))
    assert by_name[OURS]["note"].startswith(f"computed steps {steps}")
    assert len(json.loads(path.read_text(encoding="utf-8"))) == len(chosen)

    def never(*args: Any) -> None:
        raise AssertionError("measured twice")

    measure_missing(bench, dict.fromkeys(chosen, never), Kept(path), (9,))
