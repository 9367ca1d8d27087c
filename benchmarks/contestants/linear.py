"""Skipped steps whose velocity is a weighted sum of the computed velocities before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.contestants.answering import Evaluate, Run, answering
from benchmarks.contestants.contestant import Bench, Configured

Weights = NDArray[np.float64]

Forecast = Callable[[Sequence[int], int], Weights]
"""(computed steps so far, skipped step) -> a weight for each of these steps' velocities."""


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


def by_forecast(
    bench: Bench, computed_steps: Sequence[int], forecast: Forecast, *, of_denoised: bool = False
) -> Configured:
    """The model under Euler with the steps between the computed ones forecast.

    Args:
        bench: Gives the model.
        computed_steps: Where the model runs.
        forecast: Weights of what is known.
        of_denoised: Whether the model's ``denoised`` is forecast, and not its velocity.
    """
    plan = plan_weights(len(bench.sigmas) - 1, computed_steps, forecast)
    core = bench.host.core("run_time.velocity")

    def new_run() -> Run:
        known: list[torch.Tensor] = []

        def run(step: int, x: torch.Tensor, evaluate: Evaluate) -> torch.Tensor:
            sigma = bench.sigmas[step]
            if not len(plan[step]):
                denoised = evaluate()
                known.append(
                    denoised if of_denoised else core.velocity_from_denoised(x, denoised, sigma)
                )
                return denoised
            estimate = torch.zeros_like(x)
            for weight, value in zip(plan[step], known, strict=True):
                estimate.add_(value, alpha=float(weight))
            if of_denoised:
                return estimate
            found: torch.Tensor = core.denoised_from_velocity(x, estimate, sigma)
            return found

        return run

    return Configured(answering(bench, new_run))
