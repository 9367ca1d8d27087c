"""The fidelity benchmark on two prompts: exact calls, nothing measured twice, ours as shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.host


@pytest.fixture
def bench(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from benchmarks import fidelity

    monkeypatch.setattr(fidelity, "CALIBRATION_PROMPTS", 2)
    monkeypatch.setattr(fidelity, "HELD_OUT_PROMPTS", 1)
    return fidelity.FidelityBench(host, tmp_path / "work")


def test_contestants_make_the_calls_that_they_are_asked_for(bench: Any, tmp_path: Path) -> None:
    from benchmarks import fidelity
    from benchmarks.contestants.own import CONTESTANTS, MEANCACHE, OURS

    chosen = (OURS, MEANCACHE, "OTCache, reuse", "fewer steps: dpmpp_2m", "fewer steps: heun")
    contestants = {name: CONTESTANTS[name] for name in chosen}
    path = tmp_path / "kept.json"

    fidelity.measure_missing(bench, contestants, fidelity.Kept(path), (9,))
    rows = fidelity.rows_of(contestants, fidelity.Kept(path), (9,))

    assert [(row["contestant"], row["calls"]) for row in rows] == [(name, 9.0) for name in chosen]
    by_name = {row["contestant"]: row for row in rows}
    assert 0.0 < by_name[OURS]["lpips"] < by_name["OTCache, reuse"]["lpips"]
    assert by_name[MEANCACHE]["ours_over"][0] > 0.0
    steps = " ".join(map(str, bench.predicted(9).computed_steps))
    assert by_name[OURS]["note"].startswith(f"computed steps {steps}")
    assert len(json.loads(path.read_text(encoding="utf-8"))) == len(chosen)

    def never(*args: Any) -> None:
        raise AssertionError("measured twice")

    fidelity.measure_missing(bench, dict.fromkeys(chosen, never), fidelity.Kept(path), (9,))
