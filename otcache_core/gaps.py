"""Computed steps and their gaps: the space that stage 2 searches."""
# Source: OTCache, Sec. 3.3, "gap space".

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .schedule import MAX_SLOPE_GAIN

Steps = tuple[int, ...]

MOVES = ((-1, -0.25), (1, 0.25), (-2, -0.5), (2, 0.1))
"""Moves of the polish: of one computed step, and of one gain."""

GAIN_GRID = 0.05


def steps_from_gaps(gaps: Sequence[float], steps: int) -> Steps:
    """Projects positive real gaps to computed steps: scaled to sum T-1, largest remainders first.

    Integer gaps that already sum to ``steps - 1`` come back as they are.

    Args:
        gaps: ``B - 1`` positive numbers.
        steps: Step count T, at least B.
    """
    spare = steps - 1 - len(gaps)
    above_one = np.maximum(np.asarray(gaps, dtype=float) - 1.0, 0.0)
    total = above_one.sum()
    share = above_one * (spare / total) if total > 0 else np.full(len(gaps), spare / len(gaps))
    whole = np.floor(share + 1e-9).astype(int)
    rest = spare - int(whole.sum())
    largest = np.argsort(-(share - whole), kind="stable")[:rest]
    whole[largest] += 1
    return (0, *np.cumsum(whole + 1).tolist())


def gaps_from_steps(computed_steps: Steps) -> list[int]:
    """First differences of the computed steps."""
    return np.diff(computed_steps).tolist()


def uniform_steps(budget: int, steps: int) -> Steps:
    """Computed steps as evenly spaced as integers allow."""
    return tuple(round(i * (steps - 1) / (budget - 1)) for i in range(budget))


@dataclass(frozen=True)
class Candidate:
    """A schedule as stage 2 sees it.

    Attributes:
        computed_steps: Which steps run the model.
        slope_gain: The slope's factor on each edge; 1 where it changes nothing.
    """

    computed_steps: Steps
    slope_gain: tuple[float, ...]


def candidate(computed_steps: Steps, slope_gain: Sequence[float] | float = 1.0) -> Candidate:
    """A candidate in its one normal form, so that equal runs are equal candidates.

    Gains are put on a grid. The first edge has no slope before it and an edge to the very next step
    skips nothing, so their gains are 1.

    Args:
        computed_steps: Which steps run the model.
        slope_gain: One factor for all edges, or one for each.
    """
    gaps = gaps_from_steps(computed_steps)
    gains = [slope_gain] * len(gaps) if isinstance(slope_gain, float) else list(slope_gain)
    kept = [
        round(round(gain / GAIN_GRID) * GAIN_GRID, 6) if edge and gap > 1 else 1.0
        for edge, (gap, gain) in enumerate(zip(gaps, gains, strict=True))
    ]
    return Candidate(tuple(computed_steps), tuple(min(max(g, 0.0), MAX_SLOPE_GAIN) for g in kept))


def neighbours(of: Candidate, *, gains: bool = False) -> Iterator[Candidate]:
    """Candidates that differ in one inner step or one gain, small moves of steps first.

    Args:
        of: The candidate in the middle.
        gains: Whether gains move too.
    """
    seen = {of}
    for step_move, gain_move in MOVES:
        moved = list(_moved_steps(of, step_move))
        if gains:
            moved += _moved_gains(of, gain_move)
        for near in moved:
            if near not in seen:
                seen.add(near)
                yield near


def _moved_steps(of: Candidate, move: int) -> Iterator[Candidate]:
    nodes = of.computed_steps
    for i in range(1, len(nodes) - 1):
        if nodes[i - 1] < nodes[i] + move < nodes[i + 1]:
            yield candidate((*nodes[:i], nodes[i] + move, *nodes[i + 1 :]), of.slope_gain)


def _moved_gains(of: Candidate, move: float) -> Iterator[Candidate]:
    gains = of.slope_gain
    for i, gain in enumerate(gains):
        if 0.0 <= gain + move <= MAX_SLOPE_GAIN:
            yield candidate(of.computed_steps, (*gains[:i], gain + move, *gains[i + 1 :]))
