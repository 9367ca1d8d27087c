"""How a search comes to its best candidates, and how two columns of losses compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LATE = 0.9
"""The quantile that stands for slow searches."""


def best_losses(losses: Sequence[float], count: int) -> list[float]:
    """The lowest losses, best first; fewer where there are no more.

    Args:
        losses: Of each candidate, in the order in which they were tried.
        count: How many.
    """
    return sorted(losses)[:count]


def found_at(losses: Sequence[float], count: int) -> list[int]:
    """The trials, from 1, at which the candidates of ``best_losses`` were tried, best first.

    Of equal losses the earlier one counts as the better.

    Args:
        losses: Of each candidate, in the order in which they were tried.
        count: How many.
    """
    order = sorted(range(len(losses)), key=lambda i: (losses[i], i))
    return [i + 1 for i in order[:count]]


def gains(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """By which share losses fell: of the means, and the mean of each pair's own share.

    Args:
        before: Losses, none of them 0.
        after: As many.
    """
    old, new = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    return float(1.0 - new.mean() / old.mean()), float((1.0 - new / old).mean())


def middle_and_late(values: Sequence[float]) -> tuple[float, float]:
    """The median, and the 90 % quantile: the smallest value that so many do not exceed."""
    late = np.quantile(np.asarray(values, dtype=float), LATE, method="inverted_cdf")
    return float(np.median(values)), float(late)
