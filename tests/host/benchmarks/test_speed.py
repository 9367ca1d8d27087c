"""The benchmark of what the pack costs beside the model: its clocks, its counts, its record."""

from __future__ import annotations

import itertools
import json
import os
import sys
from typing import Any

import pytest

from benchmarks.instruments.record import RECORDS
from benchmarks.instruments.step_clock import StepClock
from benchmarks.runs.imports import LAZY, start_once
from benchmarks.runs.timed import Case, SpeedRuns, peak_bytes
from benchmarks.speed import ESTIMATORS, SIZES, growth_cases, measure_case

pytestmark = pytest.mark.host

SMALL = Case("FLUX.1 dev", (1, 16, 8, 8), steps=20, budget=5)


@pytest.fixture
def runs(host) -> SpeedRuns:
    return SpeedRuns(host)


def _ticks() -> Any:
    """A clock that goes on by one second at each reading."""
    counter = itertools.count()
    return lambda: next(counter)


@pytest.mark.parametrize(
    ("steps", "what"),
    # Readings of a computed step, one a second: prediction 0-7, host 1-6, around 2-5, model 3-4.
    # Of a skipped one: prediction 0-1. Of a run: whole, host, then the steps.
    [
        (lambda clock: clock.computed, [7] * 5),
        (lambda clock: clock.added, [2] * 5),
        (lambda clock: clock.added_to_model, [2] * 5),
        (lambda clock: clock.skipped, [1] * 15),
        (lambda clock: clock.between, [1] * 19),
        (lambda clock: clock.added_to_runs, [2]),
    ],
)
def test_the_clock_reads_on_both_sides_of_what_is_applied(runs, steps, what):
    clock = StepClock(_ticks())
    apply = runs.pack(SMALL, "slope", lambda done: None)

    runs.sample(SMALL, lambda model: clock.watch(model, apply))

    assert steps(clock) == what


def test_a_case_has_every_figure(runs):
    row = measure_case(runs, SMALL, ESTIMATORS, repeats=1)

    assert row["latent_bytes"] == 4 * 16 * 8 * 8
    natural = [row[k] for k in ("clone_ms", "host_ms", "euler_ms", "easycache_skipped_ms")]
    assert all(ms > 0.0 for ms in natural)
    assert {name: ours["held_latents"] for name, ours in row["ours"].items()}["slope"] == 2.0
    assert {name: ours["held_latents"] for name, ours in row["ours"].items()}["reuse"] == 1.0
    assert all(ours["skipped_ms"] > 0.0 < ours["computed_ms"] for ours in row["ours"].values())


def test_a_schedule_that_skips_nothing_is_no_measurement(runs):
    with pytest.raises(RuntimeError, match="15 steps must be skipped but 0 were"):
        runs.check_skipped(SMALL, [], repeats=1)


def test_peak_memory_is_the_most_at_one_time():
    import torch

    def work() -> None:
        first = torch.zeros(1000)
        second = torch.zeros(2000)
        del first
        third = torch.zeros(500)
        del second, third

    assert peak_bytes(work) == 4 * 3000


def test_start_up_imports_nothing_that_can_wait(tmp_path):
    started = start_once([sys.executable, "-m", "benchmarks.runs.imports", str(tmp_path)])

    assert started["packages"] == []
    assert "optuna" in LAZY
    assert "optuna" not in started["host_packages"]
    assert started["modules"] > 10
    assert started["ms"] > 0.0
    assert any(name.endswith(".pyc") for _, _, names in os.walk(tmp_path) for name in names)


def test_the_record_has_every_case():
    results = json.loads((RECORDS / "speed.json").read_text(encoding="utf-8"))["results"]

    assert {row["architecture"]: tuple(row["shape"]) for row in results["sizes"]} == SIZES
    assert all(set(row["ours"]) == set(ESTIMATORS) for row in results["sizes"])
    for what, cases in growth_cases().items():
        measured = [(tuple(row["shape"]), row["steps"]) for row in results["growth"][what]]
        assert measured == [(case.shape, case.steps) for case in cases]
    assert results["start"]["imported"] == []
