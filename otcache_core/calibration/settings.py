"""What to calibrate: budgets, estimator, and how much to search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..documents.schedule import CALIBRATED_ESTIMATORS, DEFAULT_ESTIMATOR
from ..errors import OTCacheError
from ..graph import DEFAULT_GAMMA
from ..search.settings import SearchSettings

RHO_CANDIDATES = (1.0, 1.1, 1.2, 1.3, 1.5)

QUICK_TRIALS = 4
"""Runs of the anchor's budget for each prompt: three kinds of paths, the chosen one once more."""


@dataclass(frozen=True)
class Settings:
    """What to calibrate.

    Attributes:
        steps: Step count, T.
        reference_budget: B of stage 1, the paper's 20.
        anchor_budget: B of stage 2, the paper's 8.
        middle_budget: B of a third searched schedule between the two, or 0 for none.
        estimator: How skipped steps are estimated; decides the graph of stage 1.
        gamma: Peak suppression of the shortest paths (Eq. 4).
        metric: Name of the loss, for the anchor.
        search: How stage 2 searches.
        gains: Whether the slope's edges are fitted, for every candidate of stage 2 too.
        most_tail: How many steps after the last computed one stage 2 may leave to the slope. None:
            at the anchor's own budget some win a little, at others they cost up to threefold.
        rhos: Exponents to choose from at ``rho_budgets``.
        most_fitted: From the anchor's budget to the reference's, at how many budgets edges are
            fitted.
        refine: Whether the gains of what stage 2 finds are fitted once more, all together.
        curve: Whether the loss is measured over budgets in the end.
    """

    steps: int = 50
    reference_budget: int = 20
    anchor_budget: int = 8
    middle_budget: int = 0
    estimator: str = DEFAULT_ESTIMATOR
    gamma: float = DEFAULT_GAMMA
    metric: str = "lpips-alex"
    search: SearchSettings = SearchSettings()
    gains: bool = True
    most_tail: int = 0
    rhos: tuple[float, ...] = RHO_CANDIDATES
    most_fitted: int = 16
    refine: bool = True
    curve: bool = True

    def __post_init__(self) -> None:
        low, high = self.anchor_budget, self.reference_budget
        if not 3 <= low < high < self.steps:
            raise OTCacheError(
                "budgets must satisfy 3 <= anchor < reference < steps but got anchor "
                f"{low}, reference {high}, steps {self.steps}."
            )
        if self.middle_budget and not low < self.middle_budget < high:
            raise OTCacheError(
                f"`middle_budget` must be 0 or between {low} and {high} but got "
                f"{self.middle_budget}."
            )
        if self.estimator not in CALIBRATED_ESTIMATORS:
            known = ", ".join(CALIBRATED_ESTIMATORS)
            raise OTCacheError(f"`estimator` must be one of {known} but got {self.estimator!r}.")

    @property
    def fits_gains(self) -> bool:
        """Whether gains are fitted: the slope alone has any."""
        return self.gains and self.estimator == "slope"

    @property
    def judges_choices(self) -> bool:
        """Whether LPIPS decides on more than the paper's: reference and tail, after a search."""
        return self.searches and self.fits_gains and self.curve and not self.middle_budget

    @property
    def by_roots(self) -> bool:
        """Whether stage 2 compares roots of losses: rare pictures that tip over count less."""
        return self.fits_gains

    @property
    def rho_budgets(self) -> tuple[int, ...]:
        """The budgets that rho is calibrated at, the lowest first.

        One, in the paper's way; with fits a second one too, which speaks for those further up.
        """
        return self.predicted_budgets if self.fits_gains else self.predicted_budgets[:1]

    @property
    def predicted_budgets(self) -> tuple[int, ...]:
        """The budgets that speak for all predicted ones, the lowest first.

        A quarter of the way up, where losses still are, and half-way from there to the reference.
        """
        low, high = self.anchor_budget, self.reference_budget
        first = min(low + max(2, (high - low) // 4), high - 1)
        return tuple(sorted({first, (first + high) // 2} - {low}))

    @classmethod
    def quick(cls, **given: Any) -> Settings:
        """No search: shortest paths and fits of their edges, at four budgets.

        Args:
            given: Attributes that the caller decides.
        """
        search = SearchSettings(trials=QUICK_TRIALS, proposer="none", polish=False)
        few: dict[str, Any] = {"rhos": (1.0,), "most_fitted": 4, "refine": False}
        return cls(**{"search": search, **few, **given})

    @property
    def searches(self) -> bool:
        """Whether stage 2 tries more than the shortest paths."""
        return self.search.trials > QUICK_TRIALS

    @property
    def curve_budgets(self) -> tuple[int, ...]:
        """The budgets whose loss is measured: those of the fits, where nothing else is spent."""
        if not self.searches:
            return self._between
        low, high = self.anchor_budget, self.reference_budget
        listed = {low, *self.predicted_budgets, high, high + (high - low) // 2}
        return tuple(sorted(b for b in listed if b < self.steps))

    @property
    def judged_budgets(self) -> tuple[int, ...]:
        """Where learning in runs may be judged against fitted coefficients, the highest first."""
        if not (self.fits_gains and self.curve):
            return ()
        budgets = [b for b in reversed(self.curve_budgets) if b <= self.reference_budget]
        return tuple(budgets if self.searches else budgets[:3:2])

    @property
    def fitted_budgets(self) -> tuple[int, ...]:
        """The budgets whose gains are fitted: every one that people choose, as far as may be."""
        if not self.fits_gains:
            return ()
        return tuple(sorted({*self._between, *self.curve_budgets}))

    @property
    def _between(self) -> tuple[int, ...]:
        """Budgets from the anchor's to the reference's, ``most_fitted`` at most."""
        low, high = self.anchor_budget, self.reference_budget
        if high - low < self.most_fitted:
            return tuple(range(low, high + 1))
        # Low budgets have more to gain, and change more from one to the next.
        between = np.geomspace(low, high, self.most_fitted).round().astype(int)
        return tuple(sorted(set(between.tolist())))
