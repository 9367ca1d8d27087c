"""Real positions of computed steps into integers: the projection at the end of stage 3."""
# Source: OTCache, Sec. 3.3, after Eq. 10.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

REACH = 2
"""How far the projection may move a rounded step."""


def project_to_steps(positions: Sequence[float] | NDArray[np.float64]) -> tuple[int, ...]:
    """The projection of Eq. 10: integers whose gaps keep close to the real ones in ratio.

    Rounding each position by itself makes a gap of 2 beside one of 4 where both should be 3, and
    the run pays for the longer one. So each rounded step may move by up to ``REACH``, and the
    shortest path over the edges has the steps whose gaps change least.

    Args:
        positions: Non-decreasing real step positions from 0; no more of them than steps.
    """
    # Not in the paper, which rounds; measured by ``nox -s bench -- fidelity``.
    rounded = np.array(round_to_steps(positions))
    if len(rounded) < 3:
        return tuple(rounded.tolist())
    moves = np.arange(-REACH, REACH + 1)
    nodes = rounded[:, None] + moves
    wanted = np.maximum(np.diff(positions), 1.0)[:, None]
    gaps = nodes[1:, None, :] - nodes[:-1, :, None]  # (edge, move before, move after)
    changed = np.log(np.maximum(gaps, 1) / wanted[..., None]) ** 2
    # A node's offset counts half, in gaps, or one long gap would push all that follow it.
    offset = ((nodes[1:] - np.asarray(positions)[1:, None]) / (2.0 * wanted)) ** 2
    cost = np.where(gaps < 1, np.inf, changed + offset[:, None, :])

    best, choices = np.where(moves == 0, 0.0, np.inf), []  # the ends stay where they are
    for edge in cost:
        through = best[:, None] + edge
        choices.append(through.argmin(axis=0))
        best = through.min(axis=0)
    move, chosen = REACH, []
    for row, before in zip(nodes[:0:-1], reversed(choices), strict=True):
        chosen.append(int(row[move]))
        move = before[move]
    return (0, *reversed(chosen))


def round_to_steps(positions: Sequence[float] | NDArray[np.float64]) -> tuple[int, ...]:
    """The paper's projection: round, keep every gap at least 1, take the excess off large gaps."""
    rounded = np.rint(np.asarray(positions)).astype(int)
    gaps = np.maximum(np.diff(rounded), 1)
    last = max(int(rounded[-1]), len(gaps))  # so many gaps need so many steps
    for _ in range(int(gaps.sum()) - last):
        gaps[np.argmax(gaps)] -= 1
    return (0, *np.cumsum(gaps).tolist())
