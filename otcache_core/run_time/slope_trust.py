"""Run time: how far a run that teaches itself may follow its slopes in full.

Least squares bring each edge as close to its end as they can, and leave a part of it missing that
grows from edge to edge where the model goes straight on. The slope in full makes up on one edge
what the one before left: two edges of one length come to where the method of Adams and Bashforth
comes. Where the model itself takes errors back, as under strong guidance, that is too much of a
good thing, and slopes turn round on every edge. Where slopes go on more plainly still, the next
order pays: a slope is taken to grow on as it grew, and what an edge is seen to have missed, once
the velocity at its end is known, is put back on the next one, as a corrector would.

So the slopes tell which of the two a model is: the cosine of each with the one before is above 0
for the first kind and far below for the second. It rises with the number of calls, by the same
amount for every model that was measured, so that one number, the *steadiness*, tells it for all of
them. A full run cannot tell it: its slopes are those of a run that makes no errors.

Before a slope was seen the first edge tells of it already, and for each picture by itself: the
prediction of the clean picture begins beyond what it comes to, the farther the stronger guidance
is, so that the share by which it shrinks over the first edge tells how slopes will go on.
"""
# Not in the paper. Measured by ``nox -s bench -- auto``.

from __future__ import annotations

import math

import torch
from torch import Tensor

AT_CALLS = 10
"""A steadiness is the mean cosine of a run of so many calls."""

MOST_CALLS = 16
"""More calls are taken to be as steady as these."""

BY_LOGARITHM = 0.7
"""What the cosine gains where calls are e times as many."""

TRUST = 3.0
"""Share of the slope in full for each unit of cosine: all of it from a third on."""

NEXT_ORDER_FROM, NEXT_ORDER = 0.2, 2.0
"""From which cosine on the next order has a share, and how much for each unit above it."""

BY_NOTHING, BY_DRIFT, BY_FINENESS = 0.6, 1.4, 0.3
"""The mean cosine by what the prediction of the clean picture did on the first edge: least squares
over 150 runs of four models, eleven scales of guidance, five schedulers and 8 to 28 calls, .05
taken off. It is .18 off in the mean, where without the drift it is .30."""

MEAN_EDGE, LEAST_EDGE = 0.1, 0.05
"""Mean length of edges that ``BY_FINENESS`` counts from, and the one that it counts to."""

KNOWN = 4.0
"""What the first edge foresees, or else what is known of a model, counts like so many edges."""

SLACK = 0.1
"""The share goes by no more than the cosine of the last edge and this: where a run tips over, what
went before says nothing."""


def expected_cosine(steadiness: float, calls: int) -> float:
    """The mean cosine that a run of so many calls will have."""
    return max(-1.0, min(1.0, steadiness + _by_calls(calls)))


def steadiness_of(cosine: float, calls: int) -> float:
    """The inverse of ``expected_cosine``: what a run of so many calls says of its model."""
    return max(-1.0, min(1.0, cosine - _by_calls(calls)))


def _by_calls(calls: int) -> float:
    return BY_LOGARITHM * math.log(min(max(calls, 1), MOST_CALLS) / AT_CALLS)


def foreseen_cosine(drift: Tensor, length: float, mean_length: float) -> Tensor:
    """The mean cosine that a picture's slopes will have.

    Args:
        drift: The share by which the prediction of the clean picture grew over the first edge of a
            run from the highest noise level on, any shape.
        length: Of that edge, as a share of the model's time, above 0.
        mean_length: Of all edges.
    """
    fineness = math.log(MEAN_EDGE / max(mean_length, LEAST_EDGE))
    # The drift is fastest in the beginning, so that it grows less than the edge does.
    as_long = drift * (BY_DRIFT * math.sqrt(mean_length / length))
    return (as_long + (BY_NOTHING + BY_FINENESS * fineness)).clamp_(-1.0, 1.0)


class SlopeTrust:
    """The share of the full slope, by what is known beforehand and what the run has shown so far.

    Args:
        expected: The cosine to expect, from ``expected_cosine``, or ``None``, which is 0 until the
            first edge has told.
    """

    def __init__(self, expected: float | None = None) -> None:
        self._expected: float | Tensor = expected or 0.0
        self._sum: Tensor | None = None
        self._last: Tensor | None = None
        self._edges = 0

    def foresee(self, cosine: Tensor) -> None:
        """Takes up what the first edge foresees of each picture, shaped like a coefficient.

        It tells more than what is known of the model, and counts in place of it.
        """
        self._expected = cosine

    def see(self, cosine: Tensor) -> None:
        """Takes up the cosine of an edge's slope with the one before, for each picture."""
        self._sum = cosine if self._sum is None else self._sum + cosine
        self._last = cosine
        self._edges += 1

    def share(self, like: Tensor) -> Tensor:
        """The share for the edge that begins now, 0 to 1, shaped like a coefficient."""
        return (self._cosine(like) * TRUST).clamp_(0.0, 1.0)

    def next_order(self, like: Tensor) -> Tensor:
        """The share of what the next order adds to the slope in full, as ``share``."""
        return ((self._cosine(like) - NEXT_ORDER_FROM) * NEXT_ORDER).clamp_(0.0, 1.0)

    def _cosine(self, like: Tensor) -> Tensor:
        """What the cosine of this edge's slope with the next one is taken to be."""
        if self._sum is None or self._last is None:
            return torch.zeros_like(like) + self._expected
        mean = (self._sum + KNOWN * self._expected) / (self._edges + KNOWN)
        return torch.minimum(mean, self._last + SLACK)

    def mean_cosine(self) -> Tensor | None:
        """Over edges and pictures, still on the device; ``None`` before the first one."""
        return None if self._sum is None else self._sum.mean() / self._edges
