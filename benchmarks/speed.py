"""What the pack costs beside the model: time of each step, memory, start-up, and how they grow.

    nox -s bench -- speed [--repeats 3] [--threads 1]

The host's own sampler samples with a model that costs nothing, so that all that is left is the
host's work and the pack's. Everything is on the CPU and read as ratios to what stands beside it in
the same run: one copy of the latent, the sampler's own Euler step, the host's guided prediction
around a free model, and a step that the host's EasyCache skips. With one thread, seconds are those
that the processor worked, which other programs on the machine do not stretch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.instruments.record import write_record
from benchmarks.runs.imports import measure_start
from benchmarks.runs.predictions import measure_prediction
from benchmarks.runs.timed import Case, SpeedRuns
from scripts.host.inprocess import start_host

SIZES = {
    "FLUX.1 dev": (1, 16, 128, 128),
    "Qwen-Image": (1, 16, 1, 116, 208),
    "HunyuanVideo": (1, 16, 33, 90, 160),
}
"""Latents of 1024x1024, 1664x928, and 129 frames of 1280x720."""

ESTIMATORS = ("reuse", "slope", "meancache")
PREDICTED_BUDGETS = (8, 10, 15)
STEPS, SHARE = 50, 5
"""Steps of a run, and steps per model call."""

Row = dict[str, Any]


def growth_cases() -> dict[str, list[Case]]:
    """Runs of FLUX's architecture in which one thing grows and all else stays."""
    side = SIZES["FLUX.1 dev"]
    return {
        "steps": [Case("FLUX.1 dev", side, steps=s, budget=s // SHARE) for s in (25, 50, 100, 200)],
        "latent": [Case("FLUX.1 dev", (1, 16, s, s)) for s in (32, 64, 128, 256)],
        "batch": [Case("FLUX.1 dev", (b, *side[1:])) for b in (1, 2, 4, 8)],
    }


def measure_case(runs: SpeedRuns, case: Case, estimators: Sequence[str], repeats: int) -> Row:
    """Costs of one case: what is natural, and each estimator beside it."""
    row = case.describe() | runs.natural(case, repeats)
    row["ours"] = {name: runs.cached(case, name, repeats) for name in estimators}
    return row


def show(row: Row) -> None:
    """Prints one case as a few lines."""
    shape = "x".join(map(str, row["shape"]))
    print(f"{row['architecture']} {shape}, {row['steps']} steps, {row['budget']} computed")
    print(
        f"  copy {row['clone_ms']:.3f} ms, Euler step {row['euler_ms']:.3f}, host around a free "
        f"model {row['host_ms']:.3f}, EasyCache skip {row['easycache_skipped_ms']:.3f}"
    )
    for name, ours in row["ours"].items():
        print(
            f"  {name:10} skip {ours['skipped_ms']:.3f} ms, computed +{ours['computed_ms']:.3f}, "
            f"run +{ours['run_ms']:.3f}, held {ours['held_latents']:g} latents, "
            f"peak +{ours['extra_peak_latents']:g} latents"
        )


def measure_all(runs: SpeedRuns, repeats: int, tell: Callable[[Row], None] = show) -> Row:
    """All runs: the sizes of the paper's models, then growth."""
    sizes, growth = [], {}
    for name, shape in SIZES.items():
        sizes.append(measure_case(runs, Case(name, shape), ESTIMATORS, repeats))
        tell(sizes[-1])
    for what, cases in growth_cases().items():
        growth[what] = [measure_case(runs, case, ("slope",), repeats) for case in cases]
        for row in growth[what]:
            tell(row)
    return {"sizes": sizes, "growth": growth}


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    args = parser.parse_args(arguments)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a wall clock says nothing of work given to a GPU
    torch.set_num_threads(args.threads)
    start = measure_start(args.repeats)
    print(
        f"import of the pack: {start['median_ms']:.0f} ms ({start['processor_ms']:.0f} of work), "
        f"{start['first_ms']:.0f} the first time; "
        f"with it: {start['imported'] or 'none of what can wait'}"
    )
    predictions = [
        measure_prediction(b, 100, cold=cold) for cold in (True, False) for b in PREDICTED_BUDGETS
    ]
    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder), ("nodes_easycache",), lpips=False)
        clock = time.thread_time if args.threads == 1 else time.perf_counter
        results = measure_all(SpeedRuns(host, clock), args.repeats)
        from comfyui_version import __version__ as version
    results |= {"comfyui": version, "threads": args.threads, "start": start}
    results |= {"prediction": predictions}
    print("record:", write_record("speed", "nox -s bench -- speed", results).name)
