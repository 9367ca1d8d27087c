"""A cache schedule: which sampler steps run the model, and how the others are estimated."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypedDict

from ..errors import OTCacheError
from .fields import Fields, parse_document

MAX_STEPS = 1_000
MAX_LOOK_BACK = 6
MAX_SLOPE_GAIN = 4.0
MAX_DRIFT = 2.0
MAX_FORETOLD = 2.0
MAX_BEND = 2.0
OLDER_MAX_SLOPE_GAIN = 2.0
"""The largest that older releases read."""


class Coefficients(TypedDict, total=False):
    """What the slope estimator has for each edge, by the names that schedules have for it."""

    slope_gain: tuple[float, ...]
    drift: tuple[float, ...]
    foretold: tuple[float, ...]
    bend: tuple[float, ...]


COEFFICIENTS = ("slope_gain", "drift", "foretold", "bend")
NEWER_COEFFICIENTS = COEFFICIENTS[2:]
"""Those that older releases do not know."""

CALIBRATED_ESTIMATORS = ("slope", "meancache", "reuse")
ESTIMATORS = (*CALIBRATED_ESTIMATORS, "adaptive")
"""How a skipped step's velocity is estimated; see ``otcache_core.run_time.velocity``. The last one
teaches itself in each run, so that a calibration has nothing to say of it."""

DEFAULT_ESTIMATOR = "slope"


def _check_computed_steps(computed_steps: Sequence[int], steps: int) -> None:
    if not 1 <= steps <= MAX_STEPS:
        raise OTCacheError(f"`steps` must be from 1 to {MAX_STEPS} but got {steps}.")
    if not computed_steps or computed_steps[0] != 0 or computed_steps[-1] >= steps:
        raise OTCacheError(
            f"`computed_steps` must begin with 0 and end with steps - 1 = {steps - 1} or before "
            f"but got {list(computed_steps)}."
        )
    if any(later <= earlier for earlier, later in pairwise(computed_steps)):
        raise OTCacheError(
            f"`computed_steps` must be strictly increasing but got {list(computed_steps)}."
        )


def _check_coefficients(name: str, values: Sequence[float], most: float, edges: int) -> None:
    if len(values) != edges:
        raise OTCacheError(
            f"`{name}` must have one value per edge ({edges}) but has {len(values)}."
        )
    if any(not -most <= value <= most for value in values):
        raise OTCacheError(f"`{name}` values must be from {-most:g} to {most:g} but got {values}.")


@dataclass(frozen=True)
class Origin:
    """What the anchor behind a schedule was calibrated with; empty where it is not known.

    Attributes:
        architecture: The model's class in ComfyUI, or a kind of models.
        sampler, scheduler: ComfyUI's names.
        cfg: Guidance scale, or ``None`` where any will do.
        sigmas: Noise levels of the calibrated run, of any step count, or ``None``.
    """

    architecture: str = ""
    sampler: str = ""
    scheduler: str = ""
    cfg: float | None = None
    sigmas: tuple[float, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Schedule:
    """An immutable, validated schedule over ``steps`` sampler steps.

    Attributes:
        steps: Number of sampler steps, T.
        computed_steps: Step indices at which the model runs, strictly increasing; the first step
            is among them. Steps after the last of them are its tail.
        estimator: One of ``ESTIMATORS``.
        look_back: MeanCache's look-back for each edge from one computed step to the next, values
            from 1 to 6; left empty it is filled with 1, plain reuse.
        sigmas: The descending noise levels the schedule was made for, one more than there are
            steps, or ``None``.
        slope_gain: The slope estimator's factor on the slope for each edge, from -4 to 4, where 0
            is reuse; left empty it is filled with 1, the plain slope.
        drift: By what share the slope estimator expects the prediction of the clean picture to
            grow over each edge, on average, from -2 to 2; left empty it is filled with 0.
        foretold: What share of the change that the run itself would have foretold the slope
            estimator adds on each edge, from -2 to 2; left empty it is filled with 0. See
            ``otcache_core.run_time.own_coefficients``.
        bend: The slope estimator's factor, for each edge, on how the slope changed from the edge
            before, from -2 to 2; left empty it is filled with 0.
        origin: What its anchor was calibrated with, or ``None``; never part of a comparison.
        steadiness: What the adaptive estimator knows of the model, from -1 to 1, or ``None`` for
            nothing; see ``otcache_core.run_time.slope_trust``.
        of_steps: What it is for a run of another step count, where it was made for whatever the run
            has, or ``None``; never part of a comparison or a document.

    Raises:
        OTCacheError: If any of the rules above is broken.
    """

    steps: int
    computed_steps: tuple[int, ...]
    estimator: str = DEFAULT_ESTIMATOR
    look_back: tuple[int, ...] = ()
    sigmas: tuple[float, ...] | None = field(default=None, repr=False)
    slope_gain: tuple[float, ...] = ()
    drift: tuple[float, ...] = ()
    origin: Origin | None = field(default=None, repr=False, compare=False)
    steadiness: float | None = None
    of_steps: Callable[[int], Schedule] | None = field(default=None, repr=False, compare=False)
    foretold: tuple[float, ...] = ()
    bend: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "computed_steps", tuple(int(t) for t in self.computed_steps))
        _check_computed_steps(self.computed_steps, self.steps)
        edges = len(self.computed_steps) - 1
        object.__setattr__(self, "look_back", tuple(self.look_back) or (1,) * edges)
        if self.estimator not in ESTIMATORS:
            raise OTCacheError(
                f"`estimator` must be one of {', '.join(ESTIMATORS)} but got {self.estimator!r}."
            )
        if len(self.look_back) != edges:
            raise OTCacheError(
                f"`look_back` must have one value per edge ({edges}) but has {len(self.look_back)}."
            )
        if any(not 1 <= k <= MAX_LOOK_BACK for k in self.look_back):
            raise OTCacheError(
                f"`look_back` values must be from 1 to {MAX_LOOK_BACK} but got {self.look_back}."
            )
        object.__setattr__(self, "slope_gain", tuple(self.slope_gain) or (1.0,) * edges)
        _check_coefficients("slope_gain", self.slope_gain, MAX_SLOPE_GAIN, edges)
        object.__setattr__(self, "drift", tuple(self.drift) or (0.0,) * edges)
        _check_coefficients("drift", self.drift, MAX_DRIFT, edges)
        object.__setattr__(self, "foretold", tuple(self.foretold) or (0.0,) * edges)
        _check_coefficients("foretold", self.foretold, MAX_FORETOLD, edges)
        object.__setattr__(self, "bend", tuple(self.bend) or (0.0,) * edges)
        _check_coefficients("bend", self.bend, MAX_BEND, edges)
        if self.sigmas is not None:
            object.__setattr__(self, "sigmas", check_sigmas(self.sigmas, self.steps))
        check_steadiness(self.steadiness)

    @classmethod
    def full(cls, steps: int) -> Schedule:
        """The schedule that computes every step; sampling with it is the plain sampler."""
        return cls(steps, tuple(range(steps)))

    @property
    def budget(self) -> int:
        """Number of computed steps, B."""
        return len(self.computed_steps)

    @property
    def nfe(self) -> int:
        """Guided predictions in one run under a one-evaluation sampler; the same as ``budget``."""
        return self.budget

    @property
    def gaps(self) -> tuple[int, ...]:
        """First differences of ``computed_steps``: positive, with the tail they sum to T-1."""
        return tuple(later - earlier for earlier, later in pairwise(self.computed_steps))

    @property
    def tail(self) -> int:
        """Number of steps after the last computed one; published schedules have none."""
        return self.steps - 1 - self.computed_steps[-1]

    @property
    def mask(self) -> tuple[bool, ...]:
        """For each of the ``steps`` steps, whether it is computed."""
        computed = frozenset(self.computed_steps)
        return tuple(step in computed for step in range(self.steps))

    @property
    def is_full(self) -> bool:
        """Whether every step is computed."""
        return self.budget == self.steps

    def to_document(self) -> dict[str, Any]:
        """The schedule as plain JSON values; ``from_fields`` reads it back."""
        document: dict[str, Any] = {
            "steps": self.steps,
            "computed_steps": list(self.computed_steps),
            "estimator": self.estimator,
            "look_back": list(self.look_back),
            **coefficients_document(self),
        }
        if self.sigmas is not None:
            document["sigmas"] = list(self.sigmas)
        if self.steadiness is not None:
            document["steadiness"] = self.steadiness
        return document

    @classmethod
    def from_fields(cls, fields: Fields) -> Schedule:
        """Reads a schedule from untrusted JSON.

        Raises:
            OTCacheError: If a field is missing, of the wrong type or breaks a rule.
        """
        steps = fields.integer("steps", 1, MAX_STEPS)
        sigmas = fields.numbers("sigmas", 0.0, 1e6) if "sigmas" in fields else None
        return cls(
            steps,
            check_end(fields.integers("computed_steps", 0, steps - 1), steps),
            fields.text("estimator", DEFAULT_ESTIMATOR),
            fields.integers("look_back", 1, MAX_LOOK_BACK) if "look_back" in fields else (),
            sigmas,
            **coefficients_from(fields),
            steadiness=fields.number("steadiness", -1.0, 1.0) if "steadiness" in fields else None,
        )

    def to_json(self) -> str:
        """The schedule as JSON text."""
        return json.dumps(self.to_document(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """Reads ``to_json``'s text back; raises ``OTCacheError`` on anything else."""
        return cls.from_fields(parse_document(text, "schedule"))


def check_steadiness(value: float | None) -> None:
    """Refuses a steadiness out of range."""
    if value is not None and not -1.0 <= value <= 1.0:
        raise OTCacheError(f"`steadiness` must be from -1 to 1 but got {value}.")


def coefficients(of: Any, edges: slice = slice(None)) -> Coefficients:
    """The coefficients of a schedule's or a candidate's edges, to make another with."""
    return Coefficients(
        slope_gain=of.slope_gain[edges],
        drift=of.drift[edges],
        foretold=of.foretold[edges],
        bend=of.bend[edges],
    )


def coefficient_values(of: Any) -> tuple[tuple[float, ...], ...]:
    """The same in the order of ``COEFFICIENTS``."""
    return of.slope_gain, of.drift, of.foretold, of.bend


def coefficients_document(of: Any) -> dict[str, list[float]]:
    """The same as plain JSON values; what changes on no edge and was not always there is absent."""
    known = zip(COEFFICIENTS, coefficient_values(of), strict=True)
    return {
        name: list(values)
        for name, values in known
        if any(values) or name not in NEWER_COEFFICIENTS
    }


def needs_newer_release(of: Any) -> bool:
    """Whether releases that know documents of version 2 alone would refuse its coefficients."""
    steep = any(abs(gain) > OLDER_MAX_SLOPE_GAIN for gain in of.slope_gain)
    return steep or any((*of.foretold, *of.bend))


def coefficients_from(fields: Fields) -> Coefficients:
    """A schedule's coefficients from untrusted JSON; empty where they are absent."""

    def read(name: str, most: float) -> tuple[float, ...]:
        return fields.numbers(name, -most, most) if name in fields else ()

    return Coefficients(
        slope_gain=read("slope_gain", MAX_SLOPE_GAIN),
        drift=read("drift", MAX_DRIFT),
        foretold=read("foretold", MAX_FORETOLD),
        bend=read("bend", MAX_BEND),
    )


def longest_tail(steps: int) -> int:
    """How many steps at the end of a run a schedule may leave to its last computed step."""
    return steps // 10


def check_end(computed_steps: tuple[int, ...], steps: int) -> tuple[int, ...]:
    """The computed steps of a whole run as they are, once checked: they go on to about its end.

    Raises:
        OTCacheError: If they stop early, as steps that were made for a shorter run do.
    """
    earliest = steps - 1 - longest_tail(steps)
    if computed_steps and computed_steps[-1] < earliest:
        raise OTCacheError(
            f"`computed_steps` must end at step {earliest} or later in a run of {steps} steps but "
            f"end at {computed_steps[-1]}: are they for another step count?"
        )
    return computed_steps


def check_sigmas(sigmas: Sequence[float], steps: int) -> tuple[float, ...]:
    """The noise levels as a tuple, once checked: finite, never rising, not negative.

    Raises:
        OTCacheError: If they are not.
    """
    values = tuple(float(s) for s in sigmas)
    if len(values) != steps + 1:
        raise OTCacheError(
            f"`sigmas` must have steps + 1 = {steps + 1} values but has {len(values)}."
        )
    falling = all(later <= earlier for earlier, later in pairwise(values))
    if not falling or not 0.0 <= values[-1] <= values[0] < math.inf:
        raise OTCacheError(
            f"`sigmas` must be finite, never rise and not be negative but got {values}."
        )
    return values
