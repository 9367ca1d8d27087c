"""Fidelity to the full run at equal model calls, against what people would pick instead.

    nox -s bench -- fidelity [--work FOLDER] [--workers N] [--only NAME ...] [--peer NAME=FOLDER]

Everything samples the bundled model through the host's own stack, on held-out prompts with seeds
that no calibration saw, and is compared with the 50-step Euler run of the same prompt and seed.
With ``--work``, a run that was cut short goes on where it stopped. Processes share the budgets: a
model this small leaves a second core idle.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import calibration
from benchmarks.contestants.contestant import Configured, sample
from benchmarks.contestants.forecasters import FORECASTERS
from benchmarks.contestants.grids import GRIDS
from benchmarks.contestants.host_caches import HOST_CACHES
from benchmarks.contestants.lemica import lemica
from benchmarks.contestants.own import CONTESTANTS
from benchmarks.contestants.peers import peer_contestants
from benchmarks.instruments.numbers import Row, row_of, worse
from benchmarks.instruments.record import RECORDS, write_record
from benchmarks.models.bundled import BundledModel, prompts
from benchmarks.pages.fidelity_plot import draw_pareto
from scripts.host.find import REPOSITORY
from scripts.host.inprocess import Host, start_host

BUDGETS = (20, 15, 12, 10, 8)
HELD_OUT_PROMPTS, SEEDS = 32, 2
FIRST_SEED = 1000
CALIBRATION_PROMPTS = 16
LEMICA = {"LeMiCa's path (our re-implementation)": lemica}
COMMAND = "nox -s bench -- fidelity"
LINES = "fidelity.json"

logger = logging.getLogger("otcache")


class FidelityBench:
    """The bundled model on held-out prompts, and all that contestants are made from.

    Args:
        host: A ComfyUI in this process.
        work: Folder that keeps what was prepared and measured.
        shared: Folder for what workers share; ``work`` by default.

    Attributes:
        calibration: Graphs and searches on calibration prompts.
        bundled: The model on these prompts.
        held_out: The model on the prompts that count, each with ``SEEDS`` seeds.
        anchor: The shipped anchor.
    """

    def __init__(self, host: Host, work: Path, shared: Path | None = None) -> None:
        self.host, self.work, self.shared = host, work, shared or work
        work.mkdir(parents=True, exist_ok=True)
        self.calibration = calibration.Bench(host, CALIBRATION_PROMPTS, work / "calibration")
        self.bundled = self.calibration.model
        self.trajectories = self.bundled.full_runs()
        self.model, self.sigmas = self.bundled.model, self.bundled.sigmas()
        texts = prompts("held_out")[:HELD_OUT_PROMPTS] * SEEDS
        self.held_out = BundledModel(host, texts, seed=FIRST_SEED)
        self.held_out.full_runs()
        path = REPOSITORY / "presets" / "otcache-demo.otanchor.json"
        self.anchor = host.core("documents.anchor").load_anchor(path)

    def predicted(self, calls: int, **options: Any) -> Any:
        """The schedule that the shipped anchor predicts."""
        return self.host.core("transport").predict_schedule(self.anchor, calls, **options).schedule

    def our_steps(self, calls: int) -> tuple[int, ...]:
        """The computed steps that the shipped anchor predicts."""
        steps: tuple[int, ...] = self.predicted(calls).computed_steps
        return steps


def measure(bench: FidelityBench, how: Configured) -> dict[str, Any]:
    """What one contestant reaches, picture by picture."""
    perceptual, model = bench.host.core("measures.perceptual"), bench.held_out
    every = list(range(len(model.texts)))
    start = time.perf_counter()
    latents, calls = sample(model, how, every)
    seconds = time.perf_counter() - start
    pictures, references = model.decode(latents), torch.cat(model.references)
    return {
        "calls": calls,
        "seconds": seconds / len(every),
        "lpips": model.lpips(pictures, references).tolist(),
        "psnr": perceptual.psnr(pictures, references).clamp(max=99.0).tolist(),
        "ssim": perceptual.ssim(pictures, references).tolist(),
        "note": how.note,
    }


class Kept:
    """Measurements by contestant and budget, on disk as soon as they are made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: dict[str, Any] = (
            json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        )

    def put(self, key: str, line: Any) -> None:
        """Keeps one measurement."""
        self.lines[key] = line
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self.lines), encoding="utf-8")
        partial.replace(self._path)


def measure_missing(
    bench: FidelityBench, contestants: dict[str, Any], kept: Kept, budgets: tuple[int, ...]
) -> None:
    """Measures what is not kept yet."""
    for budget in budgets:
        for name, contestant in contestants.items():
            key = f"{name} @ {budget}"
            if key not in kept.lines:
                start = time.perf_counter()
                how = contestant(bench, budget)
                line = None if how is None else measure(bench, how)
                kept.put(key, line)
                mean = "left out" if line is None else f"{np.mean(line['lpips']):.5f}"
                logger.warning("%6.1f s  %-70s %s", time.perf_counter() - start, key, mean)


def rows_of(contestants: Iterable[str], kept: Kept, budgets: tuple[int, ...]) -> list[Row]:
    """A row for each contestant and budget that was measured."""
    measured = [
        (name, budget, kept.lines[f"{name} @ {budget}"])
        for budget in budgets
        for name in contestants
    ]
    return [
        row_of(name, budget, line, kept.lines, SEEDS)
        for name, budget, line in measured
        if line is not None
    ]


def share_out(budgets: Iterable[int], workers: int) -> list[list[int]]:
    """Budgets for each worker: of all ways to share, one with the fewest model calls at most."""
    listed = sorted(budgets, reverse=True)
    ways = product(range(min(workers, len(listed))), repeat=len(listed))
    shared = (
        [[b for b, whose in zip(listed, way, strict=True) if whose == w] for w in sorted({*way})]
        for way in ways
    )
    return min(shared, key=lambda shares: (max(map(sum, shares)), -len(shares)))


def measure_in_workers(work: Path, options: argparse.Namespace, budgets: tuple[int, ...]) -> None:
    """Measures in processes, each in a folder of its own, and puts their lines together."""
    shares = share_out(budgets, options.workers)
    folders = [work / f"worker-{'-'.join(map(str, share))}" for share in shares]
    given = [word for peer in options.peer for word in ("--peer", peer)]
    given += ["--only", *options.only] if options.only else []
    threads = max((os.cpu_count() or 1) // len(shares), 1)
    workers = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks", "fidelity", "--workers", "1"),
                *("--work", str(folder), "--shared", str(work), *given),
                *("--budgets", *map(str, share)),
            ],
            cwd=REPOSITORY,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
        for share, folder in zip(shares, folders, strict=True)
    ]
    failed = [worker.args for worker in workers if worker.wait() != 0]
    if failed:
        raise SystemExit(f"every worker must succeed but this one failed: {failed[0]}")
    kept = Kept(work / LINES)
    for folder in folders:
        for key, line in Kept(folder / LINES).lines.items():
            kept.put(key, line)


def _contestants(only: list[str] | None, places: list[str]) -> dict[str, Any]:
    peers = dict(place.split("=", 1) for place in places)
    everyone = CONTESTANTS | LEMICA | FORECASTERS | GRIDS | HOST_CACHES
    everyone |= peer_contestants({name: Path(folder) for name, folder in peers.items()})
    if not only:
        return everyone
    return {
        name: make
        for name, make in everyone.items()
        if any(o.lower() in name.lower() for o in only)
    }


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
        contestants = _contestants(options.only, options.peer)
        budgets = tuple(options.budgets or BUDGETS)
        if options.workers > 1 and len(budgets) > 1:
            measure_in_workers(work, options, budgets)
        else:
            bench = FidelityBench(start_host(Path(folder) / "comfyui"), work, options.shared)
            measure_missing(bench, contestants, Kept(work / LINES), budgets)
        rows = rows_of(contestants, Kept(work / LINES), budgets)
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
