"""The anchor document: what calibration learned about one model, as plain JSON."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import OTCacheError
from ..whole_file import whole_file
from .facts import Calibration, LearnedInRuns, Objective, Sampling
from .fidelity import MAX_POINTS, FidelityCurve, FidelityPoint
from .fields import MAX_BYTES, Fields, parse_document
from .schedule import (
    MAX_LOOK_BACK,
    MAX_STEPS,
    Schedule,
    check_end,
    check_sigmas,
    coefficients_document,
    coefficients_from,
    needs_newer_release,
)

__all__ = [
    "SUFFIX",
    "Anchor",
    "Calibration",
    "LearnedInRuns",
    "LookBackTable",
    "Objective",
    "Sampling",
    "load_anchor",
    "save_anchor",
]

FORMAT = "otcache-anchor"
VERSION = 3
"""What is read; what version 2 can hold is written as version 2."""
SUFFIX = ".otanchor.json"
MAX_WEIGHTS = 64


LookBackTable = tuple[tuple[int, ...], ...]
"""Row t holds MeanCache's K for the edges ``t -> t+1, t -> t+2, ..., t -> T-1``."""


@dataclass(frozen=True)
class Anchor:
    """The calibrated schedules of one model, and all that says where they hold.

    Attributes:
        name: The model's name, for people.
        architecture: The model's class in ComfyUI, such as ``"Flux"``.
        reference: Stage 1's schedule at a conservative budget.
        anchor: Stage 2's schedule at a low budget.
        sampling: The sampling it was calibrated under.
        rho: Recommended power-law exponent, or ``None`` if none was calibrated.
        look_back_table: MeanCache's K per edge, or ``None``; see ``LookBackTable``.
        objective: What the search reached, or ``None`` if nothing was searched.
        calibration: How much the calibration saw.
        fidelity: The loss measured at a few budgets, or empty if it was not; see
            ``fidelity.FidelityCurve``.
        provenance: Where the schedules come from, in words.
        versions: Versions of the software that made it.
        middle: A third schedule, searched at a budget between the two, or ``None``.
        fitted: Predicted schedules at further budgets whose gains were fitted, the lowest budget
            first. Stage 3 takes them as they are, in other runs their gains alone.
        learned_in_runs: From how many model calls on the adaptive estimator was judged better than
            the fitted coefficients, or ``None`` for none.
        weights: Tells the model it was calibrated on from others of its class: a short hash in
            hexadecimal, or empty where it was not recorded.

    Raises:
        OTCacheError: If the schedules do not fit together, or a value is out of range.
    """

    name: str
    architecture: str
    reference: Schedule
    anchor: Schedule
    sampling: Sampling = Sampling()
    rho: float | None = None
    look_back_table: LookBackTable | None = field(default=None, repr=False)
    objective: Objective | None = None
    calibration: Calibration = Calibration()
    fidelity: tuple[FidelityPoint, ...] = ()
    provenance: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    middle: Schedule | None = None
    fitted: tuple[Schedule, ...] = ()
    weights: str = ""
    learned_in_runs: LearnedInRuns | None = None

    def __post_init__(self) -> None:
        _check_together(self.searched)
        if self.rho is not None and not 1.0 <= self.rho <= 2.0:
            raise OTCacheError(f"`rho` must be from 1 to 2 but got {self.rho}.")
        if self.sampling.sigmas is not None:
            check_sigmas(self.sampling.sigmas, self.steps)
        if self.look_back_table is not None:
            _check_look_back_table(self.look_back_table, self.steps)
        if self.fidelity:
            FidelityCurve(self.fidelity)
        _check_fitted(self.fitted, self.anchor)
        _check_weights(self.weights)
        _check_learned(self.learned_in_runs, self.anchor)

    @property
    def searched(self) -> tuple[tuple[str, Schedule], ...]:
        """The calibrated schedules by name, the lowest budget first."""
        middle = () if self.middle is None else (("middle", self.middle),)
        return (("anchor", self.anchor), *middle, ("reference", self.reference))

    @property
    def steps(self) -> int:
        """Step count the schedules were calibrated at."""
        return self.anchor.steps

    @property
    def estimator(self) -> str:
        """Estimator the schedules were calibrated with."""
        return self.anchor.estimator

    def learned_at(self, budget: int) -> LearnedInRuns | None:
        """How schedules of so many model calls teach themselves, ``None`` where they do not."""
        learned = self.learned_in_runs
        return learned if learned is not None and budget >= learned.from_budget else None

    def look_back_for(self, computed_steps: tuple[int, ...], steps: int) -> tuple[int, ...]:
        """MeanCache's K for each edge of a schedule over ``steps`` steps; empty without a table."""
        if self.look_back_table is None or min(steps, self.steps) < 2:
            return ()
        scale = (self.steps - 1) / (steps - 1)
        nodes = [round(t * scale) for t in computed_steps]
        table = self.look_back_table
        return tuple(
            table[t][min(s - t, len(table[t])) - 1] if s > t else 1
            for t, s in zip(nodes, nodes[1:], strict=False)
        )

    def to_document(self) -> dict[str, Any]:
        """The anchor as plain JSON values."""
        schedules = (*(schedule for _, schedule in self.searched), *self.fitted)
        new = any(map(needs_newer_release, schedules))
        document: dict[str, Any] = {"format": FORMAT, "version": VERSION if new else 2}
        document |= {"name": self.name, "architecture": self.architecture, "steps": self.steps}
        if self.weights:
            document["weights"] = self.weights
        document["estimator"] = self.estimator
        document["rho"] = self.rho
        for key, schedule in reversed(self.searched):
            document[key] = _schedule_document(schedule)
        if self.fitted:
            document["fitted"] = [_schedule_document(schedule) for schedule in self.fitted]
        if self.learned_in_runs is not None:
            document["learned_in_runs"] = self.learned_in_runs.to_document()
        document["objective"] = None if self.objective is None else asdict(self.objective)
        document["calibration"] = asdict(self.calibration)
        document["fidelity"] = [asdict(point) for point in self.fidelity]
        document["provenance"] = self.provenance
        document["versions"] = dict(self.versions)
        document["sampling"] = asdict(self.sampling)
        if self.look_back_table is not None:
            document["look_back_table"] = ["".join(map(str, row)) for row in self.look_back_table]
        return document

    def to_json(self) -> str:
        """The anchor as JSON text, readable and stable.

        Raises:
            OTCacheError: If it holds what ``from_json`` refuses, such as NaN or an overlong name.
        """
        text = json.dumps(self.to_document(), indent=1)
        Anchor.from_json(text)
        return text

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "anchor") -> Anchor:
        """Reads an anchor from untrusted text.

        Args:
            text: The document.
            name: What to call it in errors.

        Raises:
            OTCacheError: If it is damaged, of an unknown version or breaks any rule; the message
                names the field.
        """
        fields = parse_document(text, name)
        if fields.text("format", "") != FORMAT:
            raise OTCacheError(f'{name}.format must be "{FORMAT}": this is not an OTCache anchor.')
        version = fields.integer("version", 1, 1 << 30)
        if version > VERSION:
            raise OTCacheError(
                f"{name}.version must be at most {VERSION} but got {version}: update OTCache to "
                "read it."
            )
        try:
            return cls._from_fields(fields)
        except OTCacheError as error:
            prefix = "" if str(error).startswith(name) else f"{name}: "
            raise OTCacheError(f"{prefix}{error}") from None

    @classmethod
    def _from_fields(cls, fields: Fields) -> Anchor:
        steps = fields.integer("steps", 2, MAX_STEPS)
        estimator = fields.text("estimator")
        sampling = Sampling.from_fields(fields.nested("sampling"))

        def schedule(part: Fields) -> Schedule:
            nodes = check_end(part.integers("computed_steps", 0, steps - 1), steps)
            edges = part.integers("look_back", 1, MAX_LOOK_BACK) if "look_back" in part else ()
            coefficients = coefficients_from(part)
            return Schedule(steps, nodes, estimator, edges, sampling.sigmas, **coefficients)

        return cls(
            name=fields.text("name"),
            architecture=fields.text("architecture"),
            reference=schedule(fields.nested("reference")),
            anchor=schedule(fields.nested("anchor")),
            sampling=sampling,
            rho=fields.number("rho", 1.0, 2.0) if "rho" in fields else None,
            look_back_table=_read_look_back_table(fields),
            objective=Objective.from_fields(fields.nested("objective"))
            if "objective" in fields
            else None,
            calibration=Calibration.from_fields(fields.nested("calibration"))
            if "calibration" in fields
            else Calibration(),
            fidelity=tuple(map(FidelityPoint.from_fields, fields.objects("fidelity")))
            if "fidelity" in fields
            else (),
            provenance=fields.text("provenance", ""),
            versions=fields.texts("versions") if "versions" in fields else {},
            middle=schedule(fields.nested("middle")) if "middle" in fields else None,
            fitted=tuple(map(schedule, fields.objects("fitted"))) if "fitted" in fields else (),
            weights=fields.text("weights", ""),
            learned_in_runs=LearnedInRuns.from_fields(fields.nested("learned_in_runs"))
            if "learned_in_runs" in fields
            else None,
        )


def _schedule_document(schedule: Schedule) -> dict[str, Any]:
    return {
        "computed_steps": list(schedule.computed_steps),
        "look_back": list(schedule.look_back),
        **coefficients_document(schedule),
    }


def _check_fitted(fitted: tuple[Schedule, ...], anchor: Schedule) -> None:
    budgets = [schedule.budget for schedule in fitted]
    if len(budgets) > MAX_POINTS or budgets != sorted(set(budgets)):
        raise OTCacheError(
            f"`fitted` must have at most {MAX_POINTS} schedules with increasing budgets but has "
            f"budgets {budgets[:8]}."
        )
    if any(schedule.steps != anchor.steps for schedule in fitted):
        raise OTCacheError(f"`fitted` schedules must have {anchor.steps} steps like the anchor.")


def _check_weights(weights: str) -> None:
    if len(weights) > MAX_WEIGHTS or not set(weights) <= set("0123456789abcdef"):
        raise OTCacheError(
            f"`weights` must be at most {MAX_WEIGHTS} hexadecimal digits but got "
            f"{reprlib.repr(weights)}."
        )


def _check_learned(learned: LearnedInRuns | None, anchor: Schedule) -> None:
    if learned is None:
        return
    if anchor.estimator not in ("slope", "adaptive"):
        raise OTCacheError(
            "`learned_in_runs` must go with the slope or the adaptive estimator but the anchor's "
            f"is {anchor.estimator!r}."
        )
    # A guess for models that nobody calibrated teaches itself at any budget.
    least = anchor.budget if anchor.estimator == "slope" else 2
    if not least <= learned.from_budget <= anchor.steps:
        raise OTCacheError(
            f"`learned_in_runs.from_budget` must be from the anchor's budget {least} to "
            f"its steps {anchor.steps} but got {learned.from_budget}."
        )


def _check_together(searched: tuple[tuple[str, Schedule], ...]) -> None:
    """Refuses schedules that are not of one run or not in the order of their budgets."""
    first, lowest = searched[0]
    for name, schedule in searched[1:]:
        if schedule.steps != lowest.steps:
            raise OTCacheError(
                f"`{name}` and `{first}` must have the same steps but have "
                f"{schedule.steps} and {lowest.steps}."
            )
    budgets = [schedule.budget for _, schedule in searched]
    if budgets[0] < 2 or budgets != sorted(set(budgets)):
        raise OTCacheError(
            f"budgets must satisfy 2 <= {' < '.join(name for name, _ in searched)} but are "
            f"{' and '.join(map(str, budgets))}."
        )
    for name, schedule in searched[1:]:
        if schedule.estimator != lowest.estimator:
            raise OTCacheError(
                f"`{name}` and `{first}` must have one estimator but have "
                f"{schedule.estimator!r} and {lowest.estimator!r}."
            )


def _check_look_back_table(table: LookBackTable, steps: int) -> None:
    lengths = [len(row) for row in table]
    if lengths != [steps - 1 - t for t in range(steps - 1)]:
        raise OTCacheError(
            f"`look_back_table` must have steps - 1 = {steps - 1} rows, row t with steps - 1 - t "
            f"values, but has rows of {lengths[:8]}..."
        )
    if any(not 1 <= k <= MAX_LOOK_BACK for row in table for k in row):
        raise OTCacheError(f"`look_back_table` values must be from 1 to {MAX_LOOK_BACK}.")


def _read_look_back_table(fields: Fields) -> LookBackTable | None:
    if "look_back_table" not in fields:
        return None
    rows = fields.strings("look_back_table")
    if any(not row.isascii() or not row.isdigit() for row in rows):
        raise OTCacheError("`look_back_table` must be rows of digits.")
    return tuple(tuple(int(k) for k in row) for row in rows)


def load_anchor(path: Path) -> Anchor:
    """Reads an anchor file.

    Raises:
        OTCacheError: If it is missing, too large, damaged or of an unknown version.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise OTCacheError(f"anchor {path.name} must be readable but is not: {error}.") from error
    return Anchor.from_json(content, path.name)


def save_anchor(anchor: Anchor, path: Path) -> None:
    """Writes an anchor file in one step: a reader sees the old file or the new one, never half.

    Raises:
        OTCacheError: If the anchor could not be read back, or an old file stays held open.
    """
    content = anchor.to_json().encode()
    with whole_file(path) as file:
        file.write(content)
