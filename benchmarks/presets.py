"""Presets on models that they are not for: how far they are from the full run, beside fewer steps.

The bundled model is none of those that the published presets are for; their rows say how well
schedules travel to a stranger. Half of the generic flow preset's steps come from the bundled model,
so there it is judged once more without them: LPIPS to the full run, on held-out prompts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.instruments.record import write_record
from benchmarks.models import grounds
from benchmarks.models.sampled import STEPS, SampledModel
from benchmarks.runs.rows import THREADS, Row, demo_on, rms
from otcache_core.transport import predict_schedule
from scripts.host.inprocess import Host, start_host
from scripts.presets.make import FLOW, generic_anchor

BUDGETS = (10, 13, 17, 20)
PROMPTS = 12
NAMES = ("otcache-demo", FLOW, "z-image", "qwen-image", "qwen-image-2512")

LEFT_OUT_MODELS = ("demo", "demo-hard")
"""The grounds of the model that the flow preset has half of its steps from."""
LEFT_OUT_BUDGETS = (8, 10, 12, 15, 20)
LEFT_OUT_PROMPTS, FIRST_SEED = 32, 1000


def _rows(host: Host) -> Iterator[Row]:
    bundled = demo_on(host, PROMPTS)
    all_of_them = list(range(PROMPTS))
    full = bundled.sample(all_of_them)
    fewer = [rms(bundled.sample(all_of_them, steps=budget), full) for budget in BUDGETS]
    yield {"preset": "plain fewer steps", "errors": fewer}
    apply_schedule = host.module("nodes.sampling.host").apply_schedule
    predict = host.core("transport").predict_schedule
    for name in NAMES:
        anchor = host.module("nodes.library.files").open_anchor(f"preset: {name}")
        errors = []
        for budget in BUDGETS:
            if budget < anchor.anchor.budget:
                errors.append(None)
                continue
            schedule = predict(anchor, budget, steps=STEPS).schedule
            cached = apply_schedule(bundled.model, schedule, quiet=True)
            errors.append(rms(bundled.sample(all_of_them, cached), full))
        yield {"preset": name, "errors": errors}


def _left_out(host: Host, name: str) -> Row:
    """A model with the flow preset, with what the preset is without it, and with fewer steps."""
    ground = grounds.build(host, name)
    sampled = SampledModel(host, ground, ground.prompts("held_out")[:LEFT_OUT_PROMPTS], FIRST_SEED)
    sampled.full_runs()
    read = host.core("documents.schedule").Schedule.from_json

    def lpips(*, small_model: bool) -> list[float]:
        anchor = generic_anchor(small_model=small_model)
        schedules = (predict_schedule(anchor, budget).schedule for budget in LEFT_OUT_BUDGETS)
        losses = (sampled.losses(read(schedule.to_json())) for schedule in schedules)
        return [round(float(each.mean()), 6) for each in losses]

    plain = (sampled.distances(None, steps=budget) for budget in LEFT_OUT_BUDGETS)
    return {
        "model": name,
        "fewer": [round(float(losses.mean()), 6) for losses in plain],
        "preset": lpips(small_model=True),
        "left_out": lpips(small_model=False),
    }


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    torch.set_num_threads(THREADS)
    results: dict[str, Any] = {"budgets": list(BUDGETS), "prompts": PROMPTS, "rows": []}
    results["left_out"] = {"budgets": list(LEFT_OUT_BUDGETS), "prompts": LEFT_OUT_PROMPTS}
    results["left_out"]["rows"] = []
    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder))
        for row in _rows(host):
            results["rows"].append(row)
            print(row, flush=True)
        for name in LEFT_OUT_MODELS:
            results["left_out"]["rows"].append(_left_out(host, name))
            print(results["left_out"]["rows"][-1], flush=True)
    print("record:", write_record("presets", "nox -s bench -- presets", results).name)
