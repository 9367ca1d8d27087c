"""What a calibration found, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from ...otcache_core.calibration.calibrate import Report
from ...otcache_core.calibration.cost import paper_calls
from ...otcache_core.documents.anchor import Anchor
from ...otcache_core.message import Message
from ..library.description import saved_as
from .runner import HostRunner


def describe(anchor: Anchor, report: Report, runner: HostRunner, path: Path) -> list[str]:
    """The result in three lines."""
    goal = anchor.objective
    assert goal is not None
    gain = 100.0 * (1.0 - goal.best / goal.warm_start) if goal.warm_start else 0.0
    naive = paper_calls(runner.prompts, anchor.anchor.budget)
    return [
        Message(
            "calibrated_loss",
            "{metric} at {budget} calls: {warm} -> {best} ({gain} % lower) in {trials} trials",
            metric=goal.metric, budget=anchor.anchor.budget, warm=f"{goal.warm_start:.4f}",
            best=f"{goal.best:.4f}", gain=f"{gain:.0f}", trials=len(report.search.trials),
        ),
        Message(
            "calibrated_cost", "rho {rho}, {calls} model calls ({share} % of the paper's search)",
            rho=str(anchor.rho), calls=f"{report.model_calls:,}",
            share=f"{100 * report.model_calls / naive:.0f}",
        ),
        saved_as(path),
    ]  # fmt: skip


def report_document(anchor: Anchor, report: Report, runner: HostRunner) -> str:
    """The report as JSON: what was tried, what it cost, what came out."""
    warm, best = report.search.trials[0], report.search.trial(report.search.best)
    document = {
        "anchor": anchor.to_document(),
        "trials": [
            {
                "computed_steps": trial.candidate.computed_steps,
                "slope_gain": trial.candidate.slope_gain,
                "phase": trial.phase,
                "loss": None if trial.failure else trial.loss,
                "prompts": len(trial.losses),
                "given_up": trial.given_up,
                "failure": trial.failure,
                "model_calls": trial.model_calls,
            }
            for trial in report.search.trials
        ],
        "losses_by_prompt": {
            "warm_start": warm.losses,
            "anchor": {} if best is None else best.losses,
        },
        "rho_losses": {str(rho): loss for rho, loss in report.rho_losses.items()},
        "model_calls": report.model_calls,
        "model_calls_saved": runner.memo.saved,
        "paper_model_calls": paper_calls(runner.prompts, anchor.anchor.budget),
    }
    return json.dumps(document, indent=1)
