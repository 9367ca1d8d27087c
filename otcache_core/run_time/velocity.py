"""Run time: estimates the velocity at skipped steps from what earlier steps left behind.

There are four estimators, small classes with the same methods. The meancache one is the paper's
own: average velocity with a look-back. The slope one extrapolates linearly in sigma, along the last
two computed velocities and by how the prediction of the clean picture is known to drift; where a
schedule says so it adds what the run itself foretells and how slopes bend, by a class in a file of
its own. So is the adaptive one, which learns both in each run. The reuse one holds the last
velocity.

Everything here takes sigmas as plain floats, so that nothing on the skip path waits for a device.
"""
# Sources: MeanCache (arXiv 2601.19961); slope is the first order of TaylorSeer (arXiv 2503.06923),
# applied to the velocity.

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Protocol

from torch import Tensor

from ..documents.schedule import MAX_LOOK_BACK, Schedule
from ..errors import OTCacheError
from .adaptive import Adaptive
from .edge import (
    NOTHING_HELD,
    Edge,
    denoised_factor,
    denoised_from_velocity,
    moment_of,
    velocity_from_denoised,
)
from .foretold import Foretold
from .slope_trust import expected_cosine

__all__ = ["Edge", "Estimator", "VelocityCache", "denoised_from_velocity", "velocity_from_denoised"]

BEGUN = 0.05
"""Share of a model's time that may be over where a run begins whose first edge is to tell how its
slopes go on: later edges tell less, each by the steps before it."""


class Estimator(Protocol):
    """What a skipped step asks for. Tensors handed in are kept, never written to."""

    def observe(self, sigma: float, x: Tensor, velocity: Tensor, edge: Edge) -> Tensor | None:
        """Stores a computed step and how the edge that begins here is estimated.

        Returns:
            What this step's own velocity is to differ by from the model's, or ``None``.
        """

    def estimate(self, sigma: float, sigma_next: float, x: Tensor) -> Tensor:
        """The velocity of a skipped step that leads from ``sigma`` to ``sigma_next``."""

    def tensors(self) -> list[Tensor]:
        """Everything held, for the memory count."""


class Reuse:
    """Holds the last computed velocity: under Euler, one large step (look-back 1)."""

    def __init__(self) -> None:
        self._velocity: Tensor | None = None

    def observe(self, sigma: float, x: Tensor, velocity: Tensor, edge: Edge) -> None:
        self._velocity = velocity

    def estimate(self, sigma: float, sigma_next: float, x: Tensor) -> Tensor:
        if self._velocity is None:
            raise OTCacheError(NOTHING_HELD)
        return self._velocity

    def tensors(self) -> list[Tensor]:
        return [] if self._velocity is None else [self._velocity]


class Slope:
    """Extrapolates linearly in sigma: ``v_t + (sigma - sigma_t) F``, with F one tensor an edge.

    F is a sum of the slope of the last two computed velocities and of the prediction of the clean
    picture, each with the edge's own coefficient: over a long edge the full slope overshoots, and
    guidance overshoots at high noise, which the model takes back later.
    """

    # Coefficients are fitted by ``estimate.edge_fit``.

    def __init__(self) -> None:
        self._sigma = 0.0
        self._velocity: Tensor | None = None
        self._change: Tensor | None = None
        self._is_slope = False

    def observe(self, sigma: float, x: Tensor, velocity: Tensor, edge: Edge) -> None:
        slope: Tensor | None = None
        if self._velocity is not None and sigma != self._sigma:
            slope = (velocity - self._velocity).div_(sigma - self._sigma)
        elif self._is_slope:
            slope = self._change  # samplers such as heun ask twice at one level
        elif self._change is not None:
            self._velocity = velocity
            return
        plain = edge.slope_gain == 1.0 and edge.denoised_factor == 0.0
        change = slope if slope is None or plain else slope * edge.slope_gain
        if edge.denoised_factor:
            denoised = denoised_from_velocity(x, velocity, sigma)
            change = (
                denoised.mul_(edge.denoised_factor)
                if change is None
                else change.add_(denoised, alpha=edge.denoised_factor)
            )
        self._is_slope = plain and slope is not None
        self._sigma, self._velocity, self._change = sigma, velocity, change

    def estimate(self, sigma: float, sigma_next: float, x: Tensor) -> Tensor:
        if self._velocity is None:
            raise OTCacheError(NOTHING_HELD)
        if self._change is None:
            return self._velocity
        return self._velocity.add(self._change, alpha=sigma - self._sigma)

    def tensors(self) -> list[Tensor]:
        return [t for t in (self._velocity, self._change) if t is not None]


@dataclass(frozen=True)
class _Step:
    sigma: float
    x: Tensor | None
    velocity: Tensor


class MeanCache:
    """MeanCache's estimate: the last velocity, corrected by the average velocity over K steps.

    Estimates are stored like computed velocities. A look-back of 1 is plain reuse.

    Args:
        longest: The longest look-back that will be asked for: so many steps are kept. At 1 no
            noisy state is kept at all.
    """

    # With r the K-th last stored step, computed or skipped, as far back as the history goes:
    # u     = (x_i - x_r) / (sigma_i - sigma_r)
    # JVP   = (u - v_r) / (sigma_i - sigma_r)
    # v_hat = v_last + JVP * (sigma_{i+1} - sigma_i)

    def __init__(self, longest: int = MAX_LOOK_BACK) -> None:
        self._history: deque[_Step] = deque(maxlen=longest)
        self._longest = longest
        self._look_back = 1

    def observe(self, sigma: float, x: Tensor, velocity: Tensor, edge: Edge) -> None:
        self._look_back = edge.look_back
        self._keep(sigma, x, velocity)

    def estimate(self, sigma: float, sigma_next: float, x: Tensor) -> Tensor:
        if not self._history:
            raise OTCacheError(NOTHING_HELD)
        velocity = self._history[-1].velocity
        if self._look_back > 1:
            origin = self._history[-min(self._look_back, len(self._history))]
            span = sigma - origin.sigma
            if span != 0.0 and origin.x is not None:
                average = (x - origin.x).div_(span)
                jvp = average.sub_(origin.velocity).div_(span)
                velocity = velocity.add(jvp, alpha=sigma_next - sigma)
        self._keep(sigma, x, velocity)
        return velocity

    def _keep(self, sigma: float, x: Tensor, velocity: Tensor) -> None:
        # The sampler may go on writing into x, so its value at this step is copied.
        state = x.clone() if self._longest > 1 else None
        self._history.append(_Step(sigma, state, velocity))

    def tensors(self) -> list[Tensor]:
        held = [t for step in self._history for t in (step.x, step.velocity)]
        return [t for t in held if t is not None]


def _builder(
    schedule: Schedule, streams: tuple[int, ...], times: Sequence[float]
) -> Callable[[], Estimator]:
    """What makes the estimator of a schedule."""
    longest = max(schedule.look_back, default=1)
    builders: dict[str, Callable[[], Estimator]] = {
        "reuse": Reuse,
        "slope": partial(Foretold, streams) if any((*schedule.foretold, *schedule.bend)) else Slope,
        "adaptive": partial(
            Adaptive, streams, _expected_cosine(schedule), _lengths(schedule, times)
        ),
        "meancache": partial(MeanCache, longest),
    }
    return builders[schedule.estimator]


def _expected_cosine(schedule: Schedule) -> float | None:
    known = schedule.steadiness
    return None if known is None else expected_cosine(known, schedule.budget)


def _lengths(schedule: Schedule, times: Sequence[float]) -> tuple[float, float] | None:
    """Of the first edge and the mean one, where the first one is to tell how slopes go on."""
    nodes = schedule.computed_steps
    if len(nodes) < 2 or not len(times) or times[0] > BEGUN:
        return None
    first, mean = times[nodes[1]] - times[0], (times[-1] - times[0]) / len(nodes)
    return (first, mean) if first > 0.0 and mean > 0.0 else None


def _edges(schedule: Schedule, sigmas: Sequence[float]) -> dict[int, Edge]:
    """How steps are estimated, by the computed step before them; the tail follows the slope."""
    nodes = schedule.computed_steps
    factors = [
        denoised_factor(drift, sigmas[step : end + 1])
        for drift, (step, end) in zip(schedule.drift, pairwise(nodes), strict=True)
    ]
    ends = (*nodes[1:], schedule.steps)
    levels = [sigmas[step : end + 1] for step, end in zip(nodes, ends, strict=True)]
    gains = (*schedule.slope_gain, 1.0)
    ending, moments = [level[-1] for level in levels], map(moment_of, levels)
    others = [(*values, 0.0) for values in (factors, schedule.foretold, schedule.bend)]
    edges = map(Edge, (*schedule.look_back, 1), gains, *others, ending, moments)
    return dict(zip(nodes, edges, strict=True))


class VelocityCache:
    """The run-time state of one sampling run: what was computed, and estimates from it.

    Args:
        schedule: The schedule of this very run, ``schedule.steps`` steps long.
        sigmas: The run's ``steps + 1`` noise levels, as Python floats.
        stochastic: Whether the sampler adds noise between steps. Then ``x_i - x_r`` is no integral
            of the velocity, and the last ``denoised`` is reused instead.
        streams: How many numbers each stream of a packed latent has, picture and sound.
        times: The share of the model's time that is over at each level, see ``pace.times_of``;
            empty where it is not known.
    """

    def __init__(
        self,
        schedule: Schedule,
        sigmas: tuple[float, ...],
        *,
        stochastic: bool = False,
        streams: tuple[int, ...] = (),
        times: Sequence[float] = (),
    ) -> None:
        if len(sigmas) != schedule.steps + 1:
            raise OTCacheError(
                f"`sigmas` must have steps + 1 = {schedule.steps + 1} values but has {len(sigmas)}."
            )
        self._sigmas = sigmas
        self._mask = schedule.mask
        self._edges = _edges(schedule, sigmas)
        self._stochastic = stochastic
        self._build: Callable[[], Estimator] = (
            Reuse if stochastic else _builder(schedule, streams, times)
        )
        self._estimator: Estimator = self._build()
        self._like: tuple[object, ...] | None = None
        self.peak_bytes = 0

    def must_compute(self, step_index: int, x: Tensor) -> bool:
        """Whether this step runs the model: by schedule, or because nothing held fits ``x``.

        The first step seen in a run is always computed, and so is any step whose shape, dtype or
        device differs from what is held.
        """
        return self._mask[step_index] or self._like != (x.shape, x.dtype, x.device)

    def observe(self, step_index: int, sigma: float, x: Tensor, denoised: Tensor) -> Tensor:
        """Stores a computed step.

        Args:
            step_index: The step's index.
            sigma: Its noise level, above 0.
            x: Noisy state, any shape; not kept by reference.
            denoised: The model's prediction of the clean latent, shaped like ``x``; not kept.

        Returns:
            The ``denoised`` for the sampler: this very one, but where the estimator puts back what
            the steps before have missed.
        """
        if sigma <= 0.0:
            return denoised
        like = (x.shape, x.dtype, x.device)
        if self._like != like:
            self._estimator, self._like = self._build(), like
        kept = denoised.clone() if self._stochastic else velocity_from_denoised(x, denoised, sigma)
        back = self._estimator.observe(sigma, x, kept, self._edges.get(step_index, Edge()))
        self._count()
        return denoised if back is None else denoised.sub(back, alpha=sigma)

    def estimate(self, step_index: int, sigma: float, x: Tensor) -> Tensor:
        """The ``denoised`` that a skipped step returns instead of running the model.

        Args:
            step_index: The step's index.
            sigma: Noise level of this evaluation.
            x: Noisy state, shaped like the computed ones.

        Returns:
            A new tensor shaped like ``x``.
        """
        sigma_next = self._sigmas[step_index + 1]
        kept = self._estimator.estimate(sigma, sigma_next, x)
        self._count()
        if self._stochastic:
            return kept.clone()
        return denoised_from_velocity(x, kept, sigma)

    def mean_cosine(self) -> Tensor | None:
        """How far slopes went on as they came, for ``slope_trust``; not read from the device.

        ``None`` for estimators that do not look at it, and where too few steps were computed.
        """
        adaptive = self._estimator
        return adaptive.trust.mean_cosine() if isinstance(adaptive, Adaptive) else None

    def clear(self) -> None:
        """Frees every tensor held."""
        self._estimator = self._build()
        self._like = None

    def _count(self) -> None:
        # Held tensors may share storage (an estimate that is a plain reuse): count each once.
        held = {t.data_ptr(): t.nbytes for t in self._estimator.tensors()}
        self.peak_bytes = max(self.peak_bytes, sum(held.values()))
