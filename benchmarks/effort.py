"""What more effort of a calibration buys: each size's anchor on held-out prompts.

    nox -s bench -- effort [--model NAME ...] [--size NAME ...] [--work FOLDER]

Calibrate OT Anchor calibrates each model at each size, and the schedules that its anchor predicts
are compared with full runs on prompts and seeds that no calibration saw. With ``--work``, a run
that was cut short goes on where it stopped; models or sizes that are left out keep their rows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import Row, interval, ratio_interval
from benchmarks.instruments.record import read_results, write_record
from benchmarks.models import grounds
from benchmarks.models.sampled import SampledModel
from benchmarks.runs.anchors import calibrated
from scripts.host.inprocess import Host, start_host

MODELS = ("demo-hard", "latent-hard", "latent")
BUDGETS = (8, 10, 12, 15, 20)
PROMPTS = 32
FIRST_SEED = 1000
SIZES: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    "quick": (3, {"size": "quick"}),
    "small": (6, {"size": "small"}),
    "standard": (10, {"size": "standard"}),
    "custom": (48, {"size": "custom", "trials": 60, "patience": 15}),
}
"""Prompts of each size, and what the node is given; the least effort first."""


def effort(host: Host, name: str, size: str, work: Path) -> tuple[Any, float]:
    """A size's anchor of a model, and the seconds that it took in this sitting."""
    prompts, inputs = SIZES[size]
    ground = grounds.build(host, name)
    seen = SampledModel(host, ground, ground.prompts("calibration")[:prompts])
    start = time.perf_counter()
    anchor = calibrated(name, seen, work / size, {**inputs, "reference_budget": 20})
    return anchor, time.perf_counter() - start


def measure(host: Host, name: str, size: str, work: Path) -> dict[str, Any]:
    """One size on one model: what it spent, and its losses by budget and held-out prompt."""
    work.mkdir(parents=True, exist_ok=True)
    anchor, seconds = effort(host, name, size, work)
    host.core("documents.anchor").save_anchor(anchor, work / f"{size}.otanchor.json")
    ground = grounds.build(host, name)
    held_out = SampledModel(host, ground, ground.prompts("held_out")[:PROMPTS], seed=FIRST_SEED)
    held_out.keep_references(work / "held_out.pt")
    predict, learned = host.core("transport").predict_schedule, anchor.learned_in_runs
    return {
        "model_calls": anchor.calibration.model_calls,
        "seconds": round(seconds, 1),
        "learned_from": None if learned is None else learned.from_budget,
        "losses": {
            str(budget): held_out.losses(predict(anchor, budget).schedule).tolist()
            for budget in BUDGETS
        },
    }


def rows_of(name: str, lines: Mapping[str, dict[str, Any]]) -> list[Row]:
    """A model's rows of the record: means with intervals, and ratios to the size before."""
    import numpy as np

    rows: list[Row] = []
    before: dict[str, Any] | None = None
    for size in SIZES:
        if (line := lines.get(f"{name} {size}")) is None:
            continue
        row: Row = {"model": name, "size": size, "prompts": SIZES[size][0]}
        row |= {key: line[key] for key in ("model_calls", "seconds", "learned_from")}
        for budget, losses in line["losses"].items():
            values = np.array(losses)
            shown = [float(values.mean()), *interval(values)]
            row[f"lpips_{budget}"] = [round(value, 6) for value in shown]
            if before is not None:
                ratio = ratio_interval(values, np.array(before["losses"][budget]))
                row[f"over_size_before_{budget}"] = [round(part, 3) for part in ratio]
        rows.append(row)
        before = line
    return rows


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks effort", description=__doc__)
    parser.add_argument("--model", nargs="+", default=list(MODELS))
    parser.add_argument("--size", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--work", type=Path, help="folder to keep what was done in")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work = (options.work or Path(folder) / "work").resolve()
        work.mkdir(parents=True, exist_ok=True)
        host, kept = start_host(Path(folder) / "comfyui"), Kept(work / "lines.json")
        for name in grounds.choose(options.model)[0]:
            for size in options.size:
                key = f"{name} {size}"
                if key not in kept.lines:
                    kept.put(key, measure(host, name, size, work / name))
                print(key, {b: round(sum(v) / len(v), 5) for b, v in
                            kept.lines[key]["losses"].items()}, flush=True)  # fmt: skip
    results = read_results("effort") or {"held_out_prompts": PROMPTS, "rows": []}
    now = [row for name in options.model for row in rows_of(name, kept.lines)]
    done = {(row["model"], row["size"]) for row in now}
    old = [row for row in results["rows"] if (row["model"], row["size"]) not in done]
    results["rows"] = [*old, *now]
    print("record:", write_record("effort", "nox -s bench -- effort", results).name)
