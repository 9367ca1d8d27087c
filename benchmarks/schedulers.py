"""The node OTCache at other scales of guidance, and behind a scheduler of another pace.

    nox -s bench -- schedulers [--model NAME ...] [--scheduler own|beta] [--work FOLDER]

Everything else here is measured at each model's own scheduler, at an easy and a hard scale of
guidance. Here every model is sampled at a scale between the two, and with `beta`, whose levels are
dense at both ends, at three scales. The node knows nothing of the model, is beside as many plain
steps at few calls, and, at its default, beside all steps of the sampler that it stands behind.
Pictures are compared with those of 200 Euler steps of the same scheduler.

Means of 24 pictures swing where a few of them tip over, so wherever the default has more than
``CLOSE`` of the distance of all steps on 24, both are measured on 64 as well: the same prompts and
others, with more noises. How calls are placed was chosen on the first twelve of the pictures in ten
of the twelve settings behind `beta`, and the default's share on the very pictures of this record.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

from benchmarks.auto import (
    CONVERGED,
    FIRST_SEED,
    PROMPTS,
    SOLVERS,
    Way,
    measure_ways,
    rows_of,
    with_node,
)
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.record import read_results, write_record
from benchmarks.models import grounds
from benchmarks.models.ground_model import GroundModel
from benchmarks.models.sampled import SampledModel
from scripts.host.inprocess import Host, start_host

SCALES = {
    "demo": (2.5, 5.0, 11.0), "latent": (3.0, 6.0, 11.0),
    "unet": (3.0, 8.0, 25.0), "video": (3.0, 6.0, 13.0),
}  # fmt: skip
"""Of guidance: each model's own, one between, and where fewer steps show plainly."""
OWN, OTHER_PACE = "own", "beta"
CALLS = (8, 11)
BEHIND = (16, 20, 30, 40)
"""Steps of samplers that the default is tried behind."""
CLOSE = 0.8
"""Share of the distance of all steps from which on a place is looked at on more pictures."""
MORE_PICTURES = 64


def _settings(names: Sequence[str], asked: str) -> Iterator[tuple[str, float, str]]:
    """Model, guidance and scheduler of what is measured, of one scheduler if one is asked for."""
    for name in names or SCALES:
        every = [(SCALES[name][1], OWN), *((cfg, OTHER_PACE) for cfg in SCALES[name])]
        yield from ((name, cfg, which) for cfg, which in every if asked in ("", which))


def _ways(host: Host, ground: Any) -> Iterator[Way]:
    node = partial(with_node, host, ground.model)
    for steps in CALLS:
        yield Way(f"plain euler, {steps} steps", lambda: ground.model, steps)
        yield Way(f"OTCache, {steps} calls", partial(node, steps))
    for place in product(SOLVERS, BEHIND):
        yield from _at(host, ground, *place)


def _at(host: Host, ground: Any, sampler: str, steps: int) -> Iterator[Way]:
    """All steps of a sampler, and the node's default behind it."""
    plain, default = names_at(sampler, steps)
    yield Way(plain, lambda: ground.model, steps, sampler)
    yield Way(default, partial(with_node, host, ground.model, 0), steps, sampler)


def names_at(sampler: str, steps: int) -> tuple[str, str]:
    """What the record calls all steps of a sampler, and the node's default behind it."""
    return f"plain {sampler}, {steps} steps", f"OTCache, its default for {steps} {sampler} steps"


def close_places(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Samplers and steps behind which the default has more than ``CLOSE`` of their distance."""
    lpips = {row["way"]: row["lpips"] for row in rows}
    names = {place: names_at(*place) for place in product(SOLVERS, BEHIND)}
    return [at for at, (plain, ours) in names.items() if lpips[ours] > CLOSE * lpips[plain]]


def measure(host: Host, ground: GroundModel, folder: Path) -> dict[str, Any]:
    """Every way in one setting: what is not kept yet is measured.

    Returns:
        Rows by the name that the record has for them: ``ways``, and those of ``MORE_PICTURES``.
    """
    prompts = ground.prompts("held_out")
    kept = Kept(folder / "schedulers.json")
    sampled = SampledModel(host, ground, prompts[:PROMPTS], seed=FIRST_SEED)
    sampled.keep_references(folder / "converged.pt", steps=CONVERGED)
    measure_ways(sampled, _ways(host, ground), kept)
    found = {"ways": rows_of(kept.lines), "on_more_pictures": []}
    if places := close_places(found["ways"]):
        more = Kept(folder / "more.json")
        texts = list(islice(cycle(prompts), MORE_PICTURES))
        sampled = SampledModel(host, ground, texts, seed=FIRST_SEED)
        sampled.keep_references(folder / "converged-more.pt", steps=CONVERGED)
        for place in places:
            measure_ways(sampled, _at(host, ground, *place), more)
        found["on_more_pictures"] = rows_of(more.lines)
    return found


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", default=[], choices=SCALES, metavar="NAME")
    parser.add_argument("--scheduler", default="", choices=(OWN, OTHER_PACE))
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args(arguments)
    work = options.work or Path(tempfile.mkdtemp())
    host = start_host(Path(tempfile.mkdtemp()))
    results = read_results("schedulers") or {"settings": []}
    results |= {"converged": CONVERGED, "prompts": PROMPTS, "more_pictures": MORE_PICTURES}
    for name, cfg, scheduler in _settings(options.model, options.scheduler):
        ground = replace(grounds.build(host, name), cfg=cfg)
        if scheduler != OWN:
            ground = replace(ground, scheduler=scheduler)
        folder = work / f"{name}-{cfg:g}-{ground.scheduler}"
        folder.mkdir(parents=True, exist_ok=True)
        setting: dict[str, Any] = {"model": name, "cfg": cfg, "scheduler": ground.scheduler}
        setting |= measure(host, ground, folder)
        others = [s for s in results["settings"] if _key(s) != _key(setting)]
        results["settings"] = sorted([*others, setting], key=_key)
        for row in (*setting["ways"], *setting["on_more_pictures"]):
            print(f"{name} {cfg:g} {row['way']:44} {row['lpips']:.4f}", flush=True)
        write_record("schedulers", "nox -s bench -- schedulers", results)


def _key(setting: Mapping[str, Any]) -> tuple[bool, str, float]:
    """Sorts settings, and tells them apart: the models' own schedulers come first."""
    return setting["scheduler"] == OTHER_PACE, setting["model"], setting["cfg"]
