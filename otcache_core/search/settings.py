"""How stage 2 searches, and the paper's way among it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchSettings:
    """How to search.

    Attributes:
        trials: Bound on distinct candidates, the paper's 200.
        patience: The sampler's turn ends after so many proposals in a row without a better one, the
            paper's 50.
        proposer: One of ``proposals.PROPOSERS``.
        polish: Whether a local polish follows.
        polish_share: Share of the trials left after the warm starts that is kept for it.
        p_threshold: A candidate is given up when the paired test says with this p-value that it
            loses to the best; 0 tries every candidate on every prompt, as the paper does.
        spread: CMA-ES's initial standard deviation, in steps.
        seed: Seed of the sampler and of the order of prompts.
    """

    trials: int = 200
    patience: int = 50
    proposer: str = "cma-es"
    polish: bool = True
    polish_share: float = 0.5
    p_threshold: float = 0.1
    spread: float = 1.5
    seed: int = 0


def paper_search(seed: int = 0) -> SearchSettings:
    """The search as the paper describes it."""
    return SearchSettings(polish=False, p_threshold=0.0, seed=seed)
