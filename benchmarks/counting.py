"""Counts what a model is asked: forwards, batch rows and guided predictions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Calls:
    """What the model itself was asked.

    Attributes:
        forwards: Runs of the diffusion model's forward.
        rows: Batch rows over all of them: one per picture and cond.
        sigmas: Noise level of each guided prediction that the model worked for.
    """

    forwards: int = 0
    rows: int = 0
    sigmas: list[float] = field(default_factory=list)

    @property
    def predictions(self) -> int:
        """Guided predictions, the unit of a budget: all conds of a step count once."""
        return len(self.sigmas)


@contextmanager
def counted(model: Any) -> Iterator[tuple[Any, Calls]]:
    """`with counted(model) as (watched, calls)`: a clone whose work is counted."""
    from comfy.patcher_extension import WrappersMP

    calls = Calls()

    def forward(module: Any, args: tuple[Any, ...]) -> None:
        calls.forwards += 1
        calls.rows += len(args[0])

    def predict(
        executor: Any, model: Any, conds: Any, x: Any, sigma: Any, *rest: Any, **named: Any
    ) -> Any:
        calls.sigmas.append(float(sigma[0]))
        return executor(model, conds, x, sigma, *rest, **named)

    watched = model.clone()
    watched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "count", predict)
    hook = model.model.diffusion_model.register_forward_pre_hook(forward)
    try:
        yield watched, calls
    finally:
        hook.remove()
