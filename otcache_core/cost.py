"""What a calibration costs in model calls, said before it is paid."""

from __future__ import annotations

from dataclasses import dataclass

from .calibration import MOST_FIT_PROMPTS, RHO_CANDIDATES, Settings

PAPER_TRIALS = 200

SPENT_SHARE = 0.3
"""Share of a candidate's calls on all prompts that a search spends on it: losing candidates are
given up early and shared prefixes are run once. Measured by ``nox -s bench -- calibration``."""


def paper_calls(prompts: int, anchor_budget: int) -> int:
    """Model calls of stage 2 as in the paper: 200 candidates on every prompt."""
    return PAPER_TRIALS * anchor_budget * prompts


@dataclass(frozen=True)
class Cost:
    """Model calls of a calibration by stage, if every candidate were tried on every prompt.

    Attributes:
        full_runs: Stage 1.
        search: Stage 2.
        rho: The search for rho.
        curve: The fidelity curve.
        fits: The gains of the first warm start and of the search's best.
        fitted_share: Share of the prompts that gains are fitted on, which nothing spares.
    """

    full_runs: int
    search: int
    rho: int
    curve: int
    fits: int = 0
    fitted_share: float = 0.0

    @property
    def most(self) -> int:
        """Upper bound."""
        return self.full_runs + self.search + self.fits + self.rho + self.curve

    @property
    def likely_search(self) -> int:
        """What to expect of stage 2."""
        return round(SPENT_SHARE * self.search) + self.fits

    @property
    def likely_rho(self) -> int:
        """What to expect of the search for rho."""
        share = self.fitted_share + SPENT_SHARE * (1.0 - self.fitted_share)
        return round(share * self.rho)

    @property
    def likely(self) -> int:
        """What to expect in all."""
        return self.full_runs + self.likely_search + self.likely_rho + self.curve


def calibration_cost(settings: Settings, prompts: int) -> Cost:
    """The cost of a calibration that starts from nothing."""
    calls = settings.anchor_budget + settings.middle_budget
    known = {settings.anchor_budget, settings.rho_budget}  # measured on the way
    curve = sum(b for b in settings.curve_budgets if b not in known) if settings.curve else 0
    fitted = min(prompts, MOST_FIT_PROMPTS) if settings.fits_gains else 0
    return Cost(
        prompts * settings.steps,
        prompts * settings.search.trials * calls,
        prompts * len(RHO_CANDIDATES) * settings.rho_budget,
        prompts * curve,
        2 * settings.anchor_budget * fitted,
        fitted / prompts,
    )
