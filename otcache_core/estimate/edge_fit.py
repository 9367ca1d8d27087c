"""The coefficients of a schedule's edges, fitted so that cached runs come to where full runs come.

At a skipped step the slope estimator takes ``v_t + (sigma - sigma_t) F``. F is known at the
computed step: the slope of the last two velocities times the edge's *gain*, the prediction of
the clean picture for its *drift*, a share of what the run itself *foretells*, and how the slope
*bends*, its change from the edge before. Guidance makes
that prediction overshoot at high noise, and the model takes it back further on; the drift knows how
much for all pictures, and what is foretold how much more or less for this one.

The fit goes edge by edge, in their order, each in the run that the coefficients before it make, so
that an edge sees the errors it will meet and takes back what it can of them. Where an edge ends is
linear in its coefficients, so a probe for each tells all of it, and least squares have the answer:
robust, or the one prompt whose picture tips over would decide for the others, and with the drift
and the last two each held back as far as they do not help on prompts that were
left out. With a memo of model calls this
costs as many as one run of the schedule on each prompt, and the run that judges the schedule finds
them remembered.

Then, where the budget is worth more calls, all gains together: the best end of an edge is not the
best for the run, since the model mends some of what an edge leaves missing, and some not.
"""
# Not in the paper, which repeats the average velocity; measured by ``nox -s bench -- fidelity``.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..documents.schedule import (
    COEFFICIENTS,
    MAX_BEND,
    MAX_DRIFT,
    MAX_FORETOLD,
    MAX_SLOPE_GAIN,
    coefficient_values,
)
from ..gaps import Candidate, candidate, gaps_from_steps
from ..run_time.edge import GOES_ON

PROBE = 0.1
"""How far a gain is moved to see what it changes."""

MOST_REFINEMENTS = 4
"""Steps of the search for all gains together."""

HOLDS = (1e-3, 3e-2, 0.3, 3.0, 1e6)
"""How firmly a coefficient is held at 0, as ridge on those of unit size; the last is for good."""

USUAL_HOLD, LEAST_TO_LEAVE_OUT = 3e-2, 3
"""A drift's hold where there are too few prompts to leave one out, and the least of the last two
kinds where there are many."""

LEAST_FOR_ALL = 6
"""Prompts from which on all coefficients are fitted to tell candidates apart. What goes into an
anchor has them all from three prompts on, more firmly held on fewer than these."""

FIRM_OF_FEW, GOES_ON_OF_FEW = 0.3, 0.8
"""On fewer prompts than that: how firmly what is foretold and bends is held at least, and the least
gain of an edge that bends."""

STEEPEST_OF_FEW = 2.0
"""The largest gain on so few prompts: what so few ask for beyond it is their own. Without
it a search that fits candidates on four led to anchors that were farther at 10 to 15 calls of
`unet-hard` and at 10 and 12 of `latent`, level on `video` and `unet`."""

ROUNDS = 8
"""Of reweighted least squares."""

State: TypeAlias = NDArray[np.float32]
Vector: TypeAlias = NDArray[np.float64]

Arrive = Callable[[Candidate, int, int], State]
"""(candidate, prompt, step) -> elements of the latent when the run arrives at that step."""

FullStates = Callable[[int], State]
"""Prompt -> the same elements of its full run before each step, ``(T + 1, elements)``."""


@dataclass(frozen=True)
class Products:
    """What least squares need to know of one edge, by prompt.

    Attributes:
        moves: Products of what a unit of each coefficient moves, ``(P, k, k)``.
        toward: Their products with what is missing without them, ``(P, k)``.
        missing: Square of what is missing, ``(P,)``.
    """

    moves: Vector
    toward: Vector
    missing: Vector

    def first(self, count: int) -> Products:
        """Of the first coefficients alone."""
        return Products(self.moves[:, :count, :count], self.toward[:, :count], self.missing)

    def beyond(self, coefficients: Vector) -> Products:
        """Of what is missing once some coefficients, ``(k,)``, are followed."""
        rest = self.toward - self.moves @ coefficients
        return Products(self.moves, rest, self.left(coefficients))

    def left(self, coefficients: Vector) -> Vector:
        """Square of what is missing with some coefficients, ``(..., P)`` for ``(..., k)``."""
        moved = np.einsum("...i,pij,...j->...p", coefficients, self.moves, coefficients)
        left: Vector = np.maximum(self.missing - 2.0 * coefficients @ self.toward.T + moved, 0.0)
        return left


def products(moves: list[list[State]], missing: list[State]) -> Products:
    """The products of one edge.

    Args:
        moves: By prompt, what a unit of each coefficient moves at the edge's end.
        missing: By prompt, what the coefficients have to bring there.
    """
    wide = [np.asarray(each, dtype=np.float64) for each in moves]
    rests = [np.asarray(rest, dtype=np.float64) for rest in missing]
    return Products(
        np.stack([each @ each.T for each in wide]),
        np.stack([each @ rest for each, rest in zip(wide, rests, strict=True)]),
        np.array([rest @ rest for rest in rests]),
    )


def fit_edges(
    of: Candidate,
    prompts: Iterable[int],
    arrive: Arrive,
    full: FullStates,
    *,
    least_for_all: int = LEAST_FOR_ALL,
    first: int = 0,
) -> Candidate:
    """The candidate's steps with fitted coefficients, or the candidate if a run is not finite.

    Args:
        of: Its steps count; edges that skip nothing have none to fit.
        prompts: The prompts to fit on.
        arrive: Runs the model.
        full: What the full runs left.
        least_for_all: On fewer prompts only gains and drifts are fitted.
        first: The edge to begin with; those before keep what they have.
    """
    fitted, listed = _from_edge(of, first), list(prompts)
    for edge, (step, end) in enumerate(pairwise(of.computed_steps)):
        if edge < first or end == step + 1:
            continue
        kinds = _kinds(edge, few=len(listed) < least_for_all)
        probes = [_with_edge(fitted, edge, {kind: 1.0}) for kind in kinds]
        moves, missing = [], []
        for prompt in listed:
            start = arrive(fitted, prompt, end)
            moves.append([arrive(probe, prompt, end) - start for probe in probes])
            missing.append(full(prompt)[end] - start)
        known = products(moves, missing)
        if not all(np.isfinite(part).all() for part in vars(known).values()):
            return of
        expected = _expected(fitted, edge, kinds, few=len(listed) < LEAST_FOR_ALL)
        found = expected + fitted_edge(known.beyond(expected), kinds)
        values = dict(zip(kinds, found.tolist(), strict=True))
        fitted = _with_edge(fitted, edge, values, _steepest(len(listed)))
    return fitted


def _expected(of: Candidate, edge: int, kinds: Sequence[str], *, few: bool) -> Vector:
    """Where an edge's coefficients are held, ``(k,)``: at 0, but on few prompts what is foretold at
    its mean so far.

    How well a run foretells its own picture is the model's more than an edge's, and few prompts
    tell it better by all edges than by each. Many tell it by each, and are level so.
    """
    gaps = gaps_from_steps(of.computed_steps)
    shares = [of.foretold[before] for before in range(1, edge) if gaps[before] > 1]
    usual = float(np.mean(shares)) if few and shares else 0.0
    return np.array([usual if kind == "foretold" else 0.0 for kind in kinds])


def fitted_edge(known: Products, kinds: Sequence[str]) -> Vector:
    """One edge's coefficients, its bend, the last one, only where its slope goes on; ``(k,)``.

    A slope that turns back, as under strong guidance, has no bend to follow.
    """
    if "bend" in kinds:
        straight, others = known.first(len(kinds) - 1), kinds[:-1]
        found = solve(straight, best_holds(straight, others))
        if found[0] < (GOES_ON_OF_FEW if len(known.missing) < LEAST_FOR_ALL else GOES_ON):
            return np.append(found, 0.0)
    return solve(known, best_holds(known, kinds))


def _steepest(prompts: int) -> float:
    """The largest gain that so many prompts can tell."""
    return MAX_SLOPE_GAIN if prompts >= LEAST_FOR_ALL else STEEPEST_OF_FEW


def _kinds(edge: int, few: bool) -> tuple[str, ...]:
    """Which coefficients an edge has: before the first one is no slope, before the second one."""
    if edge == 0:
        return ("drift",)
    kinds = ("slope_gain", "drift", "foretold", "bend")
    if few:
        return kinds[:2]
    return kinds if edge > 1 else kinds[:3]


def best_holds(known: Products, kinds: Sequence[str]) -> Vector:
    """How firmly to hold each coefficient: as serves prompts that the fit has not seen, ``(k,)``.

    Gains are free, the last two never are. Of holds that serve as well, the firmest are taken.
    """
    prompts = len(known.missing)
    if prompts < LEAST_TO_LEAVE_OUT:
        return np.array([HOLDS[0] if kind == "slope_gain" else USUAL_HOLD for kind in kinds])
    least = FIRM_OF_FEW if prompts < LEAST_FOR_ALL else USUAL_HOLD
    choices = {"slope_gain": HOLDS[:1], "drift": HOLDS[::-1]}
    firm = tuple(hold for hold in reversed(HOLDS) if hold >= least)
    every = [choices.get(kind, firm) for kind in kinds]
    alone = ~np.eye(prompts, dtype=bool)  # each row leaves one prompt out

    def unseen(holds: Vector) -> float:
        left = known.left(solve(known, holds, alone))
        return float(np.sqrt(np.diagonal(left)).mean())

    return min(map(np.array, product(*every)), key=unseen)


def solve(known: Products, holds: Vector, seen: NDArray[np.bool_] | None = None) -> Vector:
    """Robust least squares, each coefficient held at 0 as firmly as ``holds`` says.

    Args:
        known: The products, of ``P`` prompts and ``k`` coefficients.
        holds: ``(k,)``.
        seen: Which prompts to fit on, ``(..., P)``; all by default.

    Returns:
        The coefficients, ``(..., k)``.
    """
    seen = np.ones(len(known.missing), dtype=bool) if seen is None else seen
    weights: Vector = seen.astype(np.float64)
    found: Vector = np.zeros((*seen.shape[:-1], len(holds)))
    for _ in range(ROUNDS):
        moves = np.einsum("...p,pij->...ij", weights, known.moves)
        size = np.sqrt(np.einsum("...ii->...i", moves))
        size = np.where(size == 0.0, np.inf, size)  # what moves nothing keeps 0
        scaled = moves / size[..., :, None] / size[..., None, :] + np.diag(holds)
        toward = (weights @ known.toward) / size
        found = np.linalg.solve(scaled, toward[..., None])[..., 0] / size
        left = known.left(found)
        usual = np.nanmedian(np.where(seen, left, np.nan), axis=-1, keepdims=True)
        weights = seen / np.sqrt(left + 0.3 * usual + 1e-12)
    return found


def refine_gains(
    of: Candidate, prompts: Iterable[int], arrive: Arrive, full: FullStates
) -> Candidate:
    """The candidate with gains that bring runs closest to the full ones at the last computed step.

    Args:
        of: Steps, and the coefficients to begin with; all but gains stay.
        prompts: The prompts to fit on.
        arrive: Runs the model.
        full: What the full runs left.
    """
    from scipy.optimize import least_squares

    nodes, listed = of.computed_steps, list(prompts)
    edges = [e for e, (step, end) in enumerate(pairwise(nodes)) if e > 0 and end > step + 1]
    if not edges:
        return of

    def ends(gains: Vector) -> Vector:
        """Where each prompt's run comes to, ``(prompts, elements)``."""
        every = list(of.slope_gain)
        for edge, gain in zip(edges, gains, strict=True):
            every[edge] = float(gain)
        tried = replace(of, slope_gain=tuple(every))  # not rounded
        states = [arrive(tried, prompt, nodes[-1]) for prompt in listed]
        return np.stack(states).astype(np.float64)

    steepest = _steepest(len(listed))
    begin = np.clip([of.slope_gain[edge] for edge in edges], -steepest, steepest)
    wanted = np.stack([full(prompt)[nodes[-1]] for prompt in listed]).astype(np.float64)
    missing = np.linalg.norm(ends(begin) - wanted, axis=1)
    if not np.isfinite(missing).all():
        return of
    # A prompt whose picture tips over misses by far and must not decide for the others.
    weights = 1.0 / np.sqrt(missing + 0.3 * np.median(missing) + 1e-12)

    def residuals(gains: Vector) -> Vector:
        weighted: Vector = (ends(gains) - wanted) * weights[:, None]
        return weighted.ravel()

    def slopes(gains: Vector) -> Vector:
        here, columns = ends(gains), []
        for edge in range(len(gains)):
            probe = gains.copy()
            probe[edge] += PROBE if probe[edge] + PROBE <= steepest else -PROBE
            columns.append((ends(probe) - here) / (probe[edge] - gains[edge]))
        matrix: Vector = np.stack([(c * weights[:, None]).ravel() for c in columns], axis=1)
        return matrix

    bounds = (-steepest, steepest)
    found: Any = least_squares(
        *(residuals, begin, slopes, bounds, "dogbox"), max_nfev=MOST_REFINEMENTS
    )
    gains = dict(zip(edges, found.x.tolist(), strict=True))
    refined = [gains.get(edge, gain) for edge, gain in enumerate(of.slope_gain)]
    return candidate(nodes, refined, of.drift, of.foretold, of.bend)


def _from_edge(of: Candidate, first: int) -> Candidate:
    """The candidate with nothing followed from an edge on."""
    kept = [[*known[:first], *([0.0] * len(known[first:]))] for known in coefficient_values(of)]
    return candidate(of.computed_steps, *kept)


def _with_edge(
    of: Candidate, edge: int, values: Mapping[str, float], steepest: float = MAX_SLOPE_GAIN
) -> Candidate:
    """The candidate with other coefficients on one edge, within their bounds."""
    every_most = (steepest, MAX_DRIFT, MAX_FORETOLD, MAX_BEND)
    bounds = dict(zip(COEFFICIENTS, every_most, strict=True))
    every = [list(known) for known in coefficient_values(of)]
    for known, (name, most) in zip(every, bounds.items(), strict=True):
        known[edge] = min(max(values.get(name, 0.0), -most), most)
    return candidate(of.computed_steps, *every)
