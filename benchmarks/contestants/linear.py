"""Skipped steps whose velocity is a weighted sum of the computed velocities before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.contestants.contestant import Bench, Configured

Weights = NDArray[np.float64]

Forecast = Callable[[Sequence[int], int], Weights]
"""(computed steps so far, skipped step) -> a weight for each of these steps' velocities."""

KEY = "linear_forecast"


def plan_weights(steps: int, computed_steps: Sequence[int], forecast: Forecast) -> list[Weights]:
    """The weights of each step; empty for computed ones."""
    plan = []
    for step in range(steps):
        known = [t for t in computed_steps if t <= step]
        plan.append(np.empty(0) if known[-1] == step else forecast(known, step))
    return plan


def slope(sigmas: Sequence[float]) -> Forecast:
    """The line in sigma through the last two computed velocities, as the pack's own slope."""

    def forecast(known: Sequence[int], step: int) -> Weights:
        weights = np.zeros(len(known))
        weights[-1] = 1.0
        if len(known) > 1:
            last, before = sigmas[known[-1]], sigmas[known[-2]]
            follow = (sigmas[step] - last) / (last - before)
            weights[-2:] += -follow, follow
        return weights

    return forecast


def by_forecast(bench: Bench, computed_steps: Sequence[int], forecast: Forecast) -> Configured:
    """The model under Euler with the steps between the computed ones forecast."""
    from comfy.patcher_extension import WrappersMP

    plan = plan_weights(len(bench.sigmas) - 1, computed_steps, forecast)
    model = bench.model.clone()
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, _fresh_state)
    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, _predict(bench, plan))
    return Configured(model)


def _fresh_state(executor: Any, *args: Any, **named: Any) -> Any:
    """Gives each run a list of its own for the computed velocities."""
    options = executor.class_obj.model_options["transformer_options"]
    options[KEY] = []
    try:
        return executor(*args, **named)
    finally:
        del options[KEY]


def _predict(bench: Bench, plan: Sequence[Weights]) -> Callable[..., torch.Tensor]:
    """The wrapper that runs the model, or forecasts."""
    step_of_sigma = bench.host.core("run_time.run_plan").step_of_sigma
    core = bench.host.core("run_time.velocity")

    def predict(
        executor: Any, x: torch.Tensor, timestep: torch.Tensor, options: Any, *rest: Any
    ) -> torch.Tensor:
        velocities: list[torch.Tensor] = options["transformer_options"][KEY]
        sigma = float(timestep[0])
        weights = plan[step_of_sigma(sigma, bench.sigmas)]
        if not len(weights):
            computed: torch.Tensor = executor(x, timestep, options, *rest)
            velocities.append(core.velocity_from_denoised(x, computed, sigma))
            return computed
        velocity = torch.zeros_like(x)
        for weight, known in zip(weights, velocities, strict=True):
            velocity.add_(known, alpha=float(weight))
        denoised: torch.Tensor = core.denoised_from_velocity(x, velocity, sigma)
        return denoised

    return predict
