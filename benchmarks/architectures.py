"""Every architecture in the host, built small: is the budget exact, the full run untouched?"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.instruments.counting import counted
from benchmarks.instruments.record import read_results, write_record
from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.models.tiny import Architecture, Parts
from scripts.host.inprocess import Host, start_host

STEPS, BUDGET, CFG = 12, 5, 2.0
ABSENT = "absent"
ONE_NODE_CALLS, SHORT = 8, 8
"""Calls that the node OTCache is asked for, and the steps of a run that it must leave alone."""
CHECKS = (
    "budget_exact", "finite", "bit_identical", "sizes_apart", "freed", "one_node_exact",
    "one_node_short_untouched",
)  # fmt: skip


def _sample(
    host: Host, parts: Parts, model: Any, latent: Any, steps: int = STEPS
) -> tuple[torch.Tensor, ...]:
    """What is sampled, of picture and sound where the model makes both."""
    (result,) = host.run(
        "KSampler", model=model, seed=1, steps=steps, cfg=CFG, sampler_name="euler",
        scheduler="simple", positive=parts.positive, negative=parts.negative, latent_image=latent,
        denoise=1.0,
    ).outputs  # fmt: skip
    samples = result["samples"]
    return tuple(samples.unbind()) if getattr(samples, "is_nested", False) else (samples,)


def _same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(map(torch.equal, one, other))


def even_schedule(host: Host, steps: int, budget: int, estimator: str = "slope") -> Any:
    """A schedule with even gaps."""
    nodes = (round(i * (steps - 1) / (budget - 1)) for i in range(budget))
    return host.core("documents.schedule").Schedule(steps, tuple(nodes), estimator)


def _caches_alive(host: Host) -> int:
    cache = host.core("run_time.velocity").VelocityCache
    gc.collect()
    return sum(type(thing) is cache for thing in gc.get_objects())


def _one_node(host: Host, parts: Parts, latent: Any) -> dict[str, bool]:
    """What holds of the node OTCache: its calls, and runs too short for it."""
    with counted(parts.model) as (watched, calls):
        (cached,) = host.run(
            "OTCacheAuto", model=watched, calls=ONE_NODE_CALLS, grid="fine"
        ).outputs
        sampled, made = _sample(host, parts, cached, latent), calls.predictions
    plain, short = (_sample(host, parts, model, latent, SHORT) for model in (parts.model, cached))
    exact = made == ONE_NODE_CALLS and all(bool(p.isfinite().all()) for p in sampled)
    return {"one_node_exact": exact, "one_node_short_untouched": _same(short, plain)}


def examine(host: Host, architecture: Architecture) -> dict[str, Any]:
    """Samples one architecture with and without a schedule.

    Returns:
        The row of the table: what was built, what was counted, and a truth for each of ``CHECKS``.
    """
    row: dict[str, Any] = {"architecture": architecture.name, "family": architecture.family}
    if not architecture.exists:
        return row | {"state": ABSENT}
    parts = architecture.build()
    small, large = map(architecture.empty, (architecture.latent, architecture.larger))

    def apply(model: Any, steps: Any) -> Any:
        return host.run("OTCacheApply", model=model, schedule=steps).outputs[0]

    with counted(parts.model) as (watched, calls):
        cached = apply(watched, even_schedule(host, STEPS, BUDGET))
        first = _sample(host, parts, cached, small)
        predictions, forwards = calls.predictions, calls.forwards
        between = _caches_alive(host)
        larger = _sample(host, parts, cached, large)
        again = _sample(host, parts, cached, small)
    plain = _sample(host, parts, parts.model, small)
    full = _sample(host, parts, apply(parts.model, even_schedule(host, STEPS, STEPS)), small)
    return row | {
        "state": "tested",
        "class": type(parts.model.model).__name__,
        "latent": list(architecture.latent),
        "steps": STEPS,
        "budget": BUDGET,
        "predictions": predictions,
        "forwards": forwards,
        "budget_exact": calls.predictions == 3 * BUDGET == 3 * predictions,
        "finite": all(bool(part.isfinite().all()) for part in (*first, *larger)),
        "bit_identical": _same(full, plain) and not _same(first, plain),
        "sizes_apart": _same(first, again) and larger[0].shape != first[0].shape,
        **_one_node(host, parts, small),
        "freed": between == _caches_alive(host) == 0,
    }


def main(arguments: Sequence[str]) -> None:
    """Examines all, prints the table and writes the record, beside what other hosts have there."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder))
        rows = [examine(host, architecture) for architecture in ARCHITECTURES]
        from comfyui_version import __version__ as version
    for row in rows:
        good = row["state"] == ABSENT or all(row[check] for check in CHECKS)
        print(f"{row['architecture']:24} {row['state']:8} {'' if good else row}")
    others = (read_results("architectures") or {}).get("hosts", {})
    results = {"hosts": {**others, version: rows}}
    print("record:", write_record("architectures", "nox -s bench -- architectures", results).name)
