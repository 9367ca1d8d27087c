"""Schedules changed by hand: a mask says which steps run the model, the schedule how it goes on."""
# Not in the paper.

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from .documents.mask import is_empty, read_mask
from .documents.schedule import Origin, Schedule, coefficient_values
from .errors import OTCacheError
from .gaps import Steps
from .message import Message
from .transport import coefficient_curves, edges_along

MASK_ALONE = "adaptive"
"""Estimator of a mask without a schedule: it needs nothing but the run."""


def edit_schedule(schedule: Schedule | None, mask: str) -> Schedule | None:
    """A schedule with the computed steps of a mask, taken step by step.

    The estimator stays. What was learned belongs to edges: an edge that the mask leaves alone keeps
    its own exactly, any other takes the mean of what was known at the steps that it skips, as a
    predicted one does. Where a run's noise levels are not those of the calibration, a schedule is
    placed anew; a mask never is, so that the steps of the run are those that were written.

    Args:
        schedule: The schedule as it comes, or ``None``: then the mask is a schedule of its own, and
            each run learns by itself how skipped steps go on.
        mask: As ``read_mask`` takes it; empty, the schedule stays as it is.

    Raises:
        OTCacheError: If the mask breaks a rule of its own, or has another number of steps.
    """
    if is_empty(mask):
        return schedule
    steps, nodes = read_mask(mask)
    if schedule is None:
        return Schedule(steps, nodes, MASK_ALONE)
    if steps != schedule.steps and schedule.of_steps is not None:
        schedule = schedule.of_steps(steps)
    if steps != schedule.steps:
        raise OTCacheError(
            Message(
                "mask_other_steps",
                "`mask` must have as many steps as the schedule, {schedule_steps}, but has "
                "{steps}: write one for {schedule_steps} steps, empty it, or make the schedule for "
                "{steps}.",
                schedule_steps=schedule.steps,
                steps=steps,
            )
        )
    return _with_steps(schedule, nodes)


def _with_steps(schedule: Schedule, nodes: Steps) -> Schedule:
    """The schedule with other computed steps, whose edges know what was known at their place."""
    origin = replace(schedule.origin or Origin(), sigmas=None)
    bare = replace(
        schedule, computed_steps=nodes, look_back=(), slope_gain=(), drift=(), foretold=(), bend=(),
        origin=origin, of_steps=None,
    )  # fmt: skip
    if bare.budget < 2:
        return bare
    own = zip(*coefficient_values(schedule), schedule.look_back, strict=True)
    known = dict(zip(pairwise(schedule.computed_steps), own, strict=True))
    along = edges_along(coefficient_curves(schedule, schedule.steps), nodes)
    looks = _look_back_at(schedule)
    means = zip(*coefficient_values(along), strict=True)
    edges = [
        known.get(edge, (*mean, looks[edge[0]]))
        for edge, mean in zip(pairwise(nodes), means, strict=True)
    ]
    gains, drifts, foretold, bends, looks_back = zip(*edges, strict=True)
    return replace(
        bare, look_back=looks_back, slope_gain=gains, drift=drifts, foretold=foretold, bend=bends
    )


def _look_back_at(schedule: Schedule) -> list[int]:
    """The look-back of the edge that each step lies in; 1 in the tail."""
    lengths = (*schedule.gaps, schedule.tail + 1)
    edges = zip((*schedule.look_back, 1), lengths, strict=True)
    return [look_back for look_back, length in edges for _ in range(length)]
