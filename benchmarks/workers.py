"""Trials per second of a calibration with one worker and with two, on one study.

    nox -s bench -- workers

Real ComfyUI processes calibrate the bundled model on a journal that they share. Rates are taken
from the study itself: finished candidates over the time from the first one's start to the last
one's end. On a machine with two cores each worker has one.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna

from benchmarks.instruments.record import write_record
from otcache_core.calibration.kept_fits import GainFits
from otcache_core.search.storage import open_storage
from otcache_core.search.trials import ended_trials
from scripts.host.find import REPOSITORY
from scripts.host.server import ComfyServer
from scripts.workflows.to_prompt import find_node, set_input, to_api

WORKFLOW = REPOSITORY / "example_workflows" / "OTCache calibration.json"
PROMPTS, TRIALS = 6, 40
TIMEOUT = 3600.0


def _prompt(server: ComfyServer, seed: int) -> dict[str, Any]:
    prompt = to_api(json.loads(WORKFLOW.read_text(encoding="utf-8")), server.object_info())
    node = find_node(prompt, class_type="OTCacheCalibrateAnchor")
    changes = {"size": "custom", "trials": TRIALS, "patience": TRIALS, "seed": seed}
    for key, value in changes.items():
        set_input(prompt, node, key, value)
    set_input(prompt, find_node(prompt, class_type="OTCacheCalibrationPrompts"), "limit", PROMPTS)
    return prompt


def measure(workers: int, folder: Path, seed: int) -> dict[str, Any]:
    """One study with some workers: candidates, seconds, rate, and what each worker did."""
    place = f"journal:{folder / 'study.log'}"
    shared = {"OTCACHE_STORAGE": place, "OTCACHE_CALIBRATIONS": str(folder / "runs")}
    shared |= {"OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ComfyServer(folder / f"worker_{i}", environment=shared))
            for i in range(workers)
        ]
        queued = [(server, server.queue(_prompt(server, seed))) for server in servers]
        for server, prompt_id in queued:
            server.wait(prompt_id, TIMEOUT)
    storage = open_storage(place)
    name = next(n for n in optuna.get_all_study_names(storage) if " anchor " in n)
    trials = ended_trials(optuna.load_study(study_name=name, storage=storage))
    trials = [t for t in trials if t.value is not None and "duplicate" not in t.user_attrs]
    fits = GainFits(storage, name.partition(" anchor ")[0] + " fits")
    best = min(trials, key=lambda t: t.value or 0.0).intermediate_values.values()  # roots
    start = min(t.datetime_start for t in trials if t.datetime_start)
    end = max(t.datetime_complete for t in trials if t.datetime_complete)
    seconds = (end - start).total_seconds()
    by_worker: dict[str, int] = {}
    for trial in trials:
        worker = trial.user_attrs["candidate"]["worker"]
        by_worker[worker] = by_worker.get(worker, 0) + 1
    return {
        "workers": workers,
        "trials": len(trials),
        "seconds": round(seconds, 1),
        "trials_per_second": round(len(trials) / seconds, 4),
        "model_calls": fits.model_calls + sum(t.user_attrs.get("model_calls", 0) for t in trials),
        "trials_by_worker": sorted(by_worker.values(), reverse=True),
        "best": round(sum(root**2 for root in best) / len(best), 5),
    }


def main(arguments: list[str]) -> None:
    """Command line."""
    results = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(workers, Path(folder), seed=7))
        print(results[-1], flush=True)
    ratio = results[1]["trials_per_second"] / results[0]["trials_per_second"]
    record = {"runs": results, "two_workers_against_one": round(ratio, 3)}
    print(f"wrote {write_record('workers', 'nox -s bench -- workers', record)}")
