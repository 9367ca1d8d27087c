"""DBCache, re-implemented: first and last blocks always evaluated, those between cached.

Every step evaluates the first blocks. Where their residual differs from that of the last fully
evaluated step by less than a threshold, relatively, the blocks between add the residual that they
had then; the last blocks are evaluated again in any case. A picture's conds agree on the steps.

One block is 1 of 57 in FLUX.1, but 1 of 6 in the bundled model, where each one that is always
evaluated uses up 8.3 model calls in 50 steps.
"""
# Source: DBCache of cache-dit (github.com/vipshop/cache-dit).

from __future__ import annotations

import torch

from benchmarks.contestants.block_settings import best_of, by_threshold, for_flux
from benchmarks.contestants.blocks import Call, relative_change
from benchmarks.contestants.contestant import Bench, Configured

NAME = "DBCache"
SHAPES = ((1, 0), (1, 1))
"""First and last blocks; of those that reach the asked equivalents the better one is taken."""

THRESHOLDS = (0.002, 20.0)


class DBCache:
    """State of one run and one set of conds.

    Args:
        threshold: Relative difference of the first blocks' residual at which all are evaluated.
        first: How many blocks at the start are always evaluated.
        last: How many at the end.
    """

    def __init__(self, threshold: float, first: int, last: int) -> None:
        self._threshold, self._first, self._last = threshold, first, last
        self._known: torch.Tensor | None = None  # the first blocks' residual
        self._residual: torch.Tensor | None = None  # that of the blocks between

    def _due(self, call: Call, residual: torch.Tensor) -> torch.Tensor:
        """Which rows are fully evaluated, ``(rows,)``."""
        if self._known is None:
            self._known = residual.clone()
            return call.every_row()
        due = call.agreed(relative_change(residual, self._known) >= self._threshold)
        self._known[due] = residual[due]
        return due

    def through(self, call: Call, hidden: torch.Tensor) -> torch.Tensor:
        """The last blocks' output."""
        end = len(call.blocks) - self._last
        start = call.run(hidden, range(self._first))
        due = self._due(call, start - hidden)
        if self._residual is None:
            self._residual = torch.zeros_like(hidden)
        between = start + self._residual
        between[due] = call.run(start, range(self._first, end), due)
        self._residual[due] = between[due] - start[due]
        return call.run(between, range(end, len(call.blocks)))


def dbcache(bench: Bench, calls: int) -> Configured | None:
    """The bench's model with DBCache."""
    made = [
        by_threshold(
            bench,
            f"{NAME} F{first}B{last}",
            calls,
            lambda threshold, shape=(first, last): DBCache(threshold, *shape),
            THRESHOLDS,
        )
        for first, last in SHAPES
    ]
    return best_of(bench, [how for how in made if how is not None])


CONTESTANTS = for_flux(NAME, dbcache)
