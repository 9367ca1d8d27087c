"""Who proposes candidates in stage 2: samplers of Optuna, the paper's CMA-ES among them."""
# Source: OTCache, Sec. 3.3, "Anchor"; CMA-ES with margin is Hamano et al. (GECCO 2022).

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import OTCacheError
from ..gaps import Candidate, candidate, gaps_from_steps, steps_from_gaps

if TYPE_CHECKING:
    import optuna

PROPOSERS = ("cma-es", "cma-es with margin", "tpe", "gp", "none")
"""Ways to propose candidates; ``"none"`` leaves the search to warm starts and polish."""


@dataclass(frozen=True)
class GapSpace:
    """The schedules of one budget as Optuna's parameters: gaps, and the tail if there may be one.

    Attributes:
        steps: Step count, T.
        budget: Computed steps, B.
        whole: Whether gaps are integers; CMA-ES as in the paper works on real ones.
        tail: How many steps after the last computed one there may be; none in the paper.
    """

    steps: int
    budget: int
    whole: bool = False
    tail: int = 0

    @property
    def ends(self) -> range:
        """Where the last computed step may be."""
        return range(self.steps - 1 - self.tail, self.steps)

    @property
    def widest(self) -> int:
        """The largest gap."""
        return self.steps - self.budget + 1

    def suggest(self, trial: optuna.Trial) -> Candidate:
        """The candidate that a trial stands for."""
        names = [f"gap_{i}" for i in range(self.budget - 1)]
        if self.whole:
            gaps: list[float] = [trial.suggest_int(n, 1, self.widest) for n in names]
        else:
            gaps = [trial.suggest_float(n, 1.0, self.widest) for n in names]
        tail = trial.suggest_int("tail", 0, self.tail) if self.tail else 0
        return candidate(steps_from_gaps(gaps, self.steps - 1 - tail))

    def parameters(self, of: Candidate) -> dict[str, float]:
        """The parameters that stand for a candidate."""
        kind = int if self.whole else float
        gaps = gaps_from_steps(of.computed_steps)
        found: dict[str, float] = {f"gap_{i}": kind(gap) for i, gap in enumerate(gaps)}
        if self.tail:
            found["tail"] = self.steps - 1 - of.computed_steps[-1]
        return found


def gap_space(proposer: str, steps: int, budget: int, tail: int = 0) -> GapSpace:
    """The space in which a proposer works.

    Raises:
        OTCacheError: If there is no such proposer.
    """
    if proposer not in PROPOSERS:
        raise OTCacheError(
            f"`proposer` must be one of {', '.join(PROPOSERS)} but got {proposer!r}."
        )
    return GapSpace(steps, budget, proposer != "cma-es", tail)


def fixed_sampler(parameters: dict[str, float]) -> optuna.samplers.BaseSampler:
    """A sampler that proposes just these parameters."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(parameters, optuna.samplers.RandomSampler())


def make_sampler(
    proposer: str, space: GapSpace, start: Candidate, spread: float, seed: int
) -> optuna.samplers.BaseSampler:
    """Optuna's sampler for a proposer.

    Args:
        proposer: One of ``PROPOSERS`` but not ``"none"``.
        space: Where it works.
        start: The candidate it starts around, where it starts anywhere.
        spread: CMA-ES's initial standard deviation, in steps.
        seed: Its seed.
    """
    import optuna

    with warnings.catch_warnings():
        # `x0` and `sigma0` go in Optuna 6, and the pack asks for Optuna below 6; the rest are
        # notes that a sampler is experimental.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if proposer == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        if proposer == "gp":
            return optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)
        return optuna.samplers.CmaEsSampler(
            x0=space.parameters(start),
            sigma0=spread / max(space.widest - 1, 1),  # Optuna scales every parameter to [0, 1]
            seed=seed,
            n_startup_trials=0,
            warn_independent_sampling=False,
            with_margin=proposer == "cma-es with margin",
        )
