"""What an anchor tells of its making: the sampling, what was minimised, how much was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import OTCacheError
from .fields import Fields
from .schedule import MAX_STEPS, check_steadiness

MAX_PICTURES = 1 << 30
DOUBT = 0.2
"""By how much the steadiness of single pictures differs."""


@dataclass(frozen=True)
class Sampling:
    """The sampling an anchor was calibrated under.

    Attributes:
        sampler: ComfyUI's sampler name, such as ``"euler"``.
        scheduler: ComfyUI's scheduler name, such as ``"simple"``.
        cfg: Classifier-free guidance scale.
        guidance: Distilled guidance of the conditioning (FLUX), where it had any.
        width, height: Picture size in pixels.
        frames: Latent frames of a video, 1 for a picture.
        sigmas: The ``steps + 1`` noise levels of the run, or ``None`` if they were not recorded.
    """

    sampler: str = ""
    scheduler: str = ""
    cfg: float = 1.0
    guidance: float | None = None
    width: int = 0
    height: int = 0
    frames: int = 1
    sigmas: tuple[float, ...] | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Sampling:
        """Reads the ``sampling`` object of an anchor."""
        return cls(
            fields.text("sampler", ""),
            fields.text("scheduler", ""),
            fields.number("cfg", 0.0, 1000.0) if "cfg" in fields else 1.0,
            fields.number("guidance", 0.0, 1000.0) if "guidance" in fields else None,
            fields.integer("width", 0, 1 << 20) if "width" in fields else 0,
            fields.integer("height", 0, 1 << 20) if "height" in fields else 0,
            fields.integer("frames", 1, 1 << 20) if "frames" in fields else 1,
            fields.numbers("sigmas", 0.0, 1e6) if "sigmas" in fields else None,
        )


@dataclass(frozen=True)
class Objective:
    """What the search minimised, and what it reached.

    Attributes:
        metric: Name of the measure, such as ``"lpips-alex"``; lower is better.
        warm_start: Its value for the stage-1 schedule at the anchor's budget.
        best: Its value for the anchor.
    """

    metric: str
    warm_start: float
    best: float

    @classmethod
    def from_fields(cls, fields: Fields) -> Objective:
        """Reads the ``objective`` object of an anchor."""
        return cls(
            fields.text("metric"),
            fields.number("warm_start", 0.0, 1e9),
            fields.number("best", 0.0, 1e9),
        )


@dataclass(frozen=True)
class Calibration:
    """How much the calibration saw: prompts, trials, guided predictions, seed."""

    prompts: int = 0
    trials: int = 0
    model_calls: int = 0
    seed: int = 0

    @classmethod
    def from_fields(cls, fields: Fields) -> Calibration:
        """Reads the ``calibration`` object of an anchor."""
        high = {
            "prompts": 1 << 30,
            "trials": 1 << 30,
            "model_calls": 1 << 50,
            "seed": (1 << 64) - 1,
        }
        return cls(**{k: fields.integer(k, 0, top) for k, top in high.items() if k in fields})


@dataclass(frozen=True)
class LearnedInRuns:
    """From how many model calls on predicted schedules teach themselves in each run.

    Coefficients that were fitted beforehand lead where a run computes few steps. One that computes
    more learns them better from itself, and wants its steps more evenly spaced then.

    Attributes:
        from_budget: The lowest budget of schedules with the adaptive estimator.
        evenness: How far their steps move from where they are predicted to even spacing, 0 to 1.
        steadiness: How far the model's slopes go on as they came, from -1 to 1, or ``None`` if no
            run has told; see ``otcache_core.run_time.slope_trust``.
        pictures: How many pictures have told it.

    Raises:
        OTCacheError: If a value is out of range.
    """

    from_budget: int
    evenness: float = 0.0
    steadiness: float | None = None
    pictures: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.evenness <= 1.0:
            raise OTCacheError(f"`evenness` must be from 0 to 1 but got {self.evenness}.")
        check_steadiness(self.steadiness)
        if not 0 <= self.pictures <= MAX_PICTURES:
            raise OTCacheError(
                f"`pictures` must be from 0 to {MAX_PICTURES} but got {self.pictures}."
            )

    @property
    def believed(self) -> float | None:
        """The steadiness to count on: few pictures may have been steady ones."""
        known = self.steadiness
        if known is None or not self.pictures:
            return known
        return max(-1.0, known - DOUBT / math.sqrt(self.pictures))

    def to_document(self) -> dict[str, Any]:
        """What was learned as plain JSON values; ``from_fields`` reads it back."""
        document: dict[str, Any] = {"from_budget": self.from_budget, "evenness": self.evenness}
        if self.steadiness is not None:
            document |= {"steadiness": self.steadiness, "pictures": self.pictures}
        return document

    @classmethod
    def from_fields(cls, fields: Fields) -> LearnedInRuns:
        """Reads the ``learned_in_runs`` object of an anchor."""
        return cls(
            fields.integer("from_budget", 2, MAX_STEPS),
            fields.number("evenness", 0.0, 1.0),
            fields.number("steadiness", -1.0, 1.0) if "steadiness" in fields else None,
            fields.integer("pictures", 0, MAX_PICTURES) if "pictures" in fields else 0,
        )
