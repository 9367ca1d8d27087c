"""The ablations of the OTCache paper, measured on this pack's models.

    nox -s bench -- ablations [--model NAME ...] [--part NAME ...] [--pairs N] [--work FOLDER]

Searches by prompt and seed (Table 4, Fig. 8 and 10), predictions by rho and by the budget of the
anchor on held-out prompts (Tables 5 and 6), in the paper's way; the last two with the pack's own
anchors. With ``--work``, a run that was cut short goes on where it stopped, and the record has the
parts that are there; models that are left out keep their sections.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants.contestant import Configured
from benchmarks.contestants.measuring import measure
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import Row, interval, ratio_interval
from benchmarks.instruments.rankings import best_losses, found_at
from benchmarks.instruments.record import RECORDS, read_results, write_record
from benchmarks.models import grounds
from benchmarks.models.sampled import STEPS
from benchmarks.pages.ablations_plot import draw_ablations
from benchmarks.runs.ablations import (
    ANCHOR_BUDGETS,
    PAPER_RHO,
    PREDICTED,
    RHO_BUDGETS,
    RHOS,
    STARTS,
    AblationBench,
    Extent,
)
from benchmarks.runs.anchors import STANDARD, anchor_of, calibrated
from benchmarks.runs.searches import BUDGET, REFERENCE
from scripts.host.inprocess import Host, start_host

MODELS = ("demo-hard", "latent-hard", "unet-hard", "demo")
BEST = 5
"""Schedules of a search that count."""

Lines = Mapping[str, Any]


def judged(bench: AblationBench, schedule: Any) -> dict[str, Any]:
    """LPIPS, PSNR and SSIM of a schedule to the full run, by held-out prompt."""
    apply = bench.host.module("nodes.sampling.host").apply_schedule
    found = measure(bench, Configured(apply(bench.held_out.model, schedule, quiet=True)))
    return {
        "computed_steps": list(schedule.computed_steps),
        "estimator": schedule.estimator,
        **{name: found[name] for name in ("lpips", "psnr", "ssim")},
    }


class Measured:
    """One model: lines that are there already are kept, others are measured.

    Args:
        host: A ComfyUI in this process.
        name: The ground.
        work: Its folder.
        extent: How much is measured.
    """

    def __init__(self, host: Host, name: str, work: Path, extent: Extent) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.bench, self.work = AblationBench(host, name, work, extent), work
        self.kept = Kept(work / "lines.json")

    def line(self, key: str, make: Callable[[], Any]) -> Any:
        """A line made before, or made now and kept."""
        if key not in self.kept.lines:
            start = time.perf_counter()
            self.kept.put(key, make())
            print(f"{time.perf_counter() - start:7.1f} s  {self.bench.name}: {key}", flush=True)
        return self.kept.lines[key]

    def paper(self) -> None:
        """All of the paper's way."""
        bench = self.bench
        for budget in ANCHOR_BUDGETS:
            found = self.line(f"anchor {budget}", lambda b=budget: bench.search_anchor(b))
            anchor = bench.paper_anchor(found["computed_steps"])
            if budget == BUDGET:
                self._rhos("paper", anchor)
            self._predicted("paper", budget, anchor, PAPER_RHO)
        for kind in STARTS:
            for pair in range(bench.count):
                key = f"pair {pair} from {kind}"
                self.line(key, lambda k=kind, p=pair: bench.search_pair(k, p))

    def standard(self) -> None:
        """The pack's own anchor under other exponents, as the nodes predict."""
        bench = self.bench
        anchor = anchor_of(bench.name, bench.model, self.work, tiny=False, anew=False)
        self._rhos("standard", anchor)
        self._predicted("standard", BUDGET, anchor, anchor.rho)

    def anchors(self) -> None:
        """The pack's own anchors of other budgets, each with the exponent of its calibration."""
        for budget in ANCHOR_BUDGETS:
            if budget != BUDGET and f"standard {PREDICTED} from {budget}" not in self.kept.lines:
                anchor = calibrated(
                    self.bench.name, self.bench.model, self.work / f"standard-{budget}",
                    {**STANDARD, "anchor_budget": budget},
                )  # fmt: skip
                self._predicted("standard", budget, anchor, anchor.rho)

    def _rhos(self, way: str, anchor: Any) -> None:
        for budget in RHO_BUDGETS:
            for rho in RHOS:
                key = f"{way} {budget} rho {rho}"
                self.line(key, lambda b=budget, r=rho: self._judge(way, anchor, b, r))

    def _predicted(self, way: str, budget: int, anchor: Any, rho: float) -> None:
        key = f"{way} {PREDICTED} from {budget}"
        self.line(key, lambda: self._judge(way, anchor, PREDICTED, rho))

    def _judge(self, way: str, anchor: Any, budget: int, rho: float) -> dict[str, Any]:
        schedule = self.bench.predicted(anchor, budget, rho, paper=way == "paper")
        return {"rho": rho, **judged(self.bench, schedule)}


PARTS: Mapping[str, Callable[[Measured], None]] = {
    "paper": Measured.paper,
    "standard": Measured.standard,
    "anchors": Measured.anchors,
}
"""What may be asked for; the record needs the first."""


def prediction_row(line: Row, base: Row) -> Row:
    """What the record says of one prediction.

    Args:
        line: Its values by held-out prompt.
        base: Those of the prediction that it is held against.
    """
    values = np.array(line["lpips"])
    low, high = interval(values)
    over = ratio_interval(values, np.array(base["lpips"]))
    return {
        "rho": line["rho"],
        "computed_steps": line["computed_steps"],
        "estimator": line["estimator"],
        "lpips": round(float(values.mean()), 6),
        "lpips_low": round(low, 6),
        "lpips_high": round(high, 6),
        "psnr": round(float(np.mean(line["psnr"])), 3),
        "ssim": round(float(np.mean(line["ssim"])), 5),
        "over_papers_choice": [round(part, 3) for part in over],
    }


def searches_of(lines: Lines, kind: str, pairs: int) -> dict[str, Any]:
    """The searches from one kind of start, pair by pair."""
    found = [lines[f"pair {pair} from {kind}"] for pair in range(pairs)]
    return {
        "start": [round(of["start"], 5) for of in found],
        "best": [[round(x, 5) for x in best_losses(of["losses"], BEST)] for of in found],
        "found_at": [found_at(of["losses"], BEST) for of in found],
        "trials": [len(of["losses"]) for of in found],
    }


def section(lines: Lines, extent: Extent) -> dict[str, Any]:
    """A model's section of the record, of the lines that are there."""
    made: dict[str, Any] = {"pairs": extent.pairs, "held_out_prompts": extent.held_out}
    made["searches"] = {kind: searches_of(lines, kind, extent.pairs) for kind in STARTS}
    made["anchors"] = {str(b): lines[f"anchor {b}"] for b in ANCHOR_BUDGETS}
    for way in ("paper", "standard"):
        rhos = {(b, r): lines.get(f"{way} {b} rho {r}") for b in RHO_BUDGETS for r in RHOS}
        made[f"{way}_rho"] = [
            {"budget": budget, **prediction_row(line, rhos[budget, PAPER_RHO])}
            for (budget, _), line in rhos.items()
            if line is not None
        ]
        froms = {b: lines.get(f"{way} {PREDICTED} from {b}") for b in ANCHOR_BUDGETS}
        made[f"{way}_anchor"] = [
            {"anchor": budget, **prediction_row(line, froms[BUDGET])}
            for budget, line in froms.items()
            if line is not None
        ]
    return made


def write(sections: Mapping[str, Any], extent: Extent) -> Path:
    """Writes the record and its picture."""
    results = {
        "steps": STEPS, "reference": REFERENCE, "budget": BUDGET, "predicted": PREDICTED,
        "trials": extent.trials, "patience": extent.patience, "models": dict(sections),
    }  # fmt: skip
    draw_ablations(results["models"], RECORDS / "ablations.png")
    return write_record("ablations", "nox -s bench -- ablations", results)


def main(arguments: Sequence[str], extent: Extent = Extent()) -> None:  # noqa: B008  (frozen)
    """Command line; a test searches less."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks ablations", description=__doc__)
    parser.add_argument("--model", nargs="+", default=list(MODELS))
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--pairs", type=int, default=extent.pairs, help="prompts for searches")
    parser.add_argument("--work", type=Path, help="folder to keep what was done in")
    options = parser.parse_args(arguments)
    extent = replace(extent, pairs=options.pairs)
    sections = dict((read_results("ablations") or {}).get("models", {}))
    with tempfile.TemporaryDirectory() as folder:
        work = (options.work or Path(folder) / "work").resolve()
        host = start_host(Path(folder) / "comfyui")
        for name in grounds.choose(options.model)[0]:
            measured = Measured(host, name, work / name, extent)
            for part in dict.fromkeys(["paper", *options.part]):
                PARTS[part](measured)
            sections[name] = section(measured.kept.lines, extent)
            print("record:", write(sections, extent).name, flush=True)
