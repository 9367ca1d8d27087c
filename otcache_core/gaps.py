"""Computed steps and their gaps: the space that stage 2 searches."""
# Source: OTCache, Sec. 3.3, "gap space".

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from .documents.schedule import MAX_BEND, MAX_DRIFT, MAX_FORETOLD, MAX_SLOPE_GAIN, coefficients

Steps = tuple[int, ...]

MOVES = (-1, 1, -2, 2)
"""How far the polish moves computed steps."""

DIGITS = 3
"""Decimals of an edge's coefficients."""


def steps_from_gaps(gaps: Sequence[float], last: int) -> Steps:
    """Projects positive real gaps to computed steps: scaled to their end, largest remainders first.

    Integer gaps that already sum to ``last`` come back as they are.

    Args:
        gaps: ``B - 1`` positive numbers.
        last: The last computed step, at least B-1; T-1 in the paper.
    """
    spare = last - len(gaps)
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


def ending_at(computed_steps: Steps, last: int) -> Steps:
    """Computed steps of the same shape that end at another step, at least B-1."""
    return steps_from_gaps(gaps_from_steps(computed_steps), last)


def uniform_steps(budget: int, steps: int) -> Steps:
    """Computed steps as evenly spaced as integers allow."""
    return tuple(round(i * (steps - 1) / (budget - 1)) for i in range(budget))


@dataclass(frozen=True)
class Candidate:
    """A schedule as stage 2 sees it.

    Attributes:
        computed_steps: Which steps run the model.
        slope_gain: The slope's factor on each edge; 1 where it changes nothing.
        drift: Share by which the prediction of the clean picture grows over each edge; 0 where it
            changes nothing.
        foretold: Share of what the run itself foretells that is added on each edge; 0 where it
            changes nothing.
        bend: Factor on how the slope changed from the edge before; 0 where it changes nothing.
    """

    computed_steps: Steps
    slope_gain: tuple[float, ...]
    drift: tuple[float, ...]
    foretold: tuple[float, ...]
    bend: tuple[float, ...]


Fit: TypeAlias = Callable[[Candidate], Candidate]
"""Gives a candidate the coefficients that go with its steps."""


def candidate(
    computed_steps: Steps,
    slope_gain: Sequence[float] | float = 1.0,
    drift: Sequence[float] | float = 0.0,
    foretold: Sequence[float] | float = 0.0,
    bend: Sequence[float] | float = 0.0,
) -> Candidate:
    """A candidate in its one normal form, so that equal runs are equal candidates.

    Coefficients are rounded. The first edge has no slope before it and nothing to foretell from, so
    its gain is 1 and it has nothing foretold; the second one has no slope to have bent; an edge to
    the very next step skips nothing, so its gain is 1 and the others are 0.

    Args:
        computed_steps: Which steps run the model.
        slope_gain: One factor for all edges, or one for each.
        drift, foretold, bend: One share for all edges, or one for each.
    """
    gaps = gaps_from_steps(computed_steps)
    given = (slope_gain, drift, foretold, bend)
    gains, drifts, shares, bends = (_of_each(edges, len(gaps)) for edges in given)
    skips = [gap > 1 for gap in gaps]
    return Candidate(
        tuple(computed_steps),
        tuple(
            _rounded(gain, MAX_SLOPE_GAIN) if edge and skip else 1.0
            for edge, (skip, gain) in enumerate(zip(skips, gains, strict=True))
        ),
        tuple(
            _rounded(drift, MAX_DRIFT) if skip else 0.0
            for skip, drift in zip(skips, drifts, strict=True)
        ),
        tuple(
            _rounded(share, MAX_FORETOLD) if edge and skip else 0.0
            for edge, (skip, share) in enumerate(zip(skips, shares, strict=True))
        ),
        tuple(
            _rounded(bend, MAX_BEND) if edge > 1 and skip else 0.0
            for edge, (skip, bend) in enumerate(zip(skips, bends, strict=True))
        ),
    )


def _of_each(values: Sequence[float] | float, edges: int) -> list[float]:
    return [values] * edges if isinstance(values, float) else list(values)


def _rounded(value: float, most: float) -> float:
    return round(float(min(max(value, -most), most)), DIGITS) + 0.0  # no -0.0


def unfitted(of: Candidate) -> Candidate:
    """The candidate's steps, the whole slope followed on every edge."""
    return candidate(of.computed_steps)


def neighbours(of: Candidate, *, ends: Container[int] = ()) -> Iterator[Candidate]:
    """Candidates that differ in one step or a run of steps, small moves first.

    Args:
        of: The candidate in the middle.
        ends: Where the last step may move to; else it stays.
    """
    seen = {of.computed_steps}
    for move in MOVES:
        for moved in _moved_steps(of.computed_steps, move, ends):
            if moved not in seen:
                seen.add(moved)
                yield candidate(moved, **coefficients(of))


def _moved_steps(nodes: Steps, move: int, ends: Container[int]) -> Iterator[Steps]:
    """One step moved; then, by small moves, all from one on and all up to one."""
    count = len(nodes)
    runs = [(i, i + 1) for i in range(1, count)]
    if abs(move) == 1:
        runs += [(i, count - end) for end in (1, 0) for i in range(1, count - 1 - end)]
        runs += [(1, i) for i in range(3, count - 1)]
    for first, after in runs:
        moved = (
            *nodes[:first],
            *(node + move for node in nodes[first:after]),
            *nodes[after:],
        )
        rises = all(b > a for a, b in pairwise(moved))
        if rises and (moved[-1] == nodes[-1] or moved[-1] in ends):
            yield moved
