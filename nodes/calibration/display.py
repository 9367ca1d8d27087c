"""What Calibrate OT Anchor shows while it works: progress, time left, chart, best picture."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import comfy.utils
import numpy as np
from PIL import Image

from ...otcache_core.calibration.calibrate import Settings
from ...otcache_core.calibration.cost import Cost, calibration_cost, paper_calls
from ...otcache_core.calibration.full_runs import FullRuns
from ...otcache_core.drawing.report import search_plot
from ...otcache_core.message import Message, document
from ...otcache_core.search.trials import SearchResult
from ..shared.news import NodePlace
from .runner import HostRunner
from .state import publish

PREVIEW_PIXELS = 768


STAGES = {
    "full runs": Message("stage_full_runs", "full runs"),
    "anchor search": Message("stage_search", "anchor search"),
    "rho": Message("stage_rho", "rho"),
    "fidelity": Message("stage_fidelity", "fidelity"),
}
"""The stages as ``calibrate`` names them."""


def cost_text(cost: Cost, prompts: int, anchor_budget: int) -> Message:
    """The cost, before it is paid."""
    return Message(
        "cost",
        "about {likely} model calls for {prompts} prompts, at most {most} (the paper's way: "
        "{paper})",
        likely=f"{cost.likely:,}",
        prompts=prompts,
        most=f"{cost.most:,}",
        paper=f"{paper_calls(prompts, anchor_budget):,}",
    )


class Display:
    """Progress bar, preview picture, text and chart on the node while a calibration runs.

    Args:
        place: The node.
        plan: Whether it goes on with an earlier one, and what it will cost.
        settings: What is calibrated.
        runner: Runs the model; counts its calls.
        full_runs: The full runs' pictures.
    """

    def __init__(
        self,
        place: NodePlace,
        plan: Sequence[str],
        settings: Settings,
        runner: HostRunner,
        full_runs: FullRuns,
    ) -> None:
        self.place, self.plan, self.settings = place, plan, settings
        self.runner, self.full_runs = runner, full_runs
        self.cost = calibration_cost(settings, runner.prompts)
        self.bar = comfy.utils.ProgressBar(1000, node_id=place.node)
        self.preview: tuple[str, Image.Image, int] | None = None
        self.found: SearchResult | None = None
        self.stage: tuple[str, int, int] = ("full runs", 0, runner.prompts)
        self._best_picture: np.ndarray | None = None
        self._start = time.monotonic()

    def progress(self, stage: str, done: int, total: int) -> None:
        """A unit of a stage is done."""
        self.stage = (stage, done, total)
        self.show()

    def trial(self, found: SearchResult) -> None:
        """A candidate is done."""
        self.found = found
        newest = found.trials[-1]
        if newest.candidate == found.best and 0 in self.runner.pictures:
            self._best_picture = self.runner.pictures[0]
        self.preview = ("JPEG", self._picture(found), PREVIEW_PIXELS)

    def share_done(self) -> float:
        """Share of the whole that is done, by the calls that each stage is likely to take."""
        stage, done, total = self.stage
        ahead = {
            "full runs": (0.0, self.cost.full_runs),
            "anchor search": (self.cost.full_runs, self.cost.likely_search),
            "rho": (self.cost.full_runs + self.cost.likely_search, self.cost.likely_rho),
            "fidelity": (self.cost.likely - self.cost.likely_curve, self.cost.likely_curve),
        }
        before, own = ahead[stage]
        return min((before + own * min(done / max(total, 1), 1.0)) / max(self.cost.likely, 1), 1.0)

    def seconds_left(self) -> float | None:
        """Estimate from the calls made so far; ``None`` before the first one."""
        made = self.runner.model_calls
        if made == 0:
            return None
        seconds = (time.monotonic() - self._start) / made
        return seconds * self.cost.likely * (1.0 - self.share_done())

    def show(self) -> None:
        """Brings the node up to date."""
        self.bar.update_absolute(int(1000 * self.share_done()), 1000, self.preview)
        publish(self.place, self._state([self._text()]))

    def finished(self, lines: Sequence[str]) -> None:
        """Says what came of it."""
        self.bar.update_absolute(1000, 1000, self.preview)
        publish(self.place, self._state(lines, finished=True))

    def stopped(self, kept: str) -> None:
        """Says that it has ended early, and what is kept of it."""
        publish(self.place, self._state([kept], stopped=True))

    def _text(self) -> str:
        stage, done, total = self.stage
        left = self.seconds_left()
        saved = self.runner.memo.saved
        text = f"{stage}: {done} of {total}, {self.runner.model_calls:,} model calls"
        text += f" ({saved:,} saved)" if saved else ""
        text += "" if left is None else f", about {_duration(left)} left"
        if self.found is not None:
            found = self.found
            text += f"\nbest {found.best_loss:.4f}"
            if math.isfinite(found.warm_start_loss):
                text += f", warm start {found.warm_start_loss:.4f}"
        return text

    def _state(
        self, lines: Sequence[str], *, finished: bool = False, stopped: bool = False
    ) -> dict[str, Any]:
        stage, done, total = self.stage
        found = self.found
        left = None if finished or stopped else self.seconds_left()
        return {
            "stage": document(STAGES[stage]), "done": done, "total": total,
            "lines": list(map(document, lines)), "plan": list(map(document, self.plan)),
            "finished": finished, "stopped": stopped,
            "steps": self.settings.steps, "prompts": self.runner.prompts,
            "metric": self.settings.metric,
            "trials": [] if found is None else [_trial(t) for t in found.trials],
            "warm_start": None if found is None else _finite(found.warm_start_loss),
            "best": None if found is None else found.best_loss,
            "best_steps": [] if found is None else list(found.best.computed_steps),
            "model_calls": self.runner.model_calls, "calls_saved": self.runner.memo.saved,
            "seconds_left": None if left is None else round(left, 1),
        }  # fmt: skip

    def _picture(self, found: SearchResult) -> Image.Image:
        """The chart, below it the first prompt's full picture and the best one so far."""
        chart = Image.fromarray(search_plot(found))
        if self._best_picture is None:
            return chart
        pair = [self.full_runs.picture(0)[0], self._best_picture]
        width = chart.width // 2
        shown = [Image.fromarray(picture) for picture in pair]
        height = round(width * shown[0].height / shown[0].width)
        sheet = Image.new("RGB", (chart.width, chart.height + height), "white")
        sheet.paste(chart, (0, 0))
        for i, picture in enumerate(shown):
            sheet.paste(picture.resize((width, height)), (i * width, chart.height))
        return sheet


def _trial(trial: Any) -> dict[str, Any]:
    return {
        "computed_steps": list(trial.candidate.computed_steps),
        "slope_gain": list(trial.candidate.slope_gain),
        "loss": _finite(trial.loss),
        "phase": trial.phase,
        "prompts": len(trial.losses),
        "given_up": trial.given_up,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
