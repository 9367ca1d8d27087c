"""ToCa, re-implemented: at the steps between, only the tokens that matter most are evaluated.

All tokens are evaluated at a fixed interval. Between, each block evaluates a share of its tokens
and adds what it kept of the others. Chosen are tokens to which much attention was paid when all
were evaluated, that have not been evaluated for long, and that lead their neighbourhood, so that
the chosen ones spread over the picture. Where tokens do not share out evenly, the first blocks
evaluate one more.
"""
# Source: ToCa (arXiv 2410.05317). Its term for cross-attention has no counterpart in FLUX.

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch

from benchmarks.contestants.block_settings import best_of, even_steps, for_flux, with_cache
from benchmarks.contestants.blocks import BlockCache, Call
from benchmarks.contestants.contestant import Bench, Configured
from benchmarks.contestants.token_blocks import (
    Chosen,
    Importance,
    Memory,
    every_token,
    token_blocks,
)

NAME = "ToCa"
AGE, LEADER = 0.25, 0.25
"""What a step without evaluation and the lead of a neighbourhood add to importances of mean 1."""

FULL_SHARES = (0.5, 0.65, 0.8, 0.9)
"""How much of the equivalents goes into fully evaluated steps; the best on calibration is taken."""


def attention_received(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """How much attention all tokens pay to each on average, ``(rows, tokens)``."""
    weights = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, dim=-1)
    return weights.mean(dim=(1, 2))


@dataclass(frozen=True)
class Plan:
    """What each step evaluates.

    Attributes:
        full: Steps at which all blocks evaluate all tokens, 0 among them.
        partial: Steps at which they evaluate a share; at all others, nothing.
        share: That share of blocks x tokens.
    """

    full: Collection[int]
    partial: Collection[int]
    share: float

    @property
    def equivalents(self) -> float:
        """Model-call equivalents of a run."""
        return len(self.full) + self.share * len(self.partial)


def tokens_of_blocks(share: float, tokens: int, blocks: int) -> list[int]:
    """How many tokens each block evaluates: a share of all, the odd ones in the first blocks."""
    each, odd = divmod(round(share * tokens * blocks), blocks)
    return [each + (index < odd) for index in range(blocks)]


def _leaders(score: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Whether each image token has the highest score of its 2x2 neighbourhood, ``(rows, n)``."""
    picture = score.reshape(-1, 1, *grid)
    highest = torch.nn.functional.max_pool2d(picture, 2, ceil_mode=True)
    near = highest.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return (picture >= near[..., : grid[0], : grid[1]]).reshape(score.shape)


class ToCa:
    """State of one run and one set of conds.

    Args:
        plan: What each step evaluates.
        importance: How tokens matter, from queries, keys and values.
    """

    def __init__(self, plan: Plan, importance: Importance) -> None:
        self._plan, self._importance = plan, importance
        self._memories: list[Memory] = []
        self._ages: list[torch.Tensor] = []  # steps since each token was evaluated, by block

    def _choose(self, call: Call, index: int, count: int) -> Chosen:
        """Tokens for one block, from words and image as many as they are."""
        age, importance = self._ages[index], self._memories[index].importance
        words = round(count * call.words / call.tokens)
        score = importance / importance.mean(dim=1, keepdim=True) + AGE * age
        of_image = score[:, call.words :]
        of_image = of_image + LEADER * _leaders(of_image, call.grid)
        return Chosen(
            score[:, : call.words].topk(words, dim=1).indices,
            call.words + of_image.topk(count - words, dim=1).indices,
        )

    def _counts(self, call: Call) -> list[int]:
        """How many tokens each block evaluates at this step."""
        share = 1.0 if call.step in self._plan.full else 0.0
        if call.step in self._plan.partial:
            share = self._plan.share
        return tokens_of_blocks(share, call.tokens, len(call.blocks))

    def through(self, call: Call, hidden: torch.Tensor) -> torch.Tensor:
        """The blocks' output, with what was kept where they do not evaluate."""
        full = call.step in self._plan.full
        if full:
            self._memories = [Memory() for _ in call.blocks]
            ages = torch.zeros(len(hidden), call.tokens, device=hidden.device)
            self._ages = [ages.clone() for _ in call.blocks]
        for age in self._ages:
            age += 1
        counts = self._counts(call)
        for index, (block, memory) in enumerate(
            zip(token_blocks(call), self._memories, strict=True)
        ):
            if not counts[index]:
                hidden = block.replay(call, hidden, memory.updates)
                continue
            chosen = every_token(call) if full else self._choose(call, index, counts[index])
            hidden = block.evaluate(call, hidden, memory, chosen, self._importance)
            call.count(counts[index])
            self._ages[index].scatter_(1, chosen.both, 0.0)
        return hidden


def plans(
    steps: int, calls: int, partial: Callable[[Collection[int]], Collection[int]]
) -> list[Plan]:
    """Plans that reach the asked equivalents, with fewer or more steps fully evaluated.

    Args:
        steps: The sampler's steps.
        calls: Equivalents asked for.
        partial: The steps at which a share is evaluated, from those fully evaluated.
    """
    found = []
    for count in sorted({max(round(calls * share), 1) for share in FULL_SHARES}):
        full = even_steps(steps, count)
        between = partial(full)
        share = (calls - count) / len(between) if between else 1.0
        if 0 < share < 1:
            found.append(Plan(full, between, share))
    return found


def best_plan(
    bench: Bench, found: list[Plan], make: Callable[[Plan], BlockCache]
) -> Configured | None:
    """The bench's model with the plan that does best on calibration prompts."""
    made = [
        with_cache(
            bench,
            lambda plan=plan: make(plan),
            f"{len(plan.full)} steps in full, {plan.share:.1%} of the tokens at "
            f"{len(plan.partial)} others",
        )
        for plan in found
    ]
    return best_of(bench, made)


def toca(bench: Bench, calls: int) -> Configured | None:
    """The bench's model with ToCa."""
    steps = len(bench.sigmas) - 1
    found = plans(steps, calls, lambda full: [t for t in range(steps) if t not in full])
    return best_plan(bench, found, lambda plan: ToCa(plan, attention_received))


CONTESTANTS = for_flux(NAME, toca)
