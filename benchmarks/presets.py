"""Every preset on the bundled model: how far it is from the full run, beside plain fewer steps.

The bundled model is none of those that the published presets are for; this says how well schedules
travel to a stranger, and that the generic one is the safer guess.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.bundled import STEPS, BundledModel, prompts
from benchmarks.records import write_record
from scripts.inprocess import start_host

BUDGETS = (10, 13, 17, 20)
PROMPTS = 2
NAMES = ("otcache-demo", "flow-matching (generic)", "z-image", "qwen-image", "qwen-image-2512")


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder))
        bundled = BundledModel(host, prompts("held_out")[:PROMPTS])
        all_of_them = list(range(PROMPTS))
        full = bundled.sample(all_of_them)

        def error(samples: torch.Tensor) -> float:
            return round(float((samples - full).square().mean().sqrt()), 4)

        fewer = {b: error(bundled.sample(all_of_them, steps=b)) for b in BUDGETS}
        rows = [{"preset": "plain fewer steps", "errors": list(fewer.values())}]
        apply_schedule = host.module("nodes.host").apply_schedule
        predict = host.core("transport").predict_schedule
        for name in NAMES:
            anchor = host.module("nodes.library").open_anchor(f"preset: {name}")
            errors = []
            for budget in BUDGETS:
                if budget < anchor.anchor.budget:
                    errors.append(None)
                    continue
                schedule = predict(anchor, budget, steps=STEPS).schedule
                cached = apply_schedule(bundled.model, schedule, quiet=True)
                errors.append(error(bundled.sample(all_of_them, cached)))
            rows.append({"preset": name, "errors": errors})
            print(rows[-1], flush=True)
    results = {"budgets": list(BUDGETS), "prompts": PROMPTS, "rows": rows}
    print("record:", write_record("presets", "nox -s bench -- presets", results).name)
