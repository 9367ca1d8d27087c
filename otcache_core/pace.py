"""Where a guess at a model's steps goes in a run whose levels fall at a pace of their own.

The presets for kinds of models tell which steps of a run matter whose levels fall evenly in the
model's own time, as `simple`'s do. Schedulers such as `beta` and `karras` have levels that are
dense where steps are thought to matter. A guess at the same numbers of their steps would take that
twice; at the same noise levels it would be nothing but the guess. So each step goes to its noise
level, and from there towards where the sampler itself would have it with so few steps.
"""
# Not in the paper. Measured by ``nox -s bench -- schedulers`` (`beta`) and `auto` (`karras`).

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .documents.schedule import Schedule
from .transport import Curve

EVEN = 0.05
"""How far a pace may be from an even one, as a share of the run: `beta` is twice as far."""

CLOSEST = 0.7
"""Steps of the run between two calls, at least."""

BUT_THE_END = 0.9
"""Share of a run that a pace is judged by: schedulers end in ways of their own."""

EVEN_SCHEDULERS = ("simple", "normal", "sgm_uniform", "ddim_uniform")
"""The host's schedulers whose levels fall evenly."""

EVEN_NODES = ("Flux2Scheduler",)
"""Nodes that are schedulers of their own, likewise; this one at its usual 1024 x 1024 pixels."""


def falls_evenly(scheduler: str) -> bool:
    """Whether a scheduler's levels fall evenly, as far as that is known before a run.

    Args:
        scheduler: The host's name of it, or the class of a node that is one.
    """
    return scheduler in EVEN_SCHEDULERS or scheduler in EVEN_NODES


def pace_of(sigmas: Sequence[float], table: Sequence[float]) -> Curve | None:
    """The share of a run's time that is over at each of its levels; ``None`` if that is even.

    So it is for a run whose levels rise anywhere, as those of restarts do.

    Args:
        sigmas: The run's levels.
        table: The levels that the model was trained on, even in time, the highest first.
    """
    time = times_of(sigmas, table)
    if time is None or time[-1] <= time[0] or np.any(np.diff(time) < 0.0):
        return None
    pace: Curve = (time - time[0]) / (time[-1] - time[0])
    return None if _is_even(pace) else pace


def times_of(sigmas: Sequence[float], table: Sequence[float]) -> Curve | None:
    """The share of the model's own time that is over at each of a run's levels.

    Args:
        sigmas, table: As for ``pace_of``.

    Returns:
        ``(steps + 1,)``, 0 at the highest level of the table or above it and 1 at no noise;
        ``None`` if the table is not known.
    """
    if len(table) < 2:
        return None
    levels = -np.asarray([*table, 0.0])
    times: Curve = np.interp(-np.asarray(sigmas), levels, np.linspace(0.0, 1.0, len(levels)))
    return times


def _is_even(pace: Curve) -> bool:
    judged = pace[: int(BUT_THE_END * (len(pace) - 1)) + 1]
    even = np.linspace(0.0, judged[-1], len(judged))
    return bool(np.abs(judged - even).max() <= EVEN * judged[-1])


def placed_by_pace(schedule: Schedule, pace: Curve, evenness: float) -> Curve:
    """Where the calls of a schedule for an even pace lie in a run of another one.

    Args:
        schedule: Of any step count, the more the better.
        pace: Of the run, ``(steps + 1,)``.
        evenness: How far they move to where the sampler would have as many steps, 0 to 1.

    Returns:
        Real positions among the run's steps, from 0 to the last one at most, ``CLOSEST`` apart or
        more, ``(budget,)``.
    """
    steps, calls = len(pace) - 1, schedule.budget
    share = np.asarray(schedule.computed_steps) / max(schedule.steps - 1, 1)
    at_level = np.interp(share * (steps - 1) / steps, pace, np.arange(steps + 1))
    sampler = np.arange(calls) * (steps / calls)
    moved: Curve = at_level + evenness * (sampler - at_level)
    moved[0] = 0.0  # also where the first levels are above all that the model knows
    apart = CLOSEST * np.arange(calls)
    moved = np.maximum.accumulate(moved - apart) + apart
    moved = np.minimum(moved, steps - 1 - apart[::-1])
    return moved
