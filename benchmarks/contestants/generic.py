"""The pack without a calibration: the preset for the kind of model that this one is."""

from __future__ import annotations

from benchmarks.contestants.contestant import Bench, Configured, Contestant, refuse
from benchmarks.contestants.schedules import by_schedule
from benchmarks.models.sampled import STEPS

GENERIC = "OTCache, generic preset: no calibration"
PRESETS = {"flow matching": "flow-matching (generic)", "noise prediction": "sdxl-like (generic)"}
"""By the kind of model, as the host's sampling tells it."""


def generic(bench: Bench, calls: int) -> Configured | None:
    """What a preset predicts for a model that it was not made for."""
    kinds = bench.host.module("nodes.sampling.origin").kinds_of(bench.model)
    preset = next((PRESETS[kind] for kind in kinds if kind in PRESETS), None)
    if preset is None:
        refuse(GENERIC, calls, f"no preset is for {kinds[0]}.")
        return None
    anchor = bench.host.module("nodes.library.files").open_anchor(f"preset: {preset}")
    if calls < anchor.anchor.budget:
        refuse(GENERIC, calls, f"{preset} begins at {anchor.anchor.budget} calls.")
        return None
    predict = bench.host.core("transport").predict_schedule
    return by_schedule(bench, predict(anchor, calls, steps=STEPS).schedule)


CONTESTANTS: dict[str, Contestant] = {GENERIC: generic}
