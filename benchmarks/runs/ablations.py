"""What the ablations of the paper measure on one model: searches by pair, anchors, predictions.

Everything is searched as the paper searches: CMA-ES in gap space from one start, every candidate on
its prompts, MeanCache's estimate with look-backs.
"""
# Source: OTCache, Sec. 4.4 (Tables 4 and 5, Fig. 8), Appendix C (Table 6) and D (Fig. 10).

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.models import grounds
from benchmarks.models.sampled import STEPS, SampledModel
from benchmarks.runs.searches import BUDGET, SearchBench, Variant
from scripts.host.inprocess import Host

FIRST_SEED = 1000
"""Of held-out pictures."""

MEANCACHE, UNIFORM, RANDOM = STARTS = ("MeanCache", "uniform", "random")
"""Where a search may start."""

RHOS = (1.0, 1.15, 1.3, 1.45)
RHO_BUDGETS = (10, 15)
PAPER_RHO = 1.3

ANCHOR_BUDGETS = (8, 6, 4)
PREDICTED = 10
"""The budget that anchors of other budgets predict."""


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        pairs: Prompts, each with a seed, that are searched alone; anchors are searched on all.
        held_out: Prompts that judge predictions.
        trials, patience: Bounds of each search; those of the paper.
    """

    pairs: int = 10
    held_out: int = 24
    trials: int = 200
    patience: int = 50


def random_steps(budget: int, steps: int, seed: int) -> tuple[int, ...]:
    """Computed steps drawn at random, all choices being as likely; the ends are among them.

    Args:
        budget: How many, at least 2.
        steps: Of the run.
        seed: Decides them.
    """
    inner = random.Random(seed).sample(range(1, steps - 1), budget - 2)
    return (0, *sorted(inner), steps - 1)


class AblationBench(SearchBench):
    """A model on calibration prompts for the searches, and on held-out ones for predictions.

    Args:
        host: A ComfyUI in this process.
        name: The ground.
        work: Folder for what must survive.
        extent: How much is measured.
    """

    def __init__(self, host: Host, name: str, work: Path, extent: Extent) -> None:
        self.name, self.extent = name, extent
        super().__init__(host, grounds.build(host, name), extent.pairs, work)
        self.paper = Variant(
            "paper", gains=False, starts="paper", polish=False, early=False,
            trials=extent.trials, patience=extent.patience, estimator="meancache",
        )  # fmt: skip

    @cached_property
    def stage_1(self) -> Any:
        """The paper's calibration after stage 1, on all prompts."""
        return self.run_of(self.paper, None)

    @cached_property
    def held_out(self) -> SampledModel:
        """The held-out prompts, with their full runs."""
        texts = self.model.ground.prompts("held_out")[: self.extent.held_out]
        model = SampledModel(self.host, self.model.ground, texts, seed=FIRST_SEED)
        model.keep_references(self.work / f"held_out-{len(texts)}.pt")
        return model

    def start(self, kind: str, pair: int) -> Any:
        """A start of a pair's search, one of ``STARTS``; MeanCache's is the same for all."""
        gaps = self.core("gaps")
        if kind == MEANCACHE:
            return self.starts(self.paper, BUDGET)[0]
        if kind == UNIFORM:
            return gaps.candidate(gaps.uniform_steps(BUDGET, STEPS))
        return gaps.candidate(random_steps(BUDGET, STEPS, pair))

    def search_pair(self, kind: str, pair: int) -> dict[str, Any]:
        """The losses of a pair's search in the order in which they were found."""
        start = self.start(kind, pair)
        name = f"pair {pair} from {kind}"
        found = self.search(name, [start], self.paper, pair, kept=False).found
        return {"start": found.warm_start_loss, "losses": [t.loss for t in found.trials]}

    def search_anchor(self, budget: int) -> dict[str, Any]:
        """The anchor of a budget, searched on all prompts."""
        starts = self.starts(self.paper, budget)
        searched = self.search(f"anchor {budget}", starts, self.paper, kept=False)
        return {
            "computed_steps": list(searched.found.best.computed_steps),
            "trials": len(searched.found.trials),
            "start": searched.found.warm_start_loss,
            "calibration": searched.found.best_loss,
        }

    def paper_anchor(self, computed_steps: list[int]) -> Any:
        """The paper's anchor: stage 1's reference, and what stage 2 found."""
        run, of = self.stage_1, self.core("gaps").candidate
        return self.core("documents.anchor").Anchor(
            f"paper on {self.name}", "", run.reference, run.schedule(of(tuple(computed_steps))),
            run.sampling, look_back_table=run.table,
        )  # fmt: skip

    def predicted(self, anchor: Any, budget: int, rho: float, *, paper: bool) -> Any:
        """What an anchor predicts, with the paper's projection to steps or with the pack's."""
        project = self.core("projection").round_to_steps if paper else None
        predict = self.core("transport").predict_schedule
        return predict(anchor, budget, rho=rho, project=project).schedule
