"""Run time: velocities, and the edge from one computed step to the next where they are estimated.

Everything here takes sigmas as plain floats, so that nothing on the skip path waits for a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

GOES_ON = 0.5
"""The gain from which on a slope is taken to go on as it came: its bend is fitted as well, and its
steps may be cut finer. Of bends, 0.3 is worse on `unet-hard` and 0.7 on `video`; the ground's
records are with it.
"""

NOTHING_HELD = "the first step of a run must be computed but was asked to be skipped."


def velocity_from_denoised(x: Tensor, denoised: Tensor, sigma: float) -> Tensor:
    """The derivative dx/dsigma of the sampling ODE: ``(x - denoised) / sigma``, a new tensor.

    It is the flow velocity of flow-matching models and is equally defined for eps, v-prediction and
    EDM models, so that one definition serves every model ComfyUI samples.
    """
    return (x - denoised).div_(sigma)


def denoised_from_velocity(x: Tensor, velocity: Tensor, sigma: float) -> Tensor:
    """The inverse of ``velocity_from_denoised``: ``x - sigma * velocity``, a new tensor."""
    return x.sub(velocity, alpha=sigma)


@dataclass(frozen=True)
class Edge:
    """How the steps after a computed one are estimated.

    Attributes:
        look_back: MeanCache's K.
        slope_gain: The slope's factor: 1 follows it, 0 holds the velocity.
        denoised_factor: What the prediction of the clean picture is multiplied by for its part in
            the direction of change, in 1 / sigma^2; see ``denoised_factor``.
        foretold: Share of what the run itself foretells that is added.
        bend: Factor on how the slope changed from the edge before.
        end: Noise level at which the edge ends.
        moment: Of its steps, see ``moment_of``; 0 where none is skipped.
    """

    look_back: int = 1
    slope_gain: float = 1.0
    denoised_factor: float = 0.0
    foretold: float = 0.0
    bend: float = 0.0
    end: float = 0.0
    moment: float = 0.0


def moment_of(sigmas: Sequence[float]) -> float:
    """How far a change of velocity of 1 for each unit of sigma moves x on its way along an edge.

    Args:
        sigmas: The edge's noise levels, those of both ends too.
    """
    first = sigmas[0]
    return sum((after - at) * (at - first) for at, after in pairwise(sigmas))


def denoised_factor(drift: float, sigmas: Sequence[float]) -> float:
    """The factor f with which ``f * denoised`` turns the velocity as a drift of ``denoised`` does.

    A drift d adds ``-d * denoised * (sigma_s - sigma_t) / sigma_t`` to where an edge from t to s
    ends: what ``dx/dsigma = (x - denoised) / sigma`` gives if ``denoised`` is larger by a share d.
    The steps of the edge add up to ``f * denoised * M``, with M their moment.

    Args:
        drift: The share.
        sigmas: The edge's noise levels, those of both ends too.
    """
    first, moment = sigmas[0], moment_of(sigmas)
    return -drift * (sigmas[-1] - first) / (first * moment) if drift and moment else 0.0
