"""How much a calibration may spend, in a few sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...otcache_core.search.settings import SearchSettings, paper_search

MAX_PROMPTS = 1000


@dataclass(frozen=True)
class Size:
    """One choice.

    Attributes:
        prompts: Prompts used at most; 0 for all.
        trials, patience: Of the search; 0 for the node's own values.
        as_in_paper: Whether stage 2 searches as the paper does.
    """

    prompts: int = 0
    trials: int = 0
    patience: int = 0
    as_in_paper: bool = False


SIZES = {
    "small": Size(6, 30, 8),
    "standard": Size(10, 40, 12),
    "paper": Size(50, 200, 50, as_in_paper=True),
    "custom": Size(),
}
"""``standard`` is about 4,000 model calls: 40 minutes for a FLUX-class model at 0.6 s a step."""


def search_of_size(size: Size, inputs: Mapping[str, Any]) -> SearchSettings:
    """The search of a size, with the node's own values where the size leaves them open."""
    seed = inputs["seed"]
    if size.as_in_paper:
        return paper_search(seed)
    return SearchSettings(
        trials=size.trials or inputs["trials"],
        patience=size.patience or inputs["patience"],
        proposer=inputs.get("search", "cma-es"),
        seed=seed,
    )
