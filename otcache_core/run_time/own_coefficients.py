"""Run time: the slope gain and the drift that a run itself foretells, without any calibration.

Over the steps after a computed one the velocity changes along the slope and by how the prediction
of the clean picture drifts. What both were on the edge that has just ended is known once the
velocity at its end is: least squares of two unknowns, by which that velocity would have been
foretold from what was known where the edge began. They are found for each picture by itself, and
for its sound as well where a latent holds both: a video has a hundred times the numbers of its
sound, which would have no say.
"""
# Not in the paper. Nothing waits for a device.

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 0.1
"""Draws coefficients to 0, as a share of what is known of each."""

MOST = 1.0
"""Coefficients are kept from -1 to 1."""


@dataclass(frozen=True)
class Computed:
    """What a computed step leaves behind.

    Attributes:
        sigma: Its noise level.
        velocity: The model's.
        slope: Of the velocity, from the computed step before to this one; ``None`` at the first.
        denoised: The prediction of the clean picture.
        factor: Turns it into the change of velocity that a drift of 1 over the edge makes.
        moment: Of the edge that begins here, see ``edge.moment_of``.
    """

    sigma: float
    velocity: Tensor
    slope: Tensor | None
    denoised: Tensor
    factor: float
    moment: float = 0.0


@dataclass(frozen=True)
class Found:
    """The coefficients of the edge that has ended, shaped ``(N, 1, ..., 1 or streams)``.

    Attributes:
        gain, drift: The slope's factor and the share by which ``denoised`` grew.
        cosine: Of its slope with the one before, ``None`` on the first edge.
        size, former_size: Of the two slopes.
    """

    gain: Tensor
    drift: Tensor
    cosine: Tensor | None = None
    size: Tensor | None = None
    former_size: Tensor | None = None


def drift_factor(sigma: float, end: float) -> float:
    """The factor of ``Computed`` for an edge between two noise levels; 0 where it has no length."""
    span = end - sigma
    return -2.0 / (sigma * span) if span else 0.0


class OwnCoefficients:
    """Finds the coefficients of edges that have ended.

    Args:
        streams: How many numbers each stream has, where the last dimension of latents holds
            several one after the other; a latent of another length is one stream.
    """

    def __init__(self, streams: tuple[int, ...] = ()) -> None:
        self._streams = streams

    def of(self, before: Computed, slope: Tensor) -> Found:
        """The coefficients of the edge from a computed step on.

        Args:
            before: What was known where it began.
            slope: The slope that it had in truth.
        """
        drift, product = before.denoised * before.factor, self._product
        d_d, d_s = product(drift, drift) * (1.0 + RIDGE), product(drift, slope)
        if before.slope is None:
            found = quotient(d_s, d_d)
            return Found(torch.zeros_like(found), found)
        former = before.slope
        square, f_s = product(former, former), product(former, slope)
        f_f, both = square * (1.0 + RIDGE), product(former, drift)
        area = f_f * d_d - both.square()
        size, former_size = product(slope, slope).sqrt(), square.sqrt()
        return Found(
            quotient(f_s * d_d - d_s * both, area),
            quotient(d_s * f_f - f_s * both, area),
            quotient(f_s, size * former_size),
            size,
            former_size,
        )

    def spread(self, coefficient: Tensor) -> Tensor:
        """A coefficient for each number of its stream, where it was found by stream."""
        if coefficient.ndim < 2 or coefficient.shape[-1] == 1:
            return coefficient
        parts = zip(torch.split(coefficient, 1, dim=-1), self._streams, strict=True)
        return torch.cat([part.expand(*part.shape[:-1], size) for part, size in parts], dim=-1)

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner product of each picture's latents, ``(N, 1, ..., 1 or streams)``, in float32."""
        if a.ndim < 2 or sum(self._streams) != a.shape[-1]:
            return _sum(a * b)
        parts = torch.split(a * b, list(self._streams), dim=-1)
        return torch.cat([_sum(part) for part in parts], dim=-1)


def _sum(a: Tensor) -> Tensor:
    return a.sum(dim=tuple(range(1, a.ndim)) or (0,), keepdim=True, dtype=torch.float32)


def quotient(above: Tensor, below: Tensor) -> Tensor:
    """A coefficient within its bounds; 0 where nothing moved."""
    found = torch.where(below > 0.0, above / below.clamp(min=1e-30), torch.zeros_like(above))
    return found.nan_to_num_(0.0, 0.0, 0.0).clamp_(-MOST, MOST)
