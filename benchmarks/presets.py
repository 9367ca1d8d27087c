"""Every preset on the bundled model: how far it is from the full run, beside plain fewer steps.

The bundled model is none of those that the published presets are for; this says how well schedules
travel to a stranger, and that the generic one is the safer guess.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from benchmarks.models.sampled import STEPS
from benchmarks.runs.rows import Row, demo_on, record_rows, rms
from scripts.host.inprocess import Host

BUDGETS = (10, 13, 17, 20)
PROMPTS = 12
NAMES = ("otcache-demo", "flow-matching (generic)", "z-image", "qwen-image", "qwen-image-2512")


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


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    record_rows("presets", _rows, budgets=list(BUDGETS), prompts=PROMPTS)
