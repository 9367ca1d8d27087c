"""Searches for an anchor on a model's calibration prompts, as Calibrate OT Anchor searches."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.models.ground_model import GroundModel
from benchmarks.models.sampled import STEPS, SampledModel
from scripts.host.inprocess import Host

BUDGET, REFERENCE = 8, 20


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
        estimator: How skipped steps are estimated.
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
    estimator: str = "slope"


DEFAULT = Variant("CMA-ES and polish, fitted gains")
DIRECT = replace(DEFAULT, trials=60, patience=10)
"""A search at a budget that else is predicted."""


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


class SearchBench:
    """A model on calibration prompts, and searches there.

    Args:
        host: A ComfyUI in this process.
        ground: The model.
        count: Calibration prompts.
        work: Folder for what must survive.

    Attributes:
        model: The model on these prompts.
        graphs: Stage 1's costs, of all of them.
    """

    def __init__(self, host: Host, ground: GroundModel, count: int, work: Path) -> None:
        self.host, self.work, self.core = host, work, host.core
        self.model = SampledModel(host, ground, ground.prompts("calibration")[:count])
        self.sigmas = self.model.sigmas()
        work.mkdir(parents=True, exist_ok=True)
        self.full_runs = self.core("calibration.full_runs").FullRuns(work / "full_runs")
        self.graphs = self.run_of(DEFAULT, None).graphs

    @property
    def count(self) -> int:
        """Calibration prompts."""
        return len(self.model.texts)

    def storage(self, kind: str | int) -> Any:
        """Where studies of one kind are kept: a file of its own, so that processes never meet.

        Args:
            kind: Their budget, or another word.
        """
        places = self.core("search.storage")
        return places.open_storage(places.sqlite_place(self.work / f"studies-{kind}.sqlite3"))

    def runner(self, prompt: int | None = None, *, memo: bool = True) -> Any:
        """Runs the model on the calibration prompts, or on one alone, as the node does.

        Args:
            prompt: The one.
            memo: Whether what the memo saves is saved; counted as spent else.
        """
        module = self.host.module("nodes.calibration.runner")

        class Unremembering(module.HostRunner):  # type: ignore[misc, name-defined]
            @property
            def model_calls(self) -> int:
                return int(super().model_calls + self.memo.saved)

        chosen = range(self.count) if prompt is None else (prompt,)
        job = replace(self.model.job(), seed=self.model.seed + chosen[0])
        positives = [self.model.encode(self.model.texts[i]) for i in chosen]
        kind = module.HostRunner if memo else Unremembering
        return kind(job, positives, self.model.lpips)

    def run_of(
        self, variant: Variant, storage: Any, name: str = "", prompt: int | None = None
    ) -> Any:
        """The pack's own calibration under way, its stage 1 done; look-backs are of all prompts.

        Args:
            variant: How it searches.
            storage: Where its studies are kept; None for memory.
            name: Of its studies.
            prompt: The only prompt that counts, or all.
        """
        calibration = self.core("calibration.run")
        full_runs = self.full_runs
        if prompt is not None:
            full_runs = self.core("calibration.full_runs").FullRuns()
            full_runs.put(0, self.full_runs.get(prompt))
        run = calibration.CalibrationRun(
            runner=self.runner(prompt, memo=variant.memo),
            settings=self.core("calibration.settings").Settings(
                STEPS, REFERENCE, BUDGET, gains=variant.gains, estimator=variant.estimator
            ),
            sampling=self.core("documents.anchor").Sampling(sigmas=self.sigmas),
            about={},
            full_runs=full_runs,
            storage=storage,
            study_name=name or variant.name,
            progress=lambda stage, done, total: None,
            stop=lambda: False,
        )
        run.run_in_full(0)
        if prompt is not None and run.table is not None:
            run.table = self.graphs.pairs.look_back_table()
        return run

    def search(
        self,
        name: str,
        starts: list[Any],
        variant: Variant,
        prompt: int | None = None,
        *,
        kept: bool = True,
    ) -> Searched:
        """One search at the budget of its starts, on all prompts or on one.

        Args:
            name: Of its study.
            starts: Where it starts, the most trusted first.
            variant: How it searches.
            prompt: The only prompt that counts, or all.
            kept: Whether its trials survive a run that is cut short; without, it is far quicker.
        """
        storage = self.storage(len(starts[0].computed_steps)) if kept else None
        run = self.run_of(variant, storage, name, prompt)
        settings = self.core("search.settings").SearchSettings(
            trials=variant.trials,
            patience=variant.patience,
            proposer=variant.proposer,
            polish=variant.polish,
            p_threshold=0.1 if variant.early else 0.0,
        )
        start = time.perf_counter()
        found = run.search("anchor", starts, settings, run.fit)
        calls = found.model_calls + run.fits.model_calls
        return Searched(found, calls, time.perf_counter() - start)

    def starts(self, variant: Variant, budget: int = BUDGET) -> list[Any]:
        """A variant's warm starts."""
        of = self.core("gaps").candidate
        if variant.starts == "paper":
            return [of(self.graphs.paper_path(budget))]
        found = self.graphs.candidates(budget)
        return found if variant.gains else list(dict.fromkeys(of(c.computed_steps) for c in found))

    def schedule(self, of: Any) -> Any:
        """A candidate as a schedule."""
        schedules = self.core("documents.schedule")
        return schedules.Schedule(
            *(STEPS, of.computed_steps, "slope", (), self.sigmas), **schedules.coefficients(of)
        )
