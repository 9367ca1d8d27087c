"""Gains that are fitted to full runs: exact where the answer is known, robust where it is not."""

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray

from otcache_core.calibration.kept_fits import GainFits
from otcache_core.estimate.gain_fit import best_gain, fit_gains, refine_gains
from otcache_core.gaps import Candidate, candidate

ELEMENTS, PROMPTS = 40, 5
STEPS = (0, 2, 5, 6, 9)


class Linear:
    """Runs whose end of an edge moves with the edge's gain, and carries on what went before."""

    def __init__(self, wanted: Candidate) -> None:
        random = np.random.default_rng(0)
        self.directions = random.normal(size=(PROMPTS, len(STEPS), ELEMENTS))
        self.wanted, self.calls = wanted, 0

    def arrive(self, of: Candidate, prompt: int, step: int) -> NDArray[np.float32]:
        self.calls += 1
        edges = range(STEPS.index(step))
        moved = sum(of.slope_gain[edge] * self.directions[prompt, edge] for edge in edges)
        return np.asarray(moved, dtype=np.float32)

    def full(self, prompt: int) -> NDArray[np.float32]:
        states = np.full((STEPS[-1] + 2, ELEMENTS), np.nan, dtype=np.float32)
        for step in STEPS[1:]:
            states[step] = self.arrive(self.wanted, prompt, step)
        return states


def test_known_gains_come_back() -> None:
    wanted = candidate(STEPS, (1.0, 0.35, 1.0, 1.6))
    runs = Linear(wanted)

    assert fit_gains(candidate(STEPS), range(PROMPTS), runs.arrive, runs.full) == wanted


def test_edges_without_a_slope_or_a_skip_keep_a_gain_of_one() -> None:
    runs = Linear(candidate(STEPS, (1.0, 0.5, 1.0, 0.5)))
    asked: list[int] = []

    def arrive(of: Candidate, prompt: int, step: int) -> NDArray[np.float32]:
        asked.append(step)
        return runs.arrive(of, prompt, step)

    fitted = fit_gains(candidate(STEPS, 0.2), range(PROMPTS), arrive, runs.full)

    assert (fitted.slope_gain[0], fitted.slope_gain[2]) == (1.0, 1.0)
    # The ends of 2 -> 5 and of 6 -> 9, twice for each prompt.
    assert (sorted(set(asked)), len(asked)) == ([5, 9], 4 * PROMPTS)


def test_one_prompt_that_tips_over_moves_nothing() -> None:
    random = np.random.default_rng(1)
    moved = [random.normal(size=ELEMENTS).astype(np.float32) for _ in range(PROMPTS)]
    missing = [0.4 * m for m in moved]

    assert best_gain(moved, missing) == pytest.approx(0.4)
    assert best_gain(moved, [-50 * missing[0], *missing[1:]]) == pytest.approx(0.4)


def test_gains_stay_in_range() -> None:
    moved = [np.ones(4, dtype=np.float32)]

    assert best_gain(moved, [9 * moved[0]]) == 2.0
    assert best_gain(moved, [-moved[0]]) == 0.0
    assert best_gain([0 * moved[0]], moved) == 1.0


def test_fits_are_kept_with_what_they_cost() -> None:
    storage = optuna.storages.InMemoryStorage()
    wanted = candidate(STEPS, (1.0, 0.35, 1.0, 1.6))
    runs, start = Linear(wanted), candidate(STEPS, 0.7)

    def fit() -> Candidate:
        return fit_gains(start, range(PROMPTS), runs.arrive, runs.full)

    for _ in range(2):
        fits = GainFits(storage, "fits")
        found = fits.keep(STEPS, fit, lambda: runs.calls)
        assert found == wanted
        assert fits.model_calls == runs.calls


# All gains together


class Mending(Linear):
    """Runs in which the model mends most of what the first fitted edge leaves missing."""

    def arrive(self, of: Candidate, prompt: int, step: int) -> NDArray[np.float32]:
        state = super().arrive(of, prompt, step)
        if step < STEPS[-1]:
            return state
        return np.asarray(
            state - 0.8 * of.slope_gain[1] * self.directions[prompt, 1], dtype=np.float32
        )


def _missing(runs: Linear, of: Candidate, target: NDArray[np.float32], prompt: int) -> float:
    return float(np.linalg.norm(runs.arrive(of, prompt, STEPS[-1]) - target))


def test_all_gains_together_come_closer_than_edge_by_edge() -> None:
    """Edge by edge the first gain is 0.35, which in the end gives only a fifth of what it did."""
    wanted = candidate(STEPS, (1.0, 0.35, 1.0, 1.6))
    full, runs = Linear(wanted), Mending(wanted)
    by_edge = fit_gains(candidate(STEPS), range(PROMPTS), runs.arrive, full.full)
    assert by_edge.slope_gain[1] == 0.35

    together = refine_gains(by_edge, range(PROMPTS), runs.arrive, full.full)

    # 0.35 = (1 - 0.8) x gain
    assert together.slope_gain == (1.0, pytest.approx(1.75), 1.0, pytest.approx(1.6))
    for prompt in range(PROMPTS):
        target = full.full(prompt)[STEPS[-1]]
        assert _missing(runs, together, target, prompt) < 0.1 * _missing(
            runs, by_edge, target, prompt
        )


def test_one_prompt_that_tips_over_does_not_decide_for_all() -> None:
    wanted = candidate(STEPS, (1.0, 0.35, 1.0, 1.6))
    full, runs = Linear(wanted), Linear(wanted)
    random = np.random.default_rng(3)

    def tipped(prompt: int) -> NDArray[np.float32]:
        states = full.full(prompt)
        if prompt == 0:
            states[STEPS[-1]] += 100 * random.normal(size=ELEMENTS).astype(np.float32)
        return states

    together = refine_gains(candidate(STEPS, 0.7), range(PROMPTS), runs.arrive, tipped)

    assert np.abs(np.subtract(together.slope_gain, wanted.slope_gain)).max() <= 0.3


def test_nothing_to_refine_costs_nothing() -> None:
    full = candidate(tuple(range(5)))
    runs = Linear(full)

    assert refine_gains(full, range(PROMPTS), runs.arrive, runs.full) == full
    assert runs.calls == 0
