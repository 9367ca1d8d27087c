"""The node OTCache beside plain steps and EasyCache: how close each is to the converged picture.

    nox -s bench -- auto [--model NAME ...] [--ways TEXT] [--work FOLDER] [--calibrate]

A user's run has 20 steps. Each way samples held-out prompts of every model, and its pictures are
compared with those of 200 Euler steps. The node is used without an anchor, as on a model that
nobody calibrated: by itself, and, at as many calls as that counts for, taught by its first four
pictures, of other prompts; its default is that of a model that it knows nothing of, and of one that
has taught it. It is also used with the anchor of the model's calibration, which has 50
steps, and with one over 100 steps where the records have one: ``--calibrate`` makes these anew.
With ``--work``, a run that was cut short goes on where it stopped; models that are left out keep
their rows, and so do ways whose names are without the text of ``--ways``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants.host_caches import with_copied_input
from benchmarks.contestants.loading import ensure_extra
from benchmarks.instruments.counting import counted
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import interval
from benchmarks.instruments.record import read_results, write_record
from benchmarks.models import grounds
from benchmarks.models.sampled import SampledModel
from benchmarks.runs.anchors import KEPT, STANDARD, SUFFIX, calibrated
from scripts.host.inprocess import Host, start_host

OWN_STEPS = 20
CONVERGED = 200
SOLVERS = ("euler", "res_multistep")
PLAIN = (8, 11, 15, 16, 20, 22, 25, 30, 40, 50)
"""Steps of plain runs: as many as calls, twice as many, and between."""
CALLS = (8, 11, 15, 16, 18, 20)
BEHIND = (16, 20, 25, 30, 40, 50)
"""Steps of samplers that the node's default is tried behind."""
HIGHER_ORDER = "res_multistep"
"""A sampler of higher order than Euler's."""
AS_SAMPLED = (11, 15)
"""Calls on the sampler's own 20 steps."""
THRESHOLDS = (0.05, 0.1, 0.2)
"""Of EasyCache on the 20 steps: the node's default is 0.2."""
MANY_STEPS = 100
"""Of the other calibration."""
CALIBRATION_PROMPTS = 10
FINE_ANCHOR = f"an anchor of {MANY_STEPS} steps"
PROMPTS = 24
FIRST_SEED = 1000


@dataclass(frozen=True)
class Way:
    """One way to sample.

    Attributes:
        name: What the record calls it.
        build: Makes its ModelPatcher.
        steps, sampler: As KSampler has them.
    """

    name: str
    build: Callable[[], Any]
    steps: int = OWN_STEPS
    sampler: str = "euler"


def _ways(host: Host, name: str, ground: Any) -> Iterator[Way]:
    for solver in SOLVERS:
        for steps in PLAIN:
            yield Way(f"plain {solver}, {steps} steps", lambda: ground.model, steps, solver)
    node = partial(with_node, host, ground.model)
    for calls in AS_SAMPLED:
        yield Way(f"OTCache as sampled, {calls} calls", partial(node, calls, fine=False))
    anchors = {"an anchor": _anchor(host, name), FINE_ANCHOR: _fine_anchor(host, name)}
    for calls in CALLS:
        yield Way(f"OTCache fine, {calls} calls", partial(node, calls))
        if calls >= host.core("auto_plan").FINER_FROM:  # below it, what is taught changes nothing
            taught = partial(_taught, host, ground, calls, OWN_STEPS)
            yield Way(f"OTCache fine, taught, {calls} calls", taught)
        for which, anchor in anchors.items():
            if anchor is not None:
                way = f"OTCache fine, with {which}, {calls} calls"
                yield Way(way, partial(node, calls, anchor=anchor))
    for steps in BEHIND:
        yield Way(f"OTCache fine, its default for {steps} steps", partial(node, 0), steps)
    for steps in BEHIND:
        way = f"OTCache fine, taught, its default for {steps} steps"
        yield Way(way, partial(_taught, host, ground, 0, steps), steps)
    for steps in BEHIND:
        way = f"OTCache fine, its default for {steps} {HIGHER_ORDER} steps"
        yield Way(way, partial(node, 0), steps, HIGHER_ORDER)
    ensure_extra("EasyCache", "nodes_easycache")
    for threshold in THRESHOLDS:
        yield Way(f"EasyCache {threshold:g}", partial(_easycache, host, ground.model, threshold))


def _easycache(host: Host, model: Any, threshold: float) -> Any:
    (cached,) = host.run(
        "EasyCache", model=with_copied_input(model), reuse_threshold=threshold,
        start_percent=0.15, end_percent=0.95, verbose=False,
    ).outputs  # fmt: skip
    return cached


def with_node(
    host: Host,
    model: Any,
    calls: int,
    *,
    fine: bool = True,
    anchor: Any = None,
    memory: Any = None,
) -> Any:
    """The model behind the node, which finds no anchor by itself."""
    return host.module("nodes.sampling.host").apply_automatically(
        *(model, _generic(host)),
        **{"calls": calls, "fine": fine, "anchor": anchor},
        **{"insist": anchor is not None, "memory": memory},
    )


def _generic(host: Host) -> Any:
    files = host.module("nodes.library.files")
    return files.open_anchor(files.GENERIC)


def _taught(host: Host, ground: Any, calls: int, steps: int) -> Any:
    """The model behind a node that has learned from its first pictures, those of other prompts."""
    learned = host.module("nodes.library.learned")
    weights = host.module("nodes.library.weights").weights_fingerprint(ground.model)
    learned.forget(weights)
    model = with_node(host, ground.model, calls, memory=learned.Memory(weights, _generic(host)))
    for prompt in ground.prompts("calibration")[: host.core("learning").ENOUGH]:
        SampledModel(host, ground, [prompt]).sample([0], model, steps=steps, sampler="euler")
    return model


def _anchor(host: Host, name: str) -> Any:
    """The anchor of a model's calibration, where the records have one."""
    shipped = grounds.shipped_anchor(name)
    return _loaded(host, shipped or KEPT / f"{name}{SUFFIX}")


def _loaded(host: Host, path: Path) -> Any:
    return host.core("documents.anchor").load_anchor(path) if path.is_file() else None


def _fine_path(name: str) -> Path:
    return KEPT / f"{name}-{MANY_STEPS}{SUFFIX}"


def _fine_anchor(host: Host, name: str) -> Any:
    """The anchor of a calibration over many steps, where the records have one."""
    return _loaded(host, _fine_path(name))


def calibrate(host: Host, name: str, work: Path) -> None:
    """Makes the anchor of a calibration over many steps, and keeps it beside the records."""
    ground = grounds.build(host, name)
    seen = SampledModel(host, ground, ground.prompts("calibration")[:CALIBRATION_PROMPTS])
    anchor = calibrated(name, seen, work, {**STANDARD, "steps": MANY_STEPS})
    host.core("documents.anchor").save_anchor(anchor, _fine_path(name))


def measure(host: Host, name: str, kept: Kept, references: Path, asked: str) -> None:
    """Every way on one model that is asked for: what is not kept yet is measured."""
    ground = grounds.build(host, name)
    sampled = SampledModel(host, ground, ground.prompts("held_out")[:PROMPTS], seed=FIRST_SEED)
    sampled.keep_references(references, steps=CONVERGED)
    measure_ways(sampled, (way for way in _ways(host, name, ground) if asked in way.name), kept)


def measure_ways(sampled: SampledModel, ways: Iterable[Way], kept: Kept) -> None:
    """Model calls of each way and its LPIPS by prompt, as far as they are not kept yet."""
    for way in ways:
        if way.name in kept.lines:
            continue
        with counted(way.build()) as (model, calls):
            lpips = sampled.distances(model, steps=way.steps, sampler=way.sampler)
        # One batch after the other: each is one run.
        runs = len(sampled.batches(range(len(sampled.texts))))
        worked = calls.worked if way.name.startswith("EasyCache") else calls.predictions
        kept.put(way.name, {"calls": worked / runs, "lpips": lpips.tolist()})


def rows_of(lines: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a model: means with intervals over prompts."""
    rows = []
    for name, line in lines.items():
        values = np.array(line["lpips"])
        low, high = interval(values)
        rows.append(
            {
                "way": name,
                "calls": round(line["calls"], 2),
                "lpips": round(float(values.mean()), 6),
                "lpips_low": round(low, 6),
                "lpips_high": round(high, 6),
                "lpips_median": round(float(np.median(values)), 6),
            }
        )
    return rows


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", default=[], metavar="NAME")
    parser.add_argument("--ways", default="", metavar="TEXT")
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--calibrate", action="store_true")
    options = parser.parse_args(arguments)
    names, left_out = grounds.choose(options.model)
    print(*left_out, sep="\n", end="\n" if left_out else "")
    work = options.work or Path(tempfile.mkdtemp())
    host = start_host(Path(tempfile.mkdtemp()))
    results = read_results("auto")
    if results is None or results["prompts"] != PROMPTS:
        results = {"own_steps": OWN_STEPS, "converged": CONVERGED, "prompts": PROMPTS, "models": {}}
    for name in names:
        (work / name).mkdir(parents=True, exist_ok=True)
        if options.calibrate:
            calibrate(host, name, work / name)
        kept = Kept(work / name / "auto.json")
        measure(host, name, kept, work / name / "converged.pt", options.ways)
        now = rows_of(kept.lines)
        measured = {row["way"] for row in now}
        before = results["models"].get(name, []) if options.ways else []
        results["models"][name] = [row for row in before if row["way"] not in measured] + now
        for row in now:
            print(f"{name:12} {row['way']:36} {row['calls']:5.1f} {row['lpips']:.4f}", flush=True)
        write_record("auto", "nox -s bench -- auto", results)
