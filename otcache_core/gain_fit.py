"""The gain of each edge's slope, fitted so that a cached run ends the edge where the full run does.

Edges are fitted in their order, each in the run that the gains before it make, so that an edge sees
the errors it will meet and takes back what it can of them. Where an edge ends is linear in its
gain, so two probes tell all of it. With a memo of model calls the fit costs as many as one run of
the schedule on each prompt, and the run that judges the schedule finds them remembered.
"""
# Not in the paper, which repeats the average velocity; measured by ``nox -s bench -- fidelity``.

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .gaps import Candidate, candidate
from .schedule import MAX_SLOPE_GAIN
from .storage import quiet_optuna

State: TypeAlias = NDArray[np.float32]

Arrive = Callable[[Candidate, int, int], State]
"""(candidate, prompt, step) -> elements of the latent when the run arrives at that step."""

FullStates = Callable[[int], State]
"""Prompt -> the same elements of its full run before each step, ``(T + 1, elements)``."""


def fit_gains(of: Candidate, prompts: Iterable[int], arrive: Arrive, full: FullStates) -> Candidate:
    """The candidate's steps with fitted gains.

    Args:
        of: Its steps count; gains of edges that skip nothing stay 1.
        prompts: The prompts to fit on.
        arrive: Runs the model.
        full: What the full runs left.
    """
    fitted, listed = candidate(of.computed_steps), list(prompts)
    for edge, (step, end) in enumerate(pairwise(of.computed_steps)):
        if edge == 0 or end == step + 1:  # no slope before it, or nothing to skip
            continue
        held, sloped = (_with_gain(fitted, edge, gain) for gain in (0.0, 1.0))
        moved, missing = [], []
        for prompt in listed:
            start = arrive(held, prompt, end)
            moved.append(arrive(sloped, prompt, end) - start)
            missing.append(full(prompt)[end] - start)
        fitted = _with_gain(fitted, edge, best_gain(moved, missing))
    return fitted


class GainFits:
    """Fits of one calibration, kept in an Optuna study so that none is made twice.

    Args:
        storage: The calibration's Optuna storage, or ``None`` for memory.
        name: Name of the study.
    """

    def __init__(self, storage: Any, name: str) -> None:
        import optuna

        with quiet_optuna():
            self._study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)

    @property
    def model_calls(self) -> int:
        """Model calls spent on all fits, those of earlier sittings too."""
        return sum(int(kept["model_calls"]) for kept in self._study.user_attrs.values())

    def fit(
        self,
        of: Candidate,
        prompts: Sequence[int],
        arrive: Arrive,
        full: FullStates,
        model_calls: Callable[[], int],
    ) -> Candidate:
        """``fit_gains``, or what it found before for these steps."""
        # A storage bounds the length of names.
        key = hashlib.sha256(repr(of.computed_steps).encode()).hexdigest()[:16]
        kept = self._study.user_attrs.get(key)
        if kept is None:
            before = model_calls()
            gains = fit_gains(of, prompts, arrive, full).slope_gain
            kept = {"slope_gain": gains, "model_calls": model_calls() - before}
            self._study.set_user_attr(key, kept)
        return candidate(of.computed_steps, kept["slope_gain"])


def _with_gain(of: Candidate, edge: int, gain: float) -> Candidate:
    gains = list(of.slope_gain)
    gains[edge] = gain
    return candidate(of.computed_steps, gains)


def best_gain(moved: list[State], missing: list[State]) -> float:
    """The gain that brings most prompts closest to their full runs.

    Each prompt's own best gain is a projection; their median is not led astray by a prompt whose
    picture tips over.

    Args:
        moved: What a gain of 1 changes at the edge's end, by prompt.
        missing: What a gain of 0 leaves missing there, by prompt.
    """
    sizes = [float(np.vdot(m, m)) for m in moved]
    gains = [
        float(np.vdot(step, rest)) / size
        for step, rest, size in zip(moved, missing, sizes, strict=True)
        if size > 0.0
    ]
    return min(max(float(np.median(gains)), 0.0), MAX_SLOPE_GAIN) if gains else 1.0
