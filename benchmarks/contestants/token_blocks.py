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


Attend = Callable[[Sequence[torch.Tensor]], torch.Tensor]
"""Queries, keys and values of chosen tokens -> their attention to all."""
Update = Callable[[Call, torch.Tensor, Chosen, Attend], torch.Tensor]
"""The chosen tokens' update ``(rows, chosen, hidden)`` from ``(rows, tokens, hidden)``."""


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
    def updates(self) -> Sequence[Update]:
        """What is added to the hidden state, one after the other."""

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
        both = chosen.both

        def attend(qkv: Sequence[torch.Tensor]) -> torch.Tensor:
            return _attend(call, memory, both, qkv, importance)

        for index, (gate, update) in enumerate(zip(self.gates(call), self.updates(), strict=True)):
            _keep_update(memory, index, both, update(call, hidden, chosen, attend))
            hidden = hidden + memory.updates[index] * gate
        return hidden

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
        sizes = call.words, call.tokens - call.words
        return [
            torch.cat([m.gate.expand(-1, n, -1) for m, n in zip(pair, sizes, strict=True)], dim=1)
            for pair in self._modulations(call)
        ]

    def updates(self) -> Sequence[Update]:
        return self._attention, self._mlp

    def _modulations(self, call: Call) -> list[tuple[Any, Any]]:
        """Of words and image, for each update."""
        words, image = self._block.txt_mod(call.vec), self._block.img_mod(call.vec)
        return list(zip(words, image, strict=True))

    def _attention(
        self, call: Call, hidden: torch.Tensor, chosen: Chosen, attend: Attend
    ) -> torch.Tensor:
        block, places = self._block, (chosen.words, chosen.image)
        layers, norms = (block.txt_attn, block.img_attn), (block.txt_norm1, block.img_norm1)
        streams = []
        for at, norm, mod, layer in zip(
            places, norms, self._modulations(call)[0], layers, strict=True
        ):
            qkv = layer.qkv(_modulated(norm(take(hidden, at)), mod))
            streams.append(_heads(qkv, block.num_heads, layer.norm))
        attended = attend([torch.cat(parts, dim=2) for parts in zip(*streams, strict=True)])
        parts = attended.split([at.shape[1] for at in places], dim=1)
        added = [layer.proj(part) for layer, part in zip(layers, parts, strict=True)]
        return torch.cat(added, dim=1)

    def _mlp(
        self, call: Call, hidden: torch.Tensor, chosen: Chosen, attend: Attend
    ) -> torch.Tensor:
        block, places = self._block, (chosen.words, chosen.image)
        layers, norms = (block.txt_mlp, block.img_mlp), (block.txt_norm2, block.img_norm2)
        added = [
            layer(_modulated(norm(take(hidden, at)), mod))
            for at, norm, mod, layer in zip(
                places, norms, self._modulations(call)[1], layers, strict=True
            )
        ]
        return torch.cat(added, dim=1)


class SingleTokens(TokenBlock):
    """A single block: one set of weights for all tokens."""

    def gates(self, call: Call) -> list[torch.Tensor]:
        return [self._modulation(call).gate]

    def updates(self) -> Sequence[Update]:
        return (self._both,)

    def _modulation(self, call: Call) -> Any:
        return self._block.modulation(call.vec)[0]

    def _both(
        self, call: Call, hidden: torch.Tensor, chosen: Chosen, attend: Attend
    ) -> torch.Tensor:
        block = self._block
        normed = block.pre_norm(take(hidden, chosen.both))
        inner = block.linear1(_modulated(normed, self._modulation(call)))
        qkv, mlp = inner.tensor_split([3 * block.hidden_size], dim=-1)
        attended = attend(_heads(qkv, block.num_heads, block.norm))
        return block.linear2(torch.cat((attended, block.mlp_act(mlp)), dim=2))


def token_blocks(call: Call) -> list[TokenBlock]:
    """The model's blocks, to be evaluated on some tokens."""
    return [
        DoubleTokens(block) if index < call.doubles else SingleTokens(block)
        for index, block in enumerate(call.blocks)
    ]
