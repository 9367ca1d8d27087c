"""How to find the anchor: what each way of searching spends and what it finds.

    nox -s bench -- calibration [--prompts 16] [--work FOLDER]

Every variant searches on the same calibration prompts of the bundled model, through the pack's own
runner in a real ComfyUI, and its anchor is then judged on held-out prompts with other seeds. With
``--work``, a run that was cut short goes on where it stopped. Then the regret of prediction against
direct search, and how well the fidelity curve foretells held-out loss.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.instruments.record import write_record
from benchmarks.models.bundled import CFG, STEPS, BundledModel, prompts
from scripts.host.inprocess import Host, start_host

BUDGET, REFERENCE = 8, 20
REGRET_BUDGETS = (10, 12, 15)
MIDDLE = 12
UNMEASURED_BUDGETS = (9, 10, 13, 17, 18)
HELD_OUT_SEED = 1000


@dataclass(frozen=True)
class Variant:
    """One way to search.

    Attributes:
        name: Its name in the record.
        proposer: Who proposes candidates.
        gains: Whether every candidate has gains fitted to it, and roots of losses count.
        starts: ``"paper"`` for the one path over pairs, ``"all"`` for every cheap candidate.
        polish: Whether a local polish follows.
        early: Whether losing candidates are given up.
        trials, patience: Bounds.
        memo: Whether shared prefixes are run once; what they save is counted as spent where not.
    """

    name: str
    proposer: str = "cma-es"
    gains: bool = True
    starts: str = "all"
    polish: bool = True
    early: bool = True
    trials: int = 100
    patience: int = 20
    memo: bool = True


PAPER = Variant(
    "paper: CMA-ES from the path over pairs", gains=False, starts="paper", polish=False,
    early=False, trials=200, patience=50, memo=False,
)  # fmt: skip
DEFAULT = Variant("CMA-ES and polish, fitted gains")
DIRECT = replace(DEFAULT, trials=60, patience=10)
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


@dataclass(frozen=True)
class Searched:
    """One search.

    Attributes:
        found: What it found.
        model_calls: Guided predictions spent on it, gains included.
        seconds: Its time in this sitting.
    """

    found: Any
    model_calls: int
    seconds: float


class Bench:
    """The bundled model, its calibration prompts and its held-out prompts.

    Args:
        host: A ComfyUI in this process.
        count: Calibration prompts.
        work: Folder for what must survive.
    """

    def __init__(self, host: Host, count: int, work: Path) -> None:
        self.host, self.count, self.work = host, count, work
        self.core = host.core
        work.mkdir(parents=True, exist_ok=True)
        self.storage = self.core("search.storage").open_storage(
            self.core("search.storage").sqlite_place(work / "studies.sqlite3")
        )
        self.model = BundledModel(host, prompts("calibration")[:count])
        self.full_runs = self.core("calibration.full_runs").FullRuns(work / "full_runs")
        runner = self.runner()
        for prompt in range(count):
            if self.full_runs.get(prompt) is None:
                full = self.core("calibration.full_runs").FullRun.of(*runner.full_run(prompt))
                self.full_runs.put(prompt, full)
        self.graphs = self.core("calibration.warm_starts").Graphs(STEPS, "slope")
        for prompt in range(count):
            self.graphs.add(self.full_runs.get(prompt))
        self.sigmas = self.model.sigmas()

    @cached_property
    def held_out(self) -> BundledModel:
        """The held-out prompts, with their full runs."""
        model = BundledModel(self.host, prompts("held_out"), seed=HELD_OUT_SEED)
        model.full_runs()
        return model

    def runner(self) -> Any:
        """Runs the model on the calibration prompts, as Calibrate OT Anchor does."""
        module = self.host.module("nodes.calibration.runner")
        run, conditioning = self.host.run, self.model.clip
        positives = [
            run("CLIPTextEncode", clip=conditioning, text=text).outputs[0]
            for text in self.model.texts
        ]
        negative = run("CLIPTextEncode", clip=conditioning, text="").outputs[0]
        latent = run("OTCacheDemoModel", batch_size=1).outputs[3]
        job = module.Job(
            *(self.model.model, self.model.vae, [negative], latent, STEPS, CFG),
            *("euler", "simple", self.model.seed),
        )
        return module.HostRunner(job, positives, self.model.lpips)

    def schedule(self, of: Any) -> Any:
        """A candidate as a schedule."""
        return self.core("documents.schedule").Schedule(
            *(STEPS, of.computed_steps, "slope", (), self.sigmas), slope_gain=of.slope_gain
        )

    def search(
        self,
        name: str,
        starts: list[Any],
        variant: Variant,
        indices: list[int] | None = None,
        budget: int = BUDGET,
    ) -> Searched:
        """One search on some prompts; by roots of losses where gains are fitted, as calibrated."""
        runner = self.runner()
        chosen = list(range(self.count)) if indices is None else indices

        def loss(of: Any, prompt: int) -> float:
            index = chosen[prompt]
            loss = runner.loss(self.schedule(of), index, self.full_runs.picture(index))
            return math.sqrt(loss) if variant.gains else loss

        def fitted(of: Any) -> Any:
            def arrive(tried: Any, prompt: int, step: int) -> Any:
                return runner.state_at(self.schedule(tried), chosen[prompt], step)

            def full(prompt: int) -> Any:
                return self.full_runs.states(chosen[prompt])

            return fits.keep(
                of.computed_steps,
                lambda: fit.fit_gains(of, range(count), arrive, full),
                lambda: runner.model_calls,
            )

        search, fit = self.core("search.anchor_search"), self.core("estimate.gain_fit")
        count = self.core("calibration.run").fit_prompts(len(chosen))
        fits = self.core("calibration.kept_fits").GainFits(self.storage, f"{name} fits")
        start = time.perf_counter()
        found = search.search_anchor(
            loss,
            prompts=len(chosen),
            steps=STEPS,
            budget=budget,
            warm_starts=starts,
            tail=self.core("documents.schedule").longest_tail(STEPS) if variant.gains else 0,
            gains=fitted if variant.gains else self.core("gaps").without_gains,
            settings=search.SearchSettings(
                trials=variant.trials,
                patience=variant.patience,
                proposer=variant.proposer,
                polish=variant.polish,
                p_threshold=0.1 if variant.early else 0.0,
            ),
            model_calls=lambda: runner.model_calls + (0 if variant.memo else runner.memo.saved),
            storage=self.storage,
            study_name=name,
        )
        if variant.gains:
            found = self.core("search.trials").from_roots(found, starts[0])
        calls = found.model_calls + fits.model_calls
        return Searched(found, calls, time.perf_counter() - start)

    def starts(self, variant: Variant, budget: int = BUDGET) -> list[Any]:
        """A variant's warm starts."""
        of = self.core("gaps").candidate
        if variant.starts == "paper":
            return [of(self.graphs.paper_path(budget))]
        found = self.graphs.candidates(budget)
        return found if variant.gains else list(dict.fromkeys(of(c.computed_steps) for c in found))

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
        one = bench.search(name, bench.starts(variant), variant, [prompt])
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
    sampling = bench.core("documents.anchor").Sampling("euler", "simple", CFG, sigmas=bench.sigmas)
    anchor, report = calibration.calibrate(
        bench.runner(), settings, name="bench", architecture="Flux", sampling=sampling,
        full_runs=bench.full_runs, storage=bench.storage, study_name="whole",
    )  # fmt: skip
    return anchor, report


def predicted(bench: Bench, anchor: Any, budget: int) -> Any:
    """What an anchor predicts."""
    schedule = bench.core("transport").predict_schedule(anchor, budget).schedule
    return bench.core("gaps").candidate(schedule.computed_steps, schedule.slope_gain)


def regret(bench: Bench, anchor: Any, budget: int) -> dict[str, Any]:
    """Prediction against a search at the budget itself, which starts from the prediction too."""
    ours = predicted(bench, anchor, budget)
    starts = list(dict.fromkeys([ours, *bench.starts(DEFAULT, budget)]))
    searched = bench.search(f"direct {budget}", starts, DIRECT, budget=budget)
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
    searched = bench.search(f"direct {MIDDLE}", starts, DIRECT, budget=MIDDLE)
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


def _kept(path: Path, key: str, make: Callable[[], Any]) -> Any:
    """A line made before, or made now and kept."""
    lines = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if key not in lines:
        start = time.perf_counter()
        lines[key] = make()
        path.write_text(json.dumps(lines, indent=1), encoding="utf-8")
        print(f"{time.perf_counter() - start:7.1f} s  {key}: {json.dumps(lines[key])}", flush=True)
    return lines[key]


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks calibration")
    parser.add_argument("--prompts", type=int, default=16, help="calibration prompts")
    parser.add_argument("--work", type=Path, help="folder to keep what was done in")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder) / "work"
        bench = Bench(start_host(Path(folder) / "comfyui"), options.prompts, work)
        lines = work / "lines.json"
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
