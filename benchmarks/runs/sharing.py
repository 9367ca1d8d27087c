"""Shares a benchmark's budgets out among processes.

A model this small leaves a second core idle.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from benchmarks.instruments.kept import Kept
from scripts.host.find import REPOSITORY

LINES = "fidelity.json"
"""Where a worker keeps its measurements."""


def share_out(budgets: Iterable[int], workers: int) -> list[list[int]]:
    """Budgets for each worker: of all ways to share, one with the fewest model calls at most."""
    listed = sorted(budgets, reverse=True)
    ways = product(range(min(workers, len(listed))), repeat=len(listed))
    shared = (
        [[b for b, whose in zip(listed, way, strict=True) if whose == w] for w in sorted({*way})]
        for way in ways
    )
    return min(shared, key=lambda shares: (max(map(sum, shares)), -len(shares)))


def measure_in_workers(
    work: Path, workers: int, budgets: Iterable[int], given: Sequence[str]
) -> None:
    """Measures in processes, each in a folder of its own, and puts their lines together.

    Args:
        work: Folder of all of them.
        workers: Processes at most.
        budgets: Model calls to measure at.
        given: Further options of each process.
    """
    shares = share_out(budgets, workers)
    folders = [work / f"worker-{'-'.join(map(str, share))}" for share in shares]
    threads = max((os.cpu_count() or 1) // len(shares), 1)
    running = [
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
    failed = [worker.args for worker in running if worker.wait() != 0]
    if failed:
        raise SystemExit(f"every worker must succeed but this one failed: {failed[0]}")
    kept = Kept(work / LINES)
    for folder in folders:
        for key, line in Kept(folder / LINES).lines.items():
            kept.put(key, line)
