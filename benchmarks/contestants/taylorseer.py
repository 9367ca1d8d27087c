"""TaylorSeer on features, re-implemented: what blocks add is forecast from how it changed.

All blocks are evaluated at a fixed interval. Between, each update of each block, before its gate,
is a Taylor polynomial of finite differences over the evaluated steps; nothing is evaluated.
"""
# Source: TaylorSeer (arXiv 2503.06923).

from __future__ import annotations

from collections.abc import Collection
from itertools import product

import torch

from benchmarks.contestants.block_settings import best_of, even_steps, for_flux, with_cache
from benchmarks.contestants.blocks import Call
from benchmarks.contestants.contestant import Bench, Configured
from benchmarks.contestants.token_blocks import Memory, every_token, token_blocks

NAME = "TaylorSeer on features"
ORDERS = (1, 2)
WARM_UPS = (1, 3)
"""Steps evaluated at the start; the best of them and of the orders is taken."""


class Differences:
    """Finite differences of a tensor over the evaluated steps.

    Args:
        order: The highest.
    """

    def __init__(self, order: int) -> None:
        self._order, self._step = order, 0
        self._found: list[torch.Tensor] = []

    def add(self, step: int, value: torch.Tensor) -> None:
        """An evaluated step; differences are over the distance to the one before."""
        fresh = [value.clone()]
        for before in self._found[: self._order]:
            fresh.append((fresh[-1] - before) / (step - self._step))
        self._step, self._found = step, fresh

    def at(self, step: int) -> torch.Tensor:
        """The forecast at a later step."""
        ahead, factor = step - self._step, 1.0
        forecast = self._found[0].clone()
        for exponent, difference in enumerate(self._found[1:], start=1):
            factor *= ahead / exponent
            forecast.add_(difference, alpha=factor)
        return forecast


class TaylorSeer:
    """State of one run and one set of conds.

    Args:
        steps: The evaluated steps, 0 among them.
        order: The polynomial's order.
    """

    def __init__(self, steps: Collection[int], order: int) -> None:
        self._steps, self._order = steps, order
        self._differences: list[list[Differences]] = []

    def through(self, call: Call, hidden: torch.Tensor) -> torch.Tensor:
        """The blocks' output, or the forecast one."""
        if call.step not in self._steps:
            for block, known in zip(token_blocks(call), self._differences, strict=True):
                hidden = block.replay(call, hidden, [each.at(call.step) for each in known])
            return hidden
        memories = [Memory() for _ in call.blocks]
        for block, memory in zip(token_blocks(call), memories, strict=True):
            hidden = block.evaluate(call, hidden, memory, every_token(call))
            call.count(call.tokens)
        if not self._differences:
            self._differences = [[Differences(self._order) for _ in m.updates] for m in memories]
        for known, memory in zip(self._differences, memories, strict=True):
            for differences, update in zip(known, memory.updates, strict=True):
                differences.add(call.step, update)
        return hidden


def taylorseer(bench: Bench, calls: int) -> Configured | None:
    """The bench's model with TaylorSeer."""
    made = []
    for order, warm_up in product(ORDERS, WARM_UPS):
        steps = even_steps(len(bench.sigmas) - 1, calls, warm_up)
        note = f"order {order}, steps {' '.join(map(str, steps))}"
        made.append(with_cache(bench, lambda s=steps, o=order: TaylorSeer(s, o), note))
    return best_of(bench, made)


CONTESTANTS = for_flux(NAME, taylorseer)
