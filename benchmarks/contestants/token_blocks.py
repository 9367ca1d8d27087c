"""Evaluates FLUX-class blocks on some of their tokens, with what was kept of the others.

A block adds *updates* to its hidden state, each times a gate that knows the timestep: a double
block one of its attention and one of its MLP, a single block one of both. Kept are updates without
their gates, keys and values. Tokens that are evaluated attend to all: to each other's new keys and
values, and to the kept ones of the others.
"""
# Source: the forward of the host's DoubleStreamBlock and SingleStreamBlock (ComfyUI, FLUX.1).

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.contestants.blocks import Call

Importance = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(queries, keys, values), ``(rows, heads, tokens, d)`` each -> ``(rows, tokens)``."""


@dataclass(frozen=True)
class Chosen:
    """Tokens to evaluate, by their place among words and image tokens.

    Attributes:
        words, image: Indices, ``(rows, chosen)`` each.
    """

    words: torch.Tensor
    image: torch.Tensor

    @property
    def both(self) -> torch.Tensor:
        """All of them, words first."""
        return torch.cat((self.words, self.image), dim=1)


def every_token(call: Call) -> Chosen:
    """All tokens chosen."""
    rows = len(call.done)
    indices = torch.arange(call.tokens, device=call.vec.device).expand(rows, -1)
    return Chosen(indices[:, : call.words], indices[:, call.words :])


@dataclass
class Memory:
    """What is kept of one block.

    Attributes:
        updates: Each ``(rows, tokens, hidden)``.
        keys, values: ``(rows, heads, tokens, d)``, keys rotated; empty before the first evaluation.
        importance: What ``Importance`` gave when all tokens were evaluated last.
    """

    updates: list[torch.Tensor] = field(default_factory=list)
    keys: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    values: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    importance: torch.Tensor = field(default_factory=lambda: torch.empty(0))


def take(tokens: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The chosen of ``(rows, tokens, channels)``."""
    return torch.take_along_dim(tokens, chosen[..., None], dim=1)


def _put(into: torch.Tensor, chosen: torch.Tensor, values: torch.Tensor, dim: int) -> None:
    shape = [1] * values.ndim
    shape[0], shape[dim] = chosen.shape
    into.scatter_(dim, chosen.reshape(shape).expand_as(values), values)


def _keep_update(memory: Memory, index: int, chosen: torch.Tensor, values: torch.Tensor) -> None:
    if index == len(memory.updates):
        memory.updates.append(torch.empty_like(values))  # all tokens come first
    _put(memory.updates[index], chosen, values, 1)


def _attend(
    call: Call,
    memory: Memory,
    chosen: torch.Tensor,
    qkv: Sequence[torch.Tensor],
    importance: Importance | None,
) -> torch.Tensor:
    """Attention of the chosen tokens to all, ``(rows, chosen, hidden)``."""
    from comfy.ldm.flux.math import apply_rope
    from comfy.ldm.modules.attention import optimized_attention

    queries, keys, values = qkv
    rows = torch.arange(len(chosen), device=chosen.device)[:, None]
    queries, keys = apply_rope(queries, keys, call.pe[rows, 0, chosen][:, None])
    if not len(memory.keys):
        memory.keys, memory.values = torch.empty_like(keys), torch.empty_like(values)
    _put(memory.keys, chosen, keys, 2)
    _put(memory.values, chosen, values, 2)
    if importance is not None and chosen.shape[1] == call.tokens:
        memory.importance = importance(queries, memory.keys, memory.values)
    heads = queries.shape[1]
    found: torch.Tensor = optimized_attention(
        queries, memory.keys, memory.values, heads, skip_reshape=True
    )
    return found


def _heads(qkv: torch.Tensor, heads: int, norm: Any) -> tuple[torch.Tensor, ...]:
    """Normed queries and keys, and values, ``(rows, heads, tokens, d)`` each."""
    q, k, v = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return (*norm(q, k, v), v)


def _modulated(tokens: torch.Tensor, modulation: Any) -> torch.Tensor:
    return torch.addcmul(modulation.shift, tokens, 1 + modulation.scale)


class TokenBlock(ABC):
    """A block that can be evaluated on some of its tokens.

    Args:
        block: The host's block.
    """

    def __init__(self, block: Any) -> None:
        self._block = block

    @abstractmethod
    def gates(self, call: Call) -> list[torch.Tensor]:
        """The gate of each update, ``(rows, tokens or 1, hidden)``."""

    @abstractmethod
    def evaluate(
        self,
        call: Call,
        hidden: torch.Tensor,
        memory: Memory,
        chosen: Chosen,
        importance: Importance | None = None,
    ) -> torch.Tensor:
        """The output for all tokens, of which the chosen ones are evaluated.

        Args:
            call: The forward.
            hidden: The block's input, ``(rows, tokens, hidden)``.
            memory: What is kept of the block; what is evaluated is put there.
            chosen: The tokens, all of them at first.
            importance: What to note of how tokens matter whenever all are evaluated.
        """

    def replay(
        self, call: Call, hidden: torch.Tensor, updates: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """The output if the updates were these; nothing is evaluated."""
        for gate, update in zip(self.gates(call), updates, strict=True):
            hidden = hidden + update * gate
        return hidden


class DoubleTokens(TokenBlock):
    """A double block: words and image tokens have weights of their own."""

    def gates(self, call: Call) -> list[torch.Tensor]:
        words, image = self._block.txt_mod(call.vec), self._block.img_mod(call.vec)
        sizes = call.words, call.tokens - call.words
        return [
            torch.cat([m.gate.expand(-1, n, -1) for m, n in zip(pair, sizes, strict=True)], dim=1)
            for pair in zip(words, image, strict=True)
        ]

    def evaluate(
        self,
        call: Call,
        hidden: torch.Tensor,
        memory: Memory,
        chosen: Chosen,
        importance: Importance | None = None,
    ) -> torch.Tensor:
        block, places = self._block, (chosen.words, chosen.image)
        attentions, mlps = (block.txt_attn, block.img_attn), (block.txt_mlp, block.img_mlp)
        norms = (block.txt_norm1, block.img_norm1), (block.txt_norm2, block.img_norm2)
        mods = list(zip(block.txt_mod(call.vec), block.img_mod(call.vec), strict=True))
        gates, both = self.gates(call), chosen.both
        streams = []
        for at, norm, mod, part in zip(places, norms[0], mods[0], attentions, strict=True):
            qkv = part.qkv(_modulated(norm(take(hidden, at)), mod))
            streams.append(_heads(qkv, block.num_heads, part.norm))
        qkv = [torch.cat(parts, dim=2) for parts in zip(*streams, strict=True)]
        attended = _attend(call, memory, both, qkv, importance)
        parts = attended.split([at.shape[1] for at in places], dim=1)
        added = [part.proj(a) for part, a in zip(attentions, parts, strict=True)]
        _keep_update(memory, 0, both, torch.cat(added, dim=1))
        hidden = hidden + memory.updates[0] * gates[0]
        added = [
            mlp(_modulated(norm(take(hidden, at)), mod))
            for at, norm, mod, mlp in zip(places, norms[1], mods[1], mlps, strict=True)
        ]
        _keep_update(memory, 1, both, torch.cat(added, dim=1))
        return hidden + memory.updates[1] * gates[1]


class SingleTokens(TokenBlock):
    """A single block: one set of weights for all tokens."""

    def gates(self, call: Call) -> list[torch.Tensor]:
        return [self._block.modulation(call.vec)[0].gate]

    def evaluate(
        self,
        call: Call,
        hidden: torch.Tensor,
        memory: Memory,
        chosen: Chosen,
        importance: Importance | None = None,
    ) -> torch.Tensor:
        block, both = self._block, chosen.both
        modulation = block.modulation(call.vec)[0]
        inner = block.linear1(_modulated(block.pre_norm(take(hidden, both)), modulation))
        qkv, mlp = inner.tensor_split([3 * block.hidden_size], dim=-1)
        attended = _attend(call, memory, both, _heads(qkv, block.num_heads, block.norm), importance)
        added = block.linear2(torch.cat((attended, block.mlp_act(mlp)), dim=2))
        _keep_update(memory, 0, both, added)
        return hidden + memory.updates[0] * modulation.gate


def token_blocks(call: Call) -> list[TokenBlock]:
    """The model's blocks, to be evaluated on some tokens."""
    return [
        DoubleTokens(block) if index < call.doubles else SingleTokens(block)
        for index, block in enumerate(call.blocks)
    ]
