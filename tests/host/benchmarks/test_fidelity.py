"""The fidelity benchmark on few prompts: exact calls, ours as shipped, goes on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contestants.everyone import everyone
from benchmarks.contestants.meancache import MEANCACHE
from benchmarks.contestants.measuring import measure_missing, rows_of
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import OURS
from benchmarks.instruments.record import RECORDS
from benchmarks.runs.fidelity_bench import QUICK, Extent, FidelityBench
from scripts.host.find import REPOSITORY

pytestmark = pytest.mark.host


EXTENT = Extent(calibration_prompts=2, held_out_prompts=1)


@pytest.fixture
def bench(host: Any, tmp_path: Path) -> Any:
    return FidelityBench(host, "demo", tmp_path / "work", EXTENT)


def test_contestants_make_the_calls_that_they_are_asked_for(bench: Any, tmp_path: Path) -> None:
    chosen = (OURS, MEANCACHE, "OTCache, reuse", "fewer steps: dpmpp_2m", "fewer steps: heun")
    listed = everyone()
    contestants = {name: listed[name] for name in chosen}
    path = tmp_path / "kept.json"

    measure_missing(bench, contestants, Kept(path), 9)
    rows = rows_of(contestants, Kept(path).lines, (9,), EXTENT.seeds)

    assert [(row["contestant"], row["calls"]) for row in rows] == [(name, 9.0) for name in chosen]
    by_name = {row["contestant"]: row for row in rows}
    assert 0.0 < by_name[OURS]["lpips"] < by_name["OTCache, reuse"]["lpips"]
    assert by_name[MEANCACHE]["ours_over"][0] > 0.0
    steps = " ".join(map(str, bench.predicted(9).computed_steps))
    assert by_name[OURS]["note"].startswith(f"computed steps {steps}")
    assert len(json.loads(path.read_text(encoding="utf-8"))) == len(chosen)

    def never(*args: Any) -> None:
        raise AssertionError("measured twice")

    measure_missing(bench, dict.fromkeys(chosen, never), Kept(path), 9)


def test_a_folder_of_another_run_is_refused(bench: Any, host: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="work's folder must be of .*'prompts': 2.* but is of"):
        FidelityBench(host, "demo", tmp_path / "work", QUICK)


def _command(work: Path) -> list[str]:
    only = ("MeanCache:", "fewer steps: euler", "generic preset")
    command = [sys.executable, "-m", "benchmarks", "fidelity", "--quick", "--model", "demo"]
    return [*command, "--budgets", "9", "--work", str(work), "--only", *only]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.name == "nt", reason="kills a group of processes as POSIX has them")
def test_a_ground_that_was_killed_goes_on(tmp_path: Path) -> None:
    kept = tmp_path / "demo" / "lines-9.json"
    run = subprocess.Popen(_command(tmp_path), cwd=REPOSITORY, start_new_session=True)
    while not kept.is_file() and run.poll() is None:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    before = Kept(kept).lines
    assert 0 < len(before) < 3
    records = {path: path.stat().st_mtime_ns for path in RECORDS.iterdir()}

    again = subprocess.run(_command(tmp_path), cwd=REPOSITORY, capture_output=True, text=True)

    assert again.returncode == 0, again.stderr
    after = Kept(kept).lines
    assert len(after) == 3
    # What was measured before has its old time to the digit: it was not measured again.
    assert {key: after[key]["seconds"] for key in before} == {
        key: line["seconds"] for key, line in before.items()
    }
    assert all(key not in again.stderr for key in before)
    assert all(key in again.stderr for key in after.keys() - before.keys())
    assert {path: path.stat().st_mtime_ns for path in RECORDS.iterdir()} == records
