"""How to find the anchor: what each way of searching spends and what it finds.

    nox -s bench -- calibration [--prompts 16] [--work FOLDER]

Every variant searches on the same calibration prompts of the bundled model, through the pack's own
calibration in a real ComfyUI, and its anchor is then judged on held-out prompts with other seeds.
With ``--work``, a run that was cut short goes on where it stopped. Then the regret of prediction
against direct search, and how well the fidelity curve foretells held-out loss.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.instruments.kept import Kept
from benchmarks.instruments.record import write_record
from benchmarks.models import demo
from benchmarks.models.sampled import STEPS, SampledModel
from benchmarks.runs.searches import BUDGET, DEFAULT, DIRECT, REFERENCE, SearchBench, Variant
from scripts.host.inprocess import Host, start_host

REGRET_BUDGETS = (10, 12, 15)
MIDDLE = 12
UNMEASURED_BUDGETS = (9, 10, 13, 17, 18)
HELD_OUT_SEED = 1000

PAPER = Variant(
    "paper: CMA-ES from the path over pairs", gains=False, starts="paper", polish=False,
    early=False, trials=200, patience=50, memo=False,
)  # fmt: skip
VARIANTS = (
    DEFAULT,
    PAPER,
    Variant("CMA-ES from every warm start", gains=False, polish=False),
    Variant("CMA-ES with margin", "cma-es with margin", gains=False, polish=False),
    Variant("TPE", "tpe", gains=False, polish=False),
    Variant("polish alone", "none", gains=False),
    Variant("CMA-ES and polish", gains=False),
    Variant("CMA-ES with margin and polish, fitted gains", "cma-es with margin"),
    Variant("TPE and polish, fitted gains", "tpe"),
    Variant("polish alone, fitted gains", "none"),
)


class Bench(SearchBench):
    """The bundled model on calibration prompts, and on the held-out ones that judge an anchor.

    Args:
        host: A ComfyUI in this process.
        count: Calibration prompts.
        work: Folder for what must survive.
    """

    def __init__(self, host: Host, count: int, work: Path) -> None:
        super().__init__(host, demo.build(host), count, work)

    @cached_property
    def held_out(self) -> SampledModel:
        """The held-out prompts, with their full runs."""
        ground = self.model.ground
        model = SampledModel(self.host, ground, ground.prompts("held_out"), seed=HELD_OUT_SEED)
        model.full_runs()
        return model

    def held_out_losses(self, of: Any) -> np.ndarray:
        """LPIPS by held-out prompt."""
        return self.held_out.losses(self.schedule(of))


def measure(bench: Bench, variant: Variant) -> tuple[dict[str, Any], Any]:
    """One variant's line of the record, and what it found."""
    searched = bench.search(variant.name, bench.starts(variant), variant)
    found = searched.found
    held_out = bench.held_out_losses(found.best)
    naive = 200 * BUDGET * bench.count
    line = {
        "variant": variant.name,
        "model_calls": searched.model_calls,
        "share_of_paper": round(searched.model_calls / naive, 4),
        "seconds": round(searched.seconds, 1),
        "trials": len(found.trials),
        "warm_start": round(found.warm_start_loss, 5),
        "calibration_lpips": round(found.best_loss, 5),
        "held_out_lpips": round(float(held_out.mean()), 5),
        "computed_steps": list(found.best.computed_steps),
        "slope_gain": list(found.best.slope_gain),
    }
    return line, found


def barycentre(bench: Bench) -> dict[str, Any]:
    """Per-prompt anchors, merged by the 1-D Wasserstein barycentre: the mean of their quantiles."""
    variant = Variant("barycentre of anchors per prompt", gains=False, trials=40, patience=10)
    calls, seconds, nodes = 0, 0.0, []
    for prompt in range(bench.count):
        name = f"{variant.name} {prompt}"
        one = bench.search(name, bench.starts(variant), variant, prompt)
        calls, seconds = calls + one.model_calls, seconds + one.seconds
        nodes.append(one.found.best.computed_steps)
    mean = np.mean(np.array(nodes, dtype=float), axis=0)
    merged = bench.core("gaps").candidate(bench.core("projection").project_to_steps(mean))
    alone = replace(variant, proposer="none", polish=False, trials=1)
    calibration = bench.search("barycentre", [merged], alone).found
    return {
        "variant": variant.name,
        "model_calls": calls,
        "share_of_paper": round(calls / (200 * BUDGET * bench.count), 4),
        "seconds": round(seconds, 1),
        "trials": 40,
        "warm_start": None,
        "calibration_lpips": round(calibration.best_loss, 5),
        "held_out_lpips": round(float(bench.held_out_losses(merged).mean()), 5),
        "computed_steps": list(merged.computed_steps),
        "slope_gain": list(merged.slope_gain),
    }


def whole_calibration(bench: Bench) -> tuple[Any, Any]:
    """The default calibration from start to end: rho and the fidelity curve as well."""
    calibration, search = bench.core("calibration.calibrate"), bench.core("search.anchor_search")
    settings = calibration.Settings(
        STEPS, REFERENCE, BUDGET,
        search=search.SearchSettings(trials=DEFAULT.trials, patience=DEFAULT.patience),
    )  # fmt: skip
    sampling = bench.core("documents.anchor").Sampling(
        "euler", "simple", bench.model.ground.cfg, sigmas=bench.sigmas
    )
    anchor, report = calibration.calibrate(
        bench.runner(), settings, name="bench", architecture="Flux", sampling=sampling,
        full_runs=bench.full_runs, storage=bench.storage("whole"), study_name="whole",
    )  # fmt: skip
    return anchor, report


def predicted(bench: Bench, anchor: Any, budget: int) -> Any:
    """What an anchor predicts, with fitted coefficients."""
    given = replace(anchor, learned_in_runs=None)
    schedule = bench.core("transport").predict_schedule(given, budget).schedule
    known = bench.core("documents.schedule").coefficients(schedule)
    return bench.core("gaps").candidate(schedule.computed_steps, **known)


def regret(bench: Bench, anchor: Any, budget: int) -> dict[str, Any]:
    """Prediction against a search at the budget itself, which starts from the prediction too."""
    ours = predicted(bench, anchor, budget)
    starts = list(dict.fromkeys([ours, *bench.starts(DEFAULT, budget)]))
    searched = bench.search(f"direct {budget}", starts, DIRECT)
    direct = searched.found
    mine, its = bench.held_out_losses(ours), bench.held_out_losses(direct.best)
    blind = [of for of in direct.trials if of.candidate != ours and of.complete]
    return {
        "budget": budget,
        "predicted": round(float(mine.mean()), 5),
        "direct": round(float(its.mean()), 5),
        "ratio": round(float(mine.mean() / its.mean()), 3),
        "predicted_median": round(float(np.median(mine)), 5),
        "direct_median": round(float(np.median(its)), 5),
        "direct_model_calls": searched.model_calls,
        "direct_calibration": round(min((t.loss for t in blind), default=direct.best_loss), 5),
        "predicted_calibration": round(direct.warm_start_loss, 5),
    }


def with_middle(bench: Bench, anchor: Any, budget: int) -> dict[str, Any]:
    """Prediction when the schedule searched at ``MIDDLE`` is a third point of the geodesic."""
    starts = list(dict.fromkeys([predicted(bench, anchor, MIDDLE), *bench.starts(DEFAULT, MIDDLE)]))
    searched = bench.search(f"direct {MIDDLE}", starts, DIRECT)
    three = replace(anchor, middle=bench.schedule(searched.found.best))
    losses = bench.held_out_losses(predicted(bench, three, budget))
    return {
        "budget": budget,
        "predicted": round(float(losses.mean()), 5),
        "predicted_median": round(float(np.median(losses)), 5),
    }


def foretold(bench: Bench, anchor: Any, budget: int) -> dict[str, Any]:
    """Expected against measured loss at a budget that the curve was not measured at."""
    expected, _ = bench.core("documents.fidelity").FidelityCurve(anchor.fidelity).expected(budget)
    points = anchor.fidelity
    spread = np.interp(budget, [p.budget for p in points], [p.spread for p in points])
    losses = bench.held_out_losses(predicted(bench, anchor, budget))
    return {
        "budget": budget,
        "expected": round(expected, 5),
        "expected_spread": round(float(spread), 5),
        "held_out": round(float(losses.mean()), 5),
        "held_out_median": round(float(np.median(losses)), 5),
    }


def _kept(kept: Kept, key: str, make: Callable[[], Any]) -> Any:
    """A line made before, or made now and kept."""
    if key not in kept.lines:
        start = time.perf_counter()
        kept.put(key, make())
        seconds = time.perf_counter() - start
        print(f"{seconds:7.1f} s  {key}: {json.dumps(kept.lines[key])}", flush=True)
    return kept.lines[key]


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks calibration")
    parser.add_argument("--prompts", type=int, default=16, help="calibration prompts")
    parser.add_argument("--work", type=Path, help="folder to keep what was done in")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder) / "work"
        bench = Bench(start_host(Path(folder) / "comfyui"), options.prompts, work)
        lines = Kept(work / "lines.json")
        results: dict[str, Any] = {"prompts": options.prompts, "held_out_prompts": 40}
        results["paper_model_calls"] = 200 * BUDGET * options.prompts
        results["variants"] = [
            _kept(lines, v.name, lambda v=v: measure(bench, v)[0])  # type: ignore[misc]
            for v in VARIANTS
        ]
        results["variants"].append(_kept(lines, "barycentre", lambda: barycentre(bench)))
        anchor, report = whole_calibration(bench)
        results["whole"] = {
            "model_calls": report.model_calls,
            "share_of_paper": round(report.model_calls / results["paper_model_calls"], 4),
            "rho": anchor.rho,
            "rho_losses": {str(r): round(v, 5) for r, v in report.rho_losses.items()},
            "fidelity": [
                [p.budget, *(round(float(v), 5) for v in (p.mean, p.spread, p.typical))]
                for p in anchor.fidelity
            ],
        }
        results["regret"] = [
            _kept(lines, f"regret {b}", lambda b=b: regret(bench, anchor, b))  # type: ignore[misc]
            for b in REGRET_BUDGETS
        ]
        results["regret_with_middle"] = [
            _kept(lines, f"middle {b}", lambda b=b: with_middle(bench, anchor, b))  # type: ignore[misc]
            for b in REGRET_BUDGETS
        ]
        results["expected_against_held_out"] = [
            _kept(lines, f"foretold {b}", lambda b=b: foretold(bench, anchor, b))  # type: ignore[misc]
            for b in UNMEASURED_BUDGETS
        ]
    path = write_record("calibration", "nox -s bench -- calibration", results)
    print(f"wrote {path}")
