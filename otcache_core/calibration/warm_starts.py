"""Stage 1 on a set of full runs: the reference schedule, and every cheap candidate for stage 2."""
# Source: OTCache, Sec. 3.3, Eq. 3-5; the paper warm-starts from one path over pairs.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..documents.anchor import LookBackTable
from ..estimate.open_loop import fitted_costs
from ..gaps import Candidate, Steps, candidate, uniform_steps
from ..graph import (
    DEFAULT_GAMMA,
    LOOK_BACKS,
    PairCosts,
    TripleCosts,
    shortest_path_over_pairs,
    shortest_path_over_triples,
)
from .full_runs import FullRun

LATENESS = (0.0, 1.0, 2.0)
"""Powers of the share of the run that is done where an edge ends, by which its cost may count.

Of what early edges leave missing the model mends much, and how much differs from model to model."""

LATEST_REFERENCE = 1.0
"""Of the reference, whose many steps leave less to mend."""

GAINS = (0.75, 0.5, 0.0)
"""Gains of the slope that the first path is tried with, on every edge."""


class Graphs:
    """Stage 1's costs, over pairs always (for the look-backs), over triples for the slope.

    Args:
        steps: Step count, T.
        estimator: How skipped steps are estimated.
        gamma: Peak suppression of the default path (Eq. 4).
        fitted: Whether edges will be fitted, so that what they leave missing then counts as well.
    """

    def __init__(
        self, steps: int, estimator: str, gamma: float = DEFAULT_GAMMA, *, fitted: bool = True
    ) -> None:
        self.steps, self.estimator, self.gamma = steps, estimator, gamma
        self.look_backs = (1,) if estimator == "reuse" else LOOK_BACKS
        self.pairs = PairCosts(steps, self.look_backs)
        self.triples = TripleCosts(steps) if estimator == "slope" else None
        self.fitted = fitted and estimator == "slope"
        self._products: list[NDArray[np.float64]] = []
        self._sigmas: NDArray[np.float64] = np.zeros(steps + 1)
        self._fitted_costs: NDArray[np.float64] | None = None

    def add(self, run: FullRun) -> None:
        """Adds one prompt's costs."""
        rows = [LOOK_BACKS.index(k) for k in self.look_backs]
        self.pairs.add_costs(run.pairs[rows], np.asarray(run.sigmas))
        if self.triples is not None:
            self.triples.add_costs(run.triples)
        self._products.append(run.products)
        self._sigmas, self._fitted_costs = run.sigmas, None

    def path(self, budget: int, late: float = 0.0) -> Steps:
        """The estimator's own shortest path.

        Args:
            budget: Its computed steps.
            late: One of ``LATENESS``; for the slope alone.
        """
        if self.triples is not None:
            return self._over_triples(self.triples.mean(), budget, late)
        return shortest_path_over_pairs(self.pairs.mean(), budget, gamma=self.gamma)

    def fitted_path(self, budget: int, late: float = 0.0) -> Steps:
        """The shortest path by what edges leave missing once their coefficients are fitted."""
        if self._fitted_costs is None:
            self._fitted_costs = fitted_costs(self._products, self._sigmas.tolist())
        return self._over_triples(self._fitted_costs, budget, late)

    def _over_triples(self, costs: NDArray[np.float64], budget: int, late: float) -> Steps:
        if late:
            # No edge ends at 0, and an infinite cost must not become NaN there.
            costs = costs * (np.arange(self.steps + 1).clip(min=1) / self.steps) ** late
        return shortest_path_over_triples(costs, budget, gamma=self.gamma)

    def paths(self, budget: int, latest: float = LATENESS[-1]) -> list[Steps]:
        """The kinds of paths, of which one is the best for a model; those that are so most first.

        By the error of the plain slope early steps are short, by that of the fitted one long, and
        longer where late errors count more.

        Args:
            budget: Their computed steps.
            latest: Bound on the lateness of later kinds.
        """
        if not self.fitted:
            return [self.path(budget)]
        own, fitted = (
            [path(budget, min(late, latest)) for late in LATENESS]
            for path in (self.path, self.fitted_path)
        )
        return [own[0], fitted[0], *own[1:], *fitted[1:]]

    def paper_path(self, budget: int) -> Steps:
        """The path over pairs, the only one that the paper starts from."""
        return shortest_path_over_pairs(self.pairs.mean(), budget, gamma=self.gamma)

    def candidates(self, budget: int) -> list[Candidate]:
        """Every cheap candidate at a budget, the default path first."""
        own = self.path(budget)
        tried = [*self.paths(budget), self.paper_path(budget), uniform_steps(budget, self.steps)]
        found = [candidate(steps) for steps in tried]
        if self.estimator == "slope":
            found[1:1] = [candidate(own, gain) for gain in GAINS]
        return list(dict.fromkeys(found))

    def look_back_table(self) -> LookBackTable | None:
        """MeanCache's best K per edge, for its estimator."""
        return self.pairs.look_back_table() if self.estimator == "meancache" else None
