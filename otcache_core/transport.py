"""Stage 3: schedules for any budget by quantile interpolation, in closed form.

A schedule with its nodes at uniform progress is a quantile function, so the straight line between
two of them is the one-dimensional Wasserstein geodesic between their measures.
"""
# Source: OTCache, Sec. 3.3, Eq. 8-10.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from .documents.anchor import Anchor
from .documents.schedule import MAX_STEPS, Schedule, coefficients
from .errors import OTCacheError
from .gaps import Candidate, Steps, candidate
from .message import Message
from .projection import project_to_steps

Curve: TypeAlias = NDArray[np.float64]
"""A warping curve: the share of the run that is done, at uniform progress."""
# Shape (RESOLUTION,), values from 0 to 1.

Projection: TypeAlias = Callable[[Curve], tuple[int, ...]]

RESOLUTION = 1_001
MIN_RHO, MAX_RHO = 1.0, 2.0
DEFAULT_RHO = 1.3
"""The paper's exponent, for anchors that bring none of their own."""

_PROGRESS = np.linspace(0.0, 1.0, RESOLUTION)
_PROGRESS.flags.writeable = False


@dataclass(frozen=True)
class Endpoint:
    """A known schedule on the geodesic: its budget and its warping curve."""

    name: str
    budget: int
    curve: Curve


@dataclass(frozen=True)
class Prediction:
    """A predicted schedule with the curves it came from.

    Attributes:
        schedule: The schedule, ready to sample with.
        curves: Warping curves by name, each ``(RESOLUTION,)`` in step indices 0 to T-1.
        rho: The power-law exponent that was used.
    """

    schedule: Schedule
    curves: dict[str, Curve]
    rho: float


@lru_cache(maxsize=64)
def warping_curve(computed_steps: tuple[int, ...], steps: int) -> Curve:
    """Lifts a schedule to a monotone curve by a monotone cubic.

    Args:
        computed_steps: Strictly increasing, from 0 to at most ``steps - 1``.
        steps: The run's step count.

    Returns:
        Step index as a share of the last one, at uniform progress values; read-only. It ends below
        1 where the schedule has a tail.
    """
    # "Continuous Representation" in Sec. 3.3.
    if len(computed_steps) < 2:
        return _PROGRESS
    nodes = np.linspace(0.0, 1.0, len(computed_steps))
    spline = PchipInterpolator(nodes, np.asarray(computed_steps) / (steps - 1))
    curve: Curve = spline(_PROGRESS)
    curve[-1] = computed_steps[-1] / (steps - 1)  # rounding may leave it on either side
    curve.flags.writeable = False
    return curve


def geodesic_weights(budget: int, budgets: tuple[int, int]) -> tuple[float, float]:
    """Weights of the two endpoints at a budget: locality times confidence, normalised (Eq. 9)."""
    # w_conf = log(B_k), w_dist = 1 / (|B_k - B| + 1)
    raw = [math.log(known) / (abs(known - budget) + 1) for known in budgets]
    return raw[0] / sum(raw), raw[1] / sum(raw)


def realise(
    curve: Curve, budget: int, steps: int, rho: float, project: Projection | None = None
) -> tuple[int, ...]:
    """Samples a curve along a power law of progress and projects to integers (Eq. 10).

    Args:
        curve: A warping curve, ``(RESOLUTION,)``.
        budget: Number of computed steps wanted, from 2 to ``steps``, or 1 if that is 1.
        steps: The run's step count.
        rho: Exponent; above 1 it puts more computed steps early.
        project: ``project_to_steps``, or another.

    Returns:
        Exactly ``budget`` steps, strictly increasing from 0 to where the curve ends.
    """
    if steps == 1:
        return (0,)
    return (project or project_to_steps)(_positions(curve, budget, steps, rho))


def _positions(curve: Curve, budget: int, steps: int, rho: float) -> Curve:
    """A curve sampled along a power law of progress: real step indices, ``(budget,)``."""
    progress = np.linspace(0.0, 1.0, budget) ** rho  # (i / (B - 1))^rho
    positions: Curve = np.interp(progress, _PROGRESS, curve) * (steps - 1)
    return positions


def evened(positions: Curve, evenness: float) -> Curve:
    """Increasing positions moved towards even spacing between their ends, by a share of the way."""
    even = np.linspace(positions[0], positions[-1], len(positions))
    moved: Curve = positions + evenness * (even - positions)
    return moved


def retime(schedule: Schedule, steps: int) -> Schedule:
    """The same schedule for another step count: its curve sampled again, at no more than ``steps``.

    The budget stays (it is what the user asked for) unless the run is shorter than the budget.
    """
    if steps == schedule.steps:
        return schedule
    budget = min(max(schedule.budget, 2), steps)
    curve = warping_curve(schedule.computed_steps, schedule.steps)
    nodes = realise(curve, budget, steps, rho=1.0)
    # What edges have stays theirs; edge i of the new schedule stands where edge i stood.
    return with_edges_of(schedule, steps, nodes)


def with_edges_of(schedule: Schedule, steps: int, nodes: Steps) -> Schedule:
    """Other steps for as many edges, or fewer, each estimated as the one of its number was."""
    edges = slice(len(nodes) - 1)
    return Schedule(
        *(steps, nodes, schedule.estimator, schedule.look_back[edges]),
        **coefficients(schedule, edges),
        steadiness=schedule.steadiness,
    )


def coefficient_curves(schedule: Schedule, steps: int) -> Curve:
    """The coefficients of a schedule's edges as curves over the steps of a run of ``steps``.

    Long edges want other coefficients than short ones, and early ones others than late ones, so
    they belong to places in the run as well as to budgets.

    Returns:
        The slope's factor of the edge that each step lies in, its drift per share of the run, and
        its share of what is foretold and its bend, ``(4, steps)``.
    """
    edge = np.searchsorted(schedule.computed_steps, np.arange(schedule.steps), side="right") - 1
    shares = np.asarray((*schedule.gaps, 1)) / (schedule.steps - 1)
    rates = np.asarray((*schedule.drift, 0.0)) / shares
    others = [(*schedule.foretold, 0.0), (*schedule.bend, 0.0)]
    known = np.asarray([(*schedule.slope_gain, 1.0), rates, *others])
    curves: Curve = known[:, edge]
    if steps == schedule.steps:
        return curves
    there, here = np.linspace(0.0, 1.0, steps), np.linspace(0.0, 1.0, schedule.steps)
    return np.stack([np.interp(there, here, curve) for curve in curves])


def edges_along(curves: Curve, computed_steps: Steps) -> Candidate:
    """Steps with the coefficients of each edge: the means of the curves over what it skips."""
    edges, last = list(pairwise(computed_steps)), curves.shape[1] - 1
    none = (1.0, 0.0, 0.0, 0.0)
    means = [curves[:, t + 1 : s].mean(axis=1) if s > t + 1 else none for t, s in edges]
    gains, rates, foretold, bends = np.reshape(means, (-1, 4)).T.tolist()
    drifts = [rate * (s - t) / last for rate, (t, s) in zip(rates, edges, strict=True)]
    return candidate(computed_steps, gains, drifts, foretold, bends)


def curves_at(anchor: Anchor, budget: int, steps: int) -> Curve:
    """Curves of coefficients for a run of ``steps``, between those of known budgets."""
    known = {s.budget: s for s in (*anchor.fitted, *(s for _, s in anchor.searched))}
    curves = {b: coefficient_curves(known[b], steps) for b in sorted(known) if b < steps}
    curves[steps] = np.stack([np.ones(steps), *np.zeros((3, steps))])
    below = max((b for b in curves if b <= budget), default=min(curves))
    above = min(b for b in curves if b >= max(budget, below))
    share = (budget - below) / (above - below) if above > below else 0.0
    blended: Curve = (1.0 - share) * curves[below] + share * curves[above]
    return blended


def _endpoints(anchor: Anchor, steps: int) -> list[Endpoint]:
    """The searched schedules and the full one, as far as they lie below ``steps``, by budget."""
    known = [
        Endpoint(name, s.budget, warping_curve(s.computed_steps, s.steps))
        for name, s in anchor.searched
        if s.budget < steps
    ]
    return [*known, Endpoint("full", steps, _PROGRESS)]


def _between(endpoints: Sequence[Endpoint], budget: int) -> tuple[Endpoint, Endpoint]:
    """The two neighbouring endpoints that enclose ``budget``."""
    for low, high in zip(endpoints, endpoints[1:], strict=False):
        if budget <= high.budget:
            return low, high
    return endpoints[-1], endpoints[-1]


def _blended(low: Endpoint, high: Endpoint, budget: int) -> Curve:
    """The warping curve at a budget between two endpoints (Eq. 8)."""
    if budget <= low.budget:
        return low.curve
    at_low, at_high = geodesic_weights(budget, (low.budget, high.budget))
    curve: Curve = at_low * low.curve + at_high * high.curve
    return curve


def _check(anchor: Anchor, budget: int, steps: int, rho: float, below_anchor: bool) -> None:
    lowest = 2 if below_anchor else anchor.anchor.budget
    if not 1 <= steps <= MAX_STEPS:
        raise OTCacheError(f"`steps` must be from 1 to {MAX_STEPS} but got {steps}.")
    if not MIN_RHO <= rho <= MAX_RHO:
        raise OTCacheError(f"`rho` must be from {MIN_RHO} to {MAX_RHO} but got {rho}.")
    if budget > steps:
        raise OTCacheError(
            Message(
                "budget_above_steps",
                "`budget` must be at most `steps` = {steps} but got {budget}: lower the budget or "
                "raise the steps.",
                steps=steps,
                budget=budget,
            )
        )
    if budget < min(lowest, steps):
        raise OTCacheError(
            Message(
                "budget_below_anchor",
                "`budget` must be at least {least} for this anchor but got {budget}: it was "
                "searched at {anchor} model calls and says nothing below that. Raise the budget or "
                "calibrate an anchor at a lower one.",
                least=min(lowest, steps),
                budget=budget,
                anchor=anchor.anchor.budget,
            )
        )


def _stored(anchor: Anchor, budget: int, steps: int) -> Schedule | None:
    """The stored schedule at an endpoint's own budget, placed over ``steps``, else ``None``."""
    for _, schedule in anchor.searched:
        if budget == schedule.budget and (budget < steps or steps == schedule.steps):
            return retime(schedule, steps)
    return None


def _fitted(anchor: Anchor, budget: int, steps: int, rho: float) -> Schedule | None:
    """The prediction as its coefficients were fitted, and as its end was judged, if it was.

    It is what the formula gives but for its end, where the last call had better come earlier.
    """
    if steps != anchor.steps or rho != (DEFAULT_RHO if anchor.rho is None else anchor.rho):
        return None
    return next((known for known in anchor.fitted if known.budget == budget), None)


def choose_rho(anchor: Anchor, slider: float, prefer_anchor: bool) -> tuple[float, bool]:
    """The exponent to use, and whether it is the anchor's own.

    Args:
        anchor: May have an exponent that was calibrated with it.
        slider: The exponent that the user has set.
        prefer_anchor: Whether the anchor's own comes first.
    """
    if prefer_anchor and anchor.rho is not None:
        return anchor.rho, True
    return round(slider, 4), False


def predict_schedule(
    anchor: Anchor,
    budget: int,
    *,
    steps: int | None = None,
    rho: float | None = None,
    below_anchor: bool = False,
    project: Projection | None = None,
) -> Prediction:
    """Predicts the schedule for a budget in closed form (OTCache, stage 3).

    At a searched schedule's own budget the stored schedule is the answer: the formula
    would bend what was searched. Above the reference the geodesic goes on to the full schedule, and
    rho fades to 1 on the way, so that budget T is the identity. A prediction that calibration
    fitted is the answer as it is, at its step count and rho. From the budget on where the anchor
    says that runs had better learn, the estimator is adaptive and steps are nearer to even spacing.

    Args:
        anchor: The calibrated endpoints.
        budget: Model calls wanted, from the anchor's budget to ``steps``.
        steps: The run's step count; the anchor's own by default.
        rho: Power-law exponent from 1 to 2; the anchor's own by default, else 1.3.
        below_anchor: Allow budgets down to 2 by the anchor's curve alone, unvouched for.
        project: As in ``realise``.

    Raises:
        OTCacheError: If budget, steps or rho is out of range.
    """
    steps = anchor.steps if steps is None else steps
    rho = (DEFAULT_RHO if anchor.rho is None else anchor.rho) if rho is None else rho
    _check(anchor, budget, steps, rho, below_anchor)
    low, high = _between(_endpoints(anchor, steps), budget)
    curve = _blended(low, high, budget)
    if high.name == "full" and high.budget > low.budget:
        rho = 1.0 + (rho - 1.0) * (steps - max(budget, low.budget)) / (steps - low.budget)
    learned = anchor.learned_at(budget)
    schedule = _stored(anchor, budget, steps)
    sigmas = anchor.sampling.sigmas if steps == anchor.steps else None
    if learned is not None:
        at = _positions(curve, budget, steps, rho) if schedule is None else schedule.computed_steps
        nodes = (project or project_to_steps)(evened(np.array(at, float), learned.evenness))
        known = learned.believed
        schedule = Schedule(steps, nodes, "adaptive", sigmas=sigmas, steadiness=known)
    elif schedule is None and project is None:
        schedule = _fitted(anchor, budget, steps, rho)
    if schedule is None:
        nodes = realise(curve, budget, steps, rho, project)
        edges = edges_along(curves_at(anchor, budget, steps), nodes)
        schedule = Schedule(
            *(steps, nodes, anchor.estimator, anchor.look_back_for(nodes, steps), sigmas),
            **coefficients(edges),
        )
    return Prediction(schedule, _named_curves(anchor, schedule), rho)


def _named_curves(anchor: Anchor, schedule: Schedule) -> dict[str, Curve]:
    """Reference, anchor and prediction in step indices, named with their budgets."""
    last = schedule.steps - 1
    named = {
        f"{name} (B={end.budget})": warping_curve(end.computed_steps, end.steps) * last
        for name, end in reversed(anchor.searched)
    }
    own = warping_curve(schedule.computed_steps, schedule.steps)
    return named | {f"prediction (B={schedule.budget})": own * last}
