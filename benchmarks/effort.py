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
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.instruments.kept import Kept
from benchmarks.instruments.losses import Losses, read_losses, write_losses
from benchmarks.instruments.numbers import Row, interval, rounded_ratio
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

RATIO = "over_size_before_"
"""What a ratio to the size before is called, with the budget after it."""


def loss_key(name: str, size: str, budget: int | str) -> str:
    """Under which a size's losses by prompt are kept beside the record."""
    return f"{name} {size} @ {budget}"


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


def row_of(name: str, size: str, line: Mapping[str, Any]) -> Row:
    """A row of the record: what a size spent, and means with intervals."""
    row: Row = {"model": name, "size": size, "prompts": SIZES[size][0]}
    row |= {key: line[key] for key in ("model_calls", "seconds", "learned_from")}
    for budget, losses in line["losses"].items():
        shown = (float(np.mean(losses)), *interval(np.array(losses)))
        row[f"lpips_{budget}"] = [round(value, 6) for value in shown]
    return row


def merged(before: Sequence[Row], now: Sequence[Row], losses: Losses) -> list[Row]:
    """A record's rows, new ones in the place of old ones, with their ratios to the size before.

    A ratio that is not what it was and cannot be taken anew is left out.

    Args:
        before: The record's.
        now: Those that were measured anew.
        losses: By prompt, of both as far as they are known, the new ones where there are two.
    """
    old, new = ({(row["model"], row["size"]): row for row in rows} for rows in (before, now))
    found = old | new
    for model, size in found:
        sizes = [known for known in SIZES if (model, known) in found]
        smaller = [(model, known) for known in sizes[: sizes.index(size)]]
        if smaller and not {(model, size), smaller[-1]}.isdisjoint(new):
            found[model, size] = _compared(found[model, size], smaller[-1], losses)
    return list(found.values())


def _compared(row: Row, smaller: tuple[str, str], losses: Losses) -> Row:
    """A row with its ratios to the size before it, as far as losses of both are known."""
    row = {key: value for key, value in row.items() if not key.startswith(RATIO)}
    for budget in BUDGETS:
        keys = (loss_key(row["model"], row["size"], budget), loss_key(*smaller, budget))
        if all(key in losses for key in keys):
            row[f"{RATIO}{budget}"] = rounded_ratio(*(losses[key] for key in keys))
    return row


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
    now, losses = [], read_losses("effort")
    for name, size in product(options.model, SIZES):
        if (line := kept.lines.get(f"{name} {size}")) is not None:
            now.append(row_of(name, size, line))
            losses |= {loss_key(name, size, b): values for b, values in line["losses"].items()}
    results = read_results("effort") or {"held_out_prompts": PROMPTS, "rows": []}
    results["rows"] = merged(results["rows"], now, losses)
    write_losses("effort", losses)
    print("record:", write_record("effort", "nox -s bench -- effort", results).name)
