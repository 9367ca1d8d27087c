"""Fidelity to the full run at equal model calls, against what people would pick instead.

    nox -s bench -- fidelity [--work FOLDER] [--workers N] [--only NAME ...] [--peer NAME=FOLDER]

Everything samples the bundled model through the host's own stack, on held-out prompts with seeds
that no calibration saw, and is compared with the 50-step Euler run of the same prompt and seed.
With ``--work``, a run that was cut short goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from benchmarks.contestants.everyone import chosen
from benchmarks.contestants.measuring import measure_missing, rows_of
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import worse
from benchmarks.instruments.record import RECORDS, write_record
from benchmarks.pages.fidelity_plot import draw_pareto
from benchmarks.runs.fidelity_bench import SEEDS, FidelityBench
from benchmarks.runs.sharing import LINES, measure_in_workers
from scripts.host.inprocess import start_host

BUDGETS = (20, 15, 12, 10, 8)
COMMAND = "nox -s bench -- fidelity"


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fidelity")
    parser.add_argument("--work", type=Path, help="folder to keep what was done in")
    parser.add_argument("--shared", type=Path, help="folder that several such runs may share")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--only", nargs="+", help="parts of contestants' names; writes no record")
    parser.add_argument("--budgets", nargs="+", type=int, help="model calls; writes no record")
    parser.add_argument("--peer", action="append", default=[], help="NAME=FOLDER of another pack")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder) / "work"
        contestants = chosen(options.only, options.peer)
        budgets = tuple(options.budgets or BUDGETS)
        if options.workers > 1 and len(budgets) > 1:
            given = [word for peer in options.peer for word in ("--peer", peer)]
            given += ["--only", *options.only] if options.only else []
            measure_in_workers(work, options.workers, budgets, given)
        else:
            bench = FidelityBench(start_host(Path(folder) / "comfyui"), work, options.shared)
            measure_missing(bench, contestants, Kept(work / LINES), budgets)
        rows = rows_of(contestants, Kept(work / LINES).lines, budgets, SEEDS)
    for row in rows:
        print(f"{row['budget']:3} {row['calls']:6.1f} {row['lpips']:.5f}  {row['contestant']}")
    if options.only or options.budgets:
        return
    before = RECORDS / "fidelity.json"
    if before.is_file():
        old = json.loads(before.read_text(encoding="utf-8"))["results"]
        print("\n".join(worse(old, rows)) or "nothing is worse than the last record says")
    path = write_record("fidelity", COMMAND, rows)
    draw_pareto(rows, RECORDS / "fidelity.png")
    print(f"wrote {path}")
