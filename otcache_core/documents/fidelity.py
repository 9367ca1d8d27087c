"""What a budget costs in fidelity: the loss measured at a few budgets, read off at any."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import OTCacheError
from ..message import Message
from .fields import Fields
from .schedule import MAX_STEPS

MAX_POINTS = 100
_SMALLEST_LOSS = 1e-6


@dataclass(frozen=True)
class FidelityPoint:
    """Loss of the predicted schedule at one budget over the calibration prompts.

    Attributes:
        budget: Model calls.
        mean: Mean loss over prompts.
        spread: Its standard deviation over prompts.
        median: Median loss over prompts, where it was kept.
    """

    budget: int
    mean: float
    spread: float
    median: float | None = None

    @property
    def typical(self) -> float:
        """What most pictures see: the median, for one prompt that tips over moves the mean far."""
        return self.mean if self.median is None else self.median

    @classmethod
    def of(cls, budget: int, losses: Iterable[float]) -> FidelityPoint:
        """The point of a budget by the losses of its prompts, at least one."""
        values = np.array(list(losses), dtype=np.float64)
        return cls(budget, float(values.mean()), float(values.std()), float(np.median(values)))

    @classmethod
    def from_fields(cls, fields: Fields) -> FidelityPoint:
        """Reads one point of an anchor's ``fidelity``."""
        return cls(
            fields.integer("budget", 1, MAX_STEPS),
            fields.number("mean", 0.0, 1e9),
            fields.number("spread", 0.0, 1e9),
            fields.number("median", 0.0, 1e9) if "median" in fields else None,
        )


class FidelityCurve:
    """Expected loss against budget, through the losses of measured points.

    Between points the logarithm of a loss is linear in the logarithm of the budget, and more
    model calls never cost fidelity: a point that says so is noise and is levelled. Outside the
    measured budgets the nearest point answers.

    Args:
        points: At least one, budgets strictly increasing.

    Raises:
        OTCacheError: If the points are not such.
    """

    def __init__(self, points: Iterable[FidelityPoint]) -> None:
        self.points = tuple(points)
        budgets = [point.budget for point in self.points]
        if not 1 <= len(budgets) <= MAX_POINTS or budgets != sorted(set(budgets)):
            raise OTCacheError(
                f"`fidelity` must have 1 to {MAX_POINTS} points with increasing budgets but has "
                f"budgets {budgets[:8]}."
            )
        self._log_budgets = np.log(budgets)
        self._log_typical = _levelled([point.typical for point in self.points])
        self._log_mean = _levelled([point.mean for point in self.points])

    def expected(self, budget: int) -> tuple[float, float]:
        """Loss to expect at a budget: of most pictures, and the mean, which rare ones raise."""
        at = math.log(max(budget, 1))
        typical, mean = (
            math.exp(float(np.interp(at, self._log_budgets, losses)))
            for losses in (self._log_typical, self._log_mean)
        )
        return typical, mean

    def budget_for(self, target: float) -> int:
        """The smallest measured or interpolated budget whose expected loss meets ``target``.

        Raises:
            OTCacheError: If even the highest measured budget is expected to miss it.
        """
        low, high = self.points[0].budget, self.points[-1].budget
        for budget in range(low, high + 1):
            if self.expected(budget)[0] <= target * (1.0 + 1e-9):
                return budget
        raise OTCacheError(
            Message(
                "target_too_low",
                "the target loss must be at least {least}, expected at {high} model calls, but is "
                "{target}: raise the target, or choose a budget above {high}.",
                least=f"{self.expected(high)[0]:.4f}",
                high=high,
                target=f"{target:g}",
            )
        )


def _levelled(losses: list[float]) -> NDArray[np.float64]:
    """Logarithms of losses that never rise."""
    lowest_yet = np.minimum.accumulate(np.array(losses, dtype=np.float64))
    logarithms: NDArray[np.float64] = np.log(np.maximum(lowest_yet, _SMALLEST_LOSS))
    return logarithms


def choose_budget(points: tuple[FidelityPoint, ...], budget: int, target: float) -> int:
    """The budget asked for, or with a target the smallest one that is expected to meet it.

    Args:
        points: An anchor's fidelity curve, perhaps empty.
        budget: What to take without a target.
        target: Highest expected loss, or 0 for none.

    Raises:
        OTCacheError: If there is a target but no curve, or no measured budget meets it.
    """
    if target <= 0.0:
        return budget
    if not points:
        raise OTCacheError(
            Message(
                "target_without_curve",
                "a target of {target} needs an anchor with a fidelity curve but this one has none: "
                "set the target to 0 and choose a budget, or calibrate an anchor.",
                target=f"{target:g}",
            )
        )
    return FidelityCurve(points).budget_for(target)
