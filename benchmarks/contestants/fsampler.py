"""FSampler's extrapolation, re-implemented: Lagrange polynomials through the last noise estimates.

Its unit is ``denoised - x``. With h2 a line, with h3 a parabola goes through the last computed
ones, in step indices. Its adaptive mode asks at every step how far the next states of the two lie
apart, and computes where that is too far; an estimate is shrunk by how much the ones before it,
judged at computed steps, were too large. Its tolerance is tuned to the asked calls, and of its
two estimates and two bounds on the skips in a row those are taken that do best on calibration
prompts: its own bound is lower, and would not let it reach so few calls.
"""
# Source: FSampler (arXiv 2511.09180).

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np
import torch

from benchmarks.contestants.answering import Evaluate, answering
from benchmarks.contestants.contestant import ON_OURS, Bench, Configured, Contestant
from benchmarks.contestants.linear import Forecast, Weights, by_forecast
from benchmarks.contestants.tuning import calibration_loss, tune
from benchmarks.instruments.kept import Kept

PROTECTED = 2
"""Steps at the beginning that are computed, and the last one."""

TOLERANCES = (1e-6, 1.0)
SLACK = 2
"""How much longer than evenly spaced the runs of skips may be, under the lower bound."""

MEMORY = 0.9
"""Weight of the past in the running ratio of estimated to true sizes."""

ADAPTIVE = "FSampler, adaptive (our re-implementation)"


def lagrange(known: Sequence[int], step: int, history: int) -> Weights:
    """Weights of the polynomial through the last values at a step; zero for older ones.

    Args:
        known: Steps of the values.
        step: Where the polynomial is asked.
        history: Values that it goes through at most.
    """
    weights = np.zeros(len(known))
    nodes = known[-history:]
    for i, node in enumerate(nodes, len(known) - len(nodes)):
        others = [other for other in nodes if other != node]
        weights[i] = np.prod([(step - other) / (node - other) for other in others])
    return weights


def of_noise(sigmas: Sequence[float], history: int) -> Forecast:
    """The extrapolation of ``denoised - x`` as weights of velocities, which are it over -sigma."""

    def forecast(known: Sequence[int], step: int) -> Weights:
        levels = np.array([sigmas[t] for t in known])
        return lagrange(known, step, history) * levels / sigmas[step]

    return forecast


def _rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


@dataclass
class Adaptive:
    """One run of the adaptive mode.

    Args:
        sigmas: Noise levels of the run.
        tolerance: How far the two next states may lie apart, over the size of one.
        history: Values that a skipped step's own estimate goes through.
        most_skips: Skipped steps in a row at most.
    """

    sigmas: Sequence[float]
    tolerance: float
    history: int = 3
    most_skips: int = 1000
    _steps: list[int] = field(default_factory=list)
    _noise: list[torch.Tensor] = field(default_factory=list)
    _too_large: float = 1.0

    def __call__(self, step: int, x: torch.Tensor, evaluate: Evaluate) -> torch.Tensor:
        estimate = self._estimate(step, self.history) if len(self._steps) > 2 else None
        if estimate is not None and self._may_skip(step) and self._close(step, x):
            return x + estimate / self._too_large
        denoised = evaluate()
        noise = denoised - x
        if estimate is not None:
            ratio = _rms(estimate) / max(_rms(noise), 1e-12)
            self._too_large = MEMORY * self._too_large + (1 - MEMORY) * ratio
        self._steps, self._noise = [*self._steps[-2:], step], [*self._noise[-2:], noise]
        return denoised

    def _estimate(self, step: int, history: int) -> torch.Tensor:
        weights = lagrange(self._steps, step, history)
        return sum(float(w) * e for w, e in zip(weights, self._noise, strict=True))  # type: ignore[return-value]

    def _may_skip(self, step: int) -> bool:
        last = len(self.sigmas) - 2
        return PROTECTED <= step < last and step - self._steps[-1] <= self.most_skips

    def _close(self, step: int, x: torch.Tensor) -> bool:
        # Euler: the next state is x - (sigma' - sigma) / sigma * noise.
        move = (self.sigmas[step] - self.sigmas[step + 1]) / self.sigmas[step]
        parabola = self._estimate(step, 3)
        apart = abs(move) * _rms(parabola - self._estimate(step, 2))
        return apart <= self.tolerance * _rms(x + move * parabola)


def _tuned(bench: Bench, calls: int, history: int, most_skips: int) -> Configured:
    """The adaptive mode at the tolerance that reaches the asked calls."""

    def configure(tolerance: float) -> Configured:
        note = f"h{history}, {most_skips} skips in a row at most, tolerance {tolerance:.3g}"
        run = partial(Adaptive, bench.sigmas, tolerance, history, most_skips)
        return Configured(answering(bench, run), batch=1, note=note)

    name = f"{ADAPTIVE}, h{history}, {most_skips} skips"
    return configure(tune(bench, name, calls, configure, TOLERANCES).setting)


def _adaptive(bench: Bench, calls: int) -> Configured:
    steps = len(bench.sigmas) - 1
    evenly = -(-steps // calls)
    tried = [_tuned(bench, calls, *of) for of in product((2, 3), (evenly + SLACK, steps))]
    kept = Kept(bench.work / f"fsampler-{calls}.json")
    if "best" not in kept.lines:
        losses = [calibration_loss(bench, how) for how in tried]
        kept.put("best", losses.index(min(losses)))
    return tried[kept.lines["best"]]


def _on_our_steps(history: int, *, of_denoised: bool = False) -> Contestant:
    def contestant(bench: Bench, calls: int) -> Configured:
        def forecast(known: Sequence[int], step: int) -> Weights:
            return lagrange(known, step, history)

        chosen: Callable[[Sequence[int], int], Weights] = forecast
        if not of_denoised:
            chosen = of_noise(bench.sigmas, history)
        return by_forecast(bench, bench.our_steps(calls), chosen, of_denoised=of_denoised)

    return contestant


CONTESTANTS: dict[str, Contestant] = {
    ADAPTIVE: _adaptive,
    f"FSampler's h2 of the noise {ON_OURS}": _on_our_steps(2),
    f"FSampler's h3 of the noise {ON_OURS}": _on_our_steps(3),
    f"FSampler's h2 of denoised {ON_OURS}": _on_our_steps(2, of_denoised=True),
}
