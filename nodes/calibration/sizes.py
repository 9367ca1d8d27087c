"""How much a calibration may spend, in a few sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...otcache_core.calibration.settings import Settings
from ...otcache_core.search.settings import SearchSettings, paper_search

MAX_PROMPTS = 1000


@dataclass(frozen=True)
class Size:
    """One choice.

    Attributes:
        prompts: Prompts used at most; 0 for all.
        trials, patience: Of the search; 0 for the node's own values.
        as_in_paper: Whether stage 2 searches as the paper does.
        searches: Whether there is a stage 2 at all.
    """

    prompts: int = 0
    trials: int = 0
    patience: int = 0
    as_in_paper: bool = False
    searches: bool = True


SIZES = {
    "quick": Size(3, searches=False),
    "small": Size(6, 30, 8),
    "standard": Size(10, 40, 12),
    "paper": Size(50, 200, 50, as_in_paper=True),
    "custom": Size(),
}
"""``standard`` is about 6,600 model calls: about an hour for a FLUX-class model, 0.6 s a step."""


def settings_of_size(size: Size, inputs: Mapping[str, Any]) -> Settings:
    """What a size calibrates, with the node's own values where the size leaves them open."""
    given = {name: inputs[name] for name in ("steps", "reference_budget", "anchor_budget")}
    given |= {"estimator": inputs["estimator"], "middle_budget": inputs.get("middle_budget", 0)}
    if not size.searches:
        return Settings.quick(**given | {"middle_budget": 0})
    search = SearchSettings(
        trials=size.trials or inputs["trials"],
        patience=size.patience or inputs["patience"],
        proposer=inputs.get("search", "cma-es"),
        seed=inputs["seed"],
    )
    if size.as_in_paper:
        search = paper_search(inputs["seed"])
    return Settings(**given, search=search, gains=not size.as_in_paper)
