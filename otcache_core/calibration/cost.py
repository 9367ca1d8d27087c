"""What a calibration costs in model calls, said before it is paid."""

from __future__ import annotations

from dataclasses import dataclass

from ..estimate.edge_fit import MOST_REFINEMENTS
from .last_call import moves_last_calls
from .run import MOST_FIT_PROMPTS, fit_prompts
from .settings import Settings
from .tail import leaves_tails, tails

PAPER_TRIALS = 200

SPENT_PROMPTS, SPENT_SHARE = 4.0, 1 / 8
"""Runs that a search spends on a candidate: on a few prompts, after which most are given up, and
on a share of them all. Gains and shared prefixes are in it. From calibrations on 10, 16 and 48
prompts."""


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
        fits: Gains at the budgets between the points of the curve.
        refined: All gains of a searched schedule together.
        learned: Learning in runs at the budgets where it is judged, and where it is chosen.
        reference: Three kinds of references, judged half-way and at their own budget, where one of
            them is in the curve.
        tail: All tails at the anchor's budget and at the predicted ones, with their fits.
        last_calls: All places of the last call of each schedule that is fitted.
        spent_share: Share of a candidate's runs that it is likely to take.
    """

    full_runs: int
    search: int
    rho: int
    curve: int
    fits: int = 0
    refined: int = 0
    learned: int = 0
    tail: int = 0
    last_calls: int = 0
    reference: int = 0
    spent_share: float = 1.0

    @property
    def most(self) -> int:
        """Upper bound."""
        before = self.full_runs + self.search + self.refined + self.rho
        after = self.curve + self.fits + self.learned + self.tail + self.last_calls
        return before + after + self.reference

    @property
    def likely_search(self) -> int:
        """What to expect of stage 2, gains included."""
        return round(self.spent_share * self.search + 0.5 * self.refined)

    @property
    def likely_rho(self) -> int:
        """What to expect of the search for rho, and of tails: few are judged to the end."""
        return round(self.spent_share * self.rho + 0.5 * self.tail)

    @property
    def likely_curve(self) -> int:
        """What to expect of the fidelity curve with its gains, which share half of their runs.

        Learning is judged at high budgets first, and no further where it does not win; kinds of
        references are often the same, and given up half-way.
        """
        halves = self.fits + self.learned + self.last_calls
        return self.curve + round(0.6 * self.reference + 0.5 * halves)

    @property
    def likely(self) -> int:
        """What to expect in all."""
        return self.full_runs + self.likely_search + self.likely_rho + self.likely_curve


def calibration_cost(settings: Settings, prompts: int) -> Cost:
    """The cost of a calibration that starts from nothing."""
    searched = [b for b in (settings.anchor_budget, settings.middle_budget) if b]
    tried = settings.rho_budgets if len(settings.rhos) > 1 else ()
    known = {settings.anchor_budget, *tried}  # measured on the way
    measured = sum(b for b in settings.curve_budgets if b not in known)
    fitted = sum({*settings.fitted_budgets} - {*settings.curve_budgets, settings.middle_budget})
    # Each step runs a schedule as it is and with each gain moved, from that gain's edge on.
    refined = settings.fits_gains and settings.refine
    most = min(MOST_FIT_PROMPTS, prompts)
    runs = most * MOST_REFINEMENTS * refined
    return Cost(
        prompts * settings.steps,
        prompts * settings.search.trials * sum(searched),
        prompts * len(settings.rhos) * sum(tried),
        prompts * measured * settings.curve,
        most * fitted * settings.curve,
        runs * sum(budget * budget // 2 for budget in searched)
        + 2 * most * sum(searched) * settings.fits_gains * settings.searches,
        prompts * sum(_learned_budgets(settings)),
        (prompts + fit_prompts(prompts)) * _tail_calls(settings),
        prompts * _last_calls(settings),
        prompts * _reference_calls(settings),
        min(SPENT_PROMPTS / prompts + SPENT_SHARE, 1.0) if settings.searches else 1.0,
    )


def _tail_calls(settings: Settings) -> int:
    """One prompt's, for every tail at the anchor's budget and at predicted ones."""
    budgets = (settings.anchor_budget, *settings.predicted_budgets)
    return len(tails(settings.steps)) * sum(budgets) * leaves_tails(settings)


def _last_calls(settings: Settings) -> int:
    """One prompt's, at every budget that has a schedule of its own: the last one, and moved."""
    budgets = {*settings.fitted_budgets, *settings.curve_budgets}
    return (1 + len(tails(settings.steps))) * len(budgets) * moves_last_calls(settings)


def _reference_calls(settings: Settings) -> int:
    """One prompt's, for every kind of reference."""
    half_way = sum(settings.predicted_budgets[-1:])
    return settings.judges_choices * (3 * half_way + 2 * settings.reference_budget)


def _learned_budgets(settings: Settings) -> set[int]:
    """At most: where learning is judged, and every point of the curve above."""
    judged = settings.judged_budgets
    return {b for b in settings.curve_budgets if judged and b > judged[0]} | {*judged}
