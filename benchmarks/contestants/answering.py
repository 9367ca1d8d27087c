"""Contestants that answer guided predictions in the model's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from benchmarks.contestants.contestant import Bench

Evaluate: TypeAlias = Callable[[], torch.Tensor]
"""Runs the model; gives ``denoised``."""

Run: TypeAlias = Callable[[int, torch.Tensor, Evaluate], torch.Tensor]
"""(step, x, evaluate) -> ``denoised``, the model's or an estimate; one for each sampling run."""

KEY = "answering_contestant"


def answering(bench: Bench, new_run: Callable[[], Run]) -> Any:
    """A clone whose every sampling run asks a ``Run`` of its own for ``denoised``.

    Args:
        bench: Gives the model and the noise levels of its steps.
        new_run: Makes the state of one sampling run.
    """
    from comfy.patcher_extension import WrappersMP

    step_of_sigma = bench.host.core("run_time.run_plan").step_of_sigma

    def begin(executor: Any, *args: Any, **named: Any) -> Any:
        options = executor.class_obj.model_options["transformer_options"]
        options[KEY] = new_run()
        try:
            return executor(*args, **named)
        finally:
            del options[KEY]

    def predict(
        executor: Any, x: torch.Tensor, timestep: torch.Tensor, options: Any, *rest: Any
    ) -> torch.Tensor:
        run: Run = options["transformer_options"][KEY]
        step = step_of_sigma(float(timestep[0]), bench.sigmas)
        return run(step, x, lambda: executor(x, timestep, options, *rest))

    model = bench.model.clone()
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, begin)
    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, predict)
    return model
