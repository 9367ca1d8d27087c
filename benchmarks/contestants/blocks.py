"""Watches and replaces the blocks of a FLUX-class model, and counts what of them is evaluated.

A block cache takes over at the first block, by the host's own patch point, evaluates what it wants
of the blocks, and gives the last block's output; the later patch points pass on what they get.
Every row of a batch, one for each picture and cond, decides and keeps for itself.

Work is counted in *equivalents* of a model call: one block on one token is 1 of blocks x tokens,
averaged over the conds of a guided prediction. What lies around the blocks is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from benchmarks.instruments.equivalents import Work

KEY = "block_cache"

Patch = Callable[[dict[str, Any], dict[str, Any]], dict[str, torch.Tensor]]


def is_flux(model: Any) -> bool:
    """Whether a ModelPatcher's model is of the host's FLUX class with modulation in each block."""
    from comfy.ldm.flux.model import Flux

    network = model.model.diffusion_model
    return isinstance(network, Flux) and not getattr(network.params, "global_modulation", False)


@dataclass
class Call:
    """One forward as a block cache sees it; hidden states are words, then image tokens.

    Attributes:
        blocks: The model's blocks in order, double ones first.
        doubles: How many of them are double.
        words: How many of the tokens are words.
        grid: Rows and columns of image tokens.
        vec: The modulation's input, ``(rows, hidden)``.
        pe: The rotary table, ``(rows, 1, tokens, d / 2, 2, 2)``.
        step, steps: The sampler's step, and how many there are.
        conds: How many conds of each picture are in the batch, the first one's rows first.
        decided: What the first cond of each picture decided, by step, ``(pictures,)``.
        done: Equivalents by row so far, ``(rows,)``.
    """

    blocks: Sequence[Any]
    doubles: int
    words: int
    grid: tuple[int, int]
    vec: torch.Tensor
    pe: torch.Tensor
    step: int
    steps: int
    conds: int
    decided: dict[int, torch.Tensor]
    done: torch.Tensor

    @property
    def tokens(self) -> int:
        """Words and image tokens."""
        return self.words + self.grid[0] * self.grid[1]

    @property
    def at_an_end(self) -> bool:
        """Whether this is the first or the last step."""
        return self.step in (0, self.steps - 1)

    def every_row(self) -> torch.Tensor:
        """All rows chosen, ``(rows,)``."""
        return torch.ones_like(self.done, dtype=torch.bool)

    def agreed(self, due: torch.Tensor) -> torch.Tensor:
        """The decision of each picture's first cond in this guided prediction, for all its conds.

        Guidance subtracts one cond from the other, so that what one of them alone keeps too long
        is multiplied.

        Args:
            due: Each row's own decision, ``(rows,)``.
        """
        first = self.decided.setdefault(self.step, due.reshape(self.conds, -1)[0])
        return first.repeat(self.conds)

    def run(
        self, hidden: torch.Tensor, blocks: range, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Evaluates some blocks on all tokens of the chosen rows, and counts that.

        Args:
            hidden: The first block's input for all rows, ``(rows, tokens, hidden)``; kept as it is.
            blocks: Indices of the blocks.
            rows: Which rows, ``(rows,)`` bool; all by default.

        Returns:
            The last block's output for the chosen rows, ``(chosen, tokens, hidden)``.
        """
        rows = self.every_row() if rows is None else rows
        found = hidden[rows]  # a copy: the host's blocks write into their input
        if not rows.any():
            return found
        vec, pe = self.vec[rows], self.pe[rows]
        for index in blocks:
            self.count(self.tokens, rows)
            if index < self.doubles:
                words, image = found[:, : self.words], found[:, self.words :]
                image, words = self.blocks[index](img=image, txt=words, vec=vec, pe=pe)
                found = torch.cat((words, image), dim=1)
            else:
                found = self.blocks[index](found, vec=vec, pe=pe)
        return found

    def count(self, tokens: int, rows: torch.Tensor | None = None) -> None:
        """Counts one block on some tokens of the chosen rows, all by default."""
        rows = self.every_row() if rows is None else rows
        self.done[rows] += tokens / self.tokens / len(self.blocks)


class BlockCache(Protocol):
    """What a method does in the forwards of one run and one set of conds."""

    def through(self, call: Call, hidden: torch.Tensor) -> torch.Tensor:
        """The last block's output, or what stands in for it.

        Args:
            call: The forward.
            hidden: The first block's input, ``(rows, tokens, hidden)``.
        """


@dataclass
class _Run:
    """State of one sampling run.

    Attributes:
        steps: The sampler's steps.
        caches: The method's state for each set of conds that the host puts into one forward.
        decided: See ``Call``.
        step: The guided prediction that is being made.
        done: Equivalents in it, summed over conds, ``(prompts,)``.
        conds: How many conds it has had so far.
        total: Equivalents of the predictions before, ``(prompts,)``.
    """

    steps: int
    caches: dict[tuple[Any, ...], BlockCache] = field(default_factory=dict)
    decided: dict[int, torch.Tensor] = field(default_factory=dict)
    step: int = -1
    done: torch.Tensor | float = 0.0
    conds: int = 0
    total: torch.Tensor | float = 0.0

    def begin(self) -> None:
        self.step, self.done, self.conds = self.step + 1, 0.0, 0

    def end(self) -> None:
        self.total = self.total + self.done / max(self.conds, 1)


def with_block_cache(model: Any, make: Callable[[], BlockCache]) -> tuple[Any, Work]:
    """A clone of a FLUX-class model whose blocks are left to a block cache.

    Args:
        model: The ModelPatcher.
        make: A new state of the method.

    Returns:
        The clone, and what its latest run took once that has ended.
    """
    from comfy.patcher_extension import WrappersMP

    work = Work()

    def outer(executor: Any, *args: Any, **named: Any) -> Any:
        options = executor.class_obj.model_options["transformer_options"]
        options[KEY] = run = _Run(steps=len(args[3]) - 1)
        try:
            return executor(*args, **named)
        finally:
            del options[KEY]
            work.equivalents = torch.as_tensor(run.total).double().reshape(-1).tolist()

    def predict(
        executor: Any, model: Any, conds: Any, x: Any, sigma: Any, options: Any, *rest: Any
    ) -> Any:
        run: _Run = options["transformer_options"][KEY]
        run.begin()
        denoised = executor(model, conds, x, sigma, options, *rest)
        run.end()
        return denoised

    clone = model.clone()
    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, outer)
    clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, predict)
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, _forward(make))
    return clone, work


def _forward(make: Callable[[], BlockCache]) -> Callable[..., torch.Tensor]:
    """The wrapper of a forward that puts the patches of its blocks in place."""

    def forward(
        executor: Any, x: torch.Tensor, timestep: Any, context: torch.Tensor, y: Any, guidance: Any,
        ref_latents: Any, control: Any, options: dict[str, Any], **named: Any,
    ) -> torch.Tensor:  # fmt: skip
        run: _Run = options[KEY]
        cache = run.caches.setdefault(tuple(options["uuids"]), make())
        patch = executor.class_obj.patch_size
        grid = (-(-x.shape[-2] // patch), -(-x.shape[-1] // patch))
        done = torch.zeros(len(x), device=x.device)
        conds = len(options["uuids"])
        replaced = _patches(executor.class_obj, cache, run, grid, conds, done)
        options = options | {"patches_replace": {"dit": replaced}}
        found: torch.Tensor = executor(
            x, timestep, context, y, guidance, ref_latents, control, options, **named
        )
        run.done = run.done + done.reshape(conds, -1).sum(dim=0)
        run.conds += conds
        return found

    return forward


def _patches(
    network: Any,
    cache: BlockCache,
    run: _Run,
    grid: tuple[int, int],
    conds: int,
    done: torch.Tensor,
) -> dict[tuple[str, int], Patch]:
    """A patch for each block: the first hands over to the cache, the others pass on."""
    doubles, singles = list(network.double_blocks), list(network.single_blocks)

    def first(args: dict[str, Any], _: dict[str, Any]) -> dict[str, torch.Tensor]:
        words = args["txt"].shape[1]
        call = Call(
            doubles + singles, len(doubles), words, grid, args["vec"], args["pe"], run.step,
            run.steps, conds, run.decided, done,
        )  # fmt: skip
        found = cache.through(call, torch.cat((args["txt"], args["img"]), dim=1))
        return {"txt": found[:, :words], "img": found[:, words:]}

    def later(args: dict[str, Any], _: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {name: args[name] for name in ("img", "txt") if name in args}

    keys = [("double_block", i) for i in range(len(doubles))]
    keys += [("single_block", i) for i in range(len(singles))]
    return {key: later if index else first for index, key in enumerate(keys)}


def relative_change(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Mean absolute change of each row over its mean absolute value before, ``(rows,)``."""
    change, size = (now - before).abs().flatten(1), before.abs().flatten(1)
    return change.mean(dim=1) / size.mean(dim=1).clamp(min=torch.finfo(now.dtype).tiny)
