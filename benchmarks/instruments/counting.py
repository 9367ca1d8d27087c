"""Counts what a model is asked: forwards, batch rows and guided predictions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Calls:
    """What the model itself was asked.

    Attributes:
        forwards: Runs of the diffusion model's forward.
        rows: Batch rows over all of them: one per picture and cond.
        sigmas: Noise level of each guided prediction that the model was asked for.
        worked: Guided predictions for which the model ran through to its last block. Caches inside
            the forward are asked for every step, and leave the blocks out when they skip.
    """

    forwards: int = 0
    rows: int = 0
    sigmas: list[float] = field(default_factory=list)
    worked: int = 0

    @property
    def predictions(self) -> int:
        """Guided predictions, the unit of a budget: all conds of a step count once."""
        return len(self.sigmas)


@contextmanager
def counted(model: Any) -> Iterator[tuple[Any, Calls]]:
    """`with counted(model) as (watched, calls)`: a clone whose work is counted."""
    from comfy.model_patcher import create_model_options_clone
    from comfy.patcher_extension import WrappersMP

    calls = Calls()
    last_block_ran = False

    def last_block(module: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        nonlocal last_block_ran
        last_block_ran = True

    def forward(module: Any, args: tuple[Any, ...]) -> None:
        calls.forwards += 1
        calls.rows += len(args[0])

    def predict(
        executor: Any, model: Any, conds: Any, x: Any, sigma: Any, *rest: Any, **named: Any
    ) -> Any:
        nonlocal last_block_ran
        calls.sigmas.append(float(sigma[0]))
        last_block_ran = False
        denoised = executor(model, conds, x, sigma, *rest, **named)
        calls.worked += last_block_ran
        return denoised

    watched = model.clone()
    # A clone's options are a deep copy. Packs that keep their state there and know it by identity
    # do nothing in such a clone, so that the options are copied as a sampling run copies them.
    watched.model_options = create_model_options_clone(model.model_options)
    watched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "count", predict)
    diffusion_model = model.model.diffusion_model
    hooks = (
        diffusion_model.register_forward_pre_hook(forward),
        _last_block(diffusion_model).register_forward_pre_hook(last_block, with_kwargs=True),
    )
    try:
        yield watched, calls
    finally:
        for hook in hooks:
            hook.remove()


def _last_block(diffusion_model: torch.nn.Module) -> torch.nn.Module:
    """The last of the model's blocks: the end of its last list of modules, or the model itself."""
    lists = [m for m in diffusion_model.children() if isinstance(m, torch.nn.ModuleList) and len(m)]
    block = lists[-1][-1] if lists else diffusion_model
    while isinstance(block, torch.nn.Sequential):  # a UNet calls its layers, and not it
        block = block[0]
    return block
