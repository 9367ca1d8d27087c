import itertools
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from otcache_core.errors import OTCacheError
from otcache_core.search import (
    SearchResult,
    Steps,
    Trial,
    gaps_from_steps,
    search_anchor,
    steps_from_gaps,
    uniform_steps,
)

STEPS, BUDGET = 20, 6
TARGET = (0, 1, 3, 6, 12, 19)
START = (0, 4, 8, 11, 15, 19)


def _distance(candidate: Steps) -> float:
    """A planted optimum: how far all nodes together lie from ``TARGET``."""
    return float(sum(abs(a - b) for a, b in zip(candidate, TARGET, strict=True)))


def _scattered(candidate: Steps) -> float:
    """A loss without any structure, the same in every process."""
    return float(np.random.default_rng(candidate).random())


def _search(objective: Callable[[Steps], float] = _distance, **changes: Any) -> SearchResult:
    arguments: dict[str, Any] = {
        "steps": STEPS,
        "budget": BUDGET,
        "warm_starts": [START],
        "trials": 40,
        **changes,
    }
    return search_anchor(objective, **arguments)


# From gaps to steps


@pytest.mark.parametrize(
    ("gaps", "steps", "expected"),
    [
        ((1, 2, 3), 7, (0, 1, 3, 6)),  # they sum to 6 already
        ((1, 1, 1), 7, (0, 2, 4, 6)),  # 3 to share, 1 each
        ((9, 9, 9), 4, (0, 1, 2, 3)),  # nothing to share
        # Above one (2, 0, 1.5), 7 to share in proportion: (4, 0, 3), so gaps (5, 1, 4).
        ((3.0, 1.0, 2.5), 11, (0, 5, 6, 10)),
        # Above one (1.2, 1, 0.5), 2 to share: (0.89, 0.74, 0.37), the largest remainders win.
        ((2.2, 2.0, 1.5), 6, (0, 2, 4, 5)),
        # Below one counts as one.
        ((0.5, 3.0), 6, (0, 1, 5)),
    ],
)
def test_gaps_by_hand(gaps: tuple[float, ...], steps: int, expected: Steps) -> None:
    assert steps_from_gaps(gaps, steps) == expected


def test_any_gaps_give_a_schedule() -> None:
    random = np.random.default_rng(0)
    for _ in range(4000):
        steps = int(random.integers(2, 200))
        edges = int(random.integers(1, min(steps, 40)))
        gaps = 10.0 ** random.uniform(-3, random.choice([0.1, 1, 6]), edges)

        nodes = steps_from_gaps(gaps.tolist(), steps)

        assert len(nodes) == edges + 1
        assert (nodes[0], nodes[-1]) == (0, steps - 1)
        assert all(a < b for a, b in itertools.pairwise(nodes))
        assert all(type(node) is int for node in nodes)
        # Nobody is rounded by a whole step: 1 + share, with all shares summing to the spare ones.
        above = np.maximum(gaps - 1, 0)
        spare = steps - 1 - edges
        ideal = 1 + (above * spare / above.sum() if above.any() else spare / edges)
        assert np.abs(np.diff(nodes) - ideal).max() < 1 + 1e-6


def test_integer_gaps_come_back_as_they_are() -> None:
    random = np.random.default_rng(1)
    for _ in range(4000):
        steps = int(random.integers(2, 300))
        budget = int(random.integers(2, min(steps, 60) + 1))
        inner = np.sort(random.choice(np.arange(1, steps - 1), budget - 2, replace=False))
        nodes = (0, *inner.tolist(), steps - 1)

        assert steps_from_gaps(gaps_from_steps(nodes), steps) == nodes


def test_uniform_steps_by_hand() -> None:
    # i * 49 / 4 = 0, 12.25, 24.5, 36.75, 49
    assert uniform_steps(5, 50) == (0, 12, 24, 37, 49)


def test_uniform_steps_are_a_schedule_for_any_budget() -> None:
    for steps in range(2, 80):
        for budget in range(2, steps + 1):
            gaps = gaps_from_steps(uniform_steps(budget, steps))
            assert len(gaps) == budget - 1
            assert sum(gaps) == steps - 1
            assert 1 <= min(gaps)
            assert max(gaps) - min(gaps) <= 1 or (max(gaps) - min(gaps) == 2 and steps % 2 == 0)


# The search


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_optimum_is_found(seed: int) -> None:
    result = _search(trials=200, seed=seed)

    assert result.best == TARGET
    assert result.best_loss == 0.0
    # |4-1| + |8-3| + |11-6| + |15-12|
    assert result.warm_start_loss == 16.0


@pytest.mark.parametrize(("polish_share", "phase"), [(0.0, "search"), (1.0, "polish")])
def test_each_phase_finds_better_ones(polish_share: float, phase: str) -> None:
    result = _search(trials=60, polish_share=polish_share)

    assert {trial.phase for trial in result.trials} == {"warm start", phase}
    assert result.best_loss < result.warm_start_loss


def test_phases_come_in_order() -> None:
    phases = [trial.phase for trial in _search(trials=40).trials]

    assert phases == sorted(phases, key=["warm start", "search", "polish"].index)
    # 1 warm start, 39 left, of which at least half (rounded up) are kept for the polish.
    assert Counter(phases)["search"] <= 19


def test_the_first_trial_is_the_first_warm_start() -> None:
    starts = [START, TARGET, (0, 1, 2, 3, 4, 19)]

    result = _search(warm_starts=starts)

    assert [trial.computed_steps for trial in result.trials[:3]] == starts
    assert [trial.phase for trial in result.trials[:3]] == ["warm start"] * 3
    assert result.warm_start_loss == _distance(START)
    assert result.best == TARGET


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("trials", [1, 2, 25])
def test_the_result_is_the_best_of_all_trials(seed: int, trials: int) -> None:
    result = _search(_scattered, trials=trials, seed=seed)

    assert len(result.trials) <= trials
    losses = [trial.loss for trial in result.trials]
    assert result.best_loss == min(losses) <= result.warm_start_loss == losses[0]
    assert result.best_loss == _scattered(result.best)


def test_identical_schedules_are_evaluated_once() -> None:
    """Over 7 steps there are 5 * 4 / 2 = 10 schedules of 4: 100 proposals repeat themselves."""
    calls: list[Steps] = []

    def objective(candidate: Steps) -> float:
        calls.append(candidate)
        return _scattered(candidate)

    starts = [(0, 1, 5, 6), (0, 2, 3, 6), (0, 1, 5, 6)]
    result = _search(objective, steps=7, budget=4, warm_starts=starts, trials=100)

    assert calls[:2] == starts[:2]
    assert 5 <= len(calls) <= 10
    assert len(set(calls)) == len(calls)
    assert [trial.computed_steps for trial in result.trials] == calls


@pytest.mark.parametrize("trials", [1, 2, 3, 10])
def test_trials_bound_the_evaluations(trials: int) -> None:
    calls: list[Steps] = []

    def objective(candidate: Steps) -> float:
        calls.append(candidate)
        return _scattered(candidate)

    starts = [START, TARGET, (0, 1, 2, 3, 4, 19)]
    result = _search(objective, warm_starts=starts, trials=trials)

    assert len(calls) == len(result.trials) == trials


def _stored(storage: Any) -> list[optuna.trial.FrozenTrial]:
    """All that a search left in its storage, repeated proposals too."""
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage).trials


@pytest.mark.parametrize("patience", [0, 1, 7])
def test_patience_ends_a_search_that_brings_nothing(patience: int) -> None:
    storage = optuna.storages.InMemoryStorage()

    _search(lambda candidate: 1.0, patience=patience, polish_share=0.0, storage=storage)

    phases = Counter(trial.user_attrs["phase"] for trial in _stored(storage))
    assert phases["search"] == patience


def test_patience_begins_anew_with_each_improvement() -> None:
    storage, calls = optuna.storages.InMemoryStorage(), itertools.count()

    def objective(candidate: Steps) -> float:
        """Falls with each call down to 0 at the sixth, where it stays."""
        return float(max(5 - next(calls), 0))

    _search(objective, patience=3, trials=100, polish_share=0.0, storage=storage)

    losses = [t.value for t in _stored(storage) if t.user_attrs["phase"] == "search"]
    assert len(losses) == losses.index(0.0) + 1 + 3


def test_a_space_that_is_all_seen_ends_the_search() -> None:
    """Of 3 steps in 4 there are two schedules, so that nearly every proposal repeats one."""
    storage = optuna.storages.InMemoryStorage()

    result = _search(
        _scattered, steps=4, budget=3, warm_starts=[(0, 1, 3)], trials=20, patience=10**6,
        storage=storage,
    )  # fmt: skip

    assert len(result.trials) == 2
    phases = Counter(trial.user_attrs["phase"] for trial in _stored(storage))
    assert phases["search"] == 4 * 20


def test_the_polish_ends_where_no_single_move_helps() -> None:
    result = _search(_scattered, trials=400, patience=5)

    assert len(result.trials) < 400
    losses = {trial.computed_steps: trial.loss for trial in result.trials}
    for i, move in itertools.product(range(1, BUDGET - 1), (-2, -1, 1, 2)):
        moved = list(result.best)
        moved[i] += move
        if moved[i - 1] < moved[i] < moved[i + 1]:
            assert losses[tuple(moved)] >= result.best_loss


@pytest.mark.parametrize("failed", [math.nan, math.inf, -math.inf])
def test_failed_candidates_are_survived(failed: float) -> None:
    """Every schedule with an odd second step fails, the warm start too."""

    def objective(candidate: Steps) -> float:
        return failed if candidate[1] % 2 else _distance(candidate)

    result = _search(objective, warm_starts=[(0, 1, 8, 11, 15, 19), START], trials=80)

    assert math.isnan(result.warm_start_loss)
    assert math.isfinite(result.best_loss)
    assert result.best_loss < _distance(START)
    assert result.best[1] % 2 == 0
    lost = [trial for trial in result.trials if math.isnan(trial.loss)]
    assert len(lost) > 1
    assert all(trial.computed_steps[1] % 2 for trial in lost)


def test_a_search_without_any_good_candidate_is_refused() -> None:
    with pytest.raises(OTCacheError, match="at least 1 candidate must be evaluated but all failed"):
        _search(lambda candidate: math.nan)


@pytest.mark.parametrize("after", [0, 3, 25])
def test_what_the_objective_raises_is_passed_on(after: int) -> None:
    class Interrupted(Exception):
        pass

    error, calls = Interrupted(), itertools.count()

    def objective(candidate: Steps) -> float:
        if next(calls) == after:
            raise error
        return _distance(candidate)

    with pytest.raises(Interrupted) as caught:
        _search(objective)

    assert caught.value is error
    assert next(calls) == after + 1


def test_each_new_candidate_is_told_with_the_result_so_far() -> None:
    told: list[tuple[Trial, float, int]] = []

    def note(trial: Trial, so_far: SearchResult) -> None:
        told.append((trial, so_far.best_loss, len(so_far.trials)))

    result = _search(on_trial=note)

    assert [trial for trial, _, _ in told] == result.trials
    assert [count for _, _, count in told] == list(range(1, len(told) + 1))
    losses = [trial.loss for trial in result.trials]
    assert [best for _, best, _ in told] == list(itertools.accumulate(losses, min))


def test_nothing_is_told_before_there_is_a_result() -> None:
    told: list[Trial] = []
    starts = [START, TARGET]

    result = _search(
        lambda candidate: math.nan if candidate == START else _distance(candidate),
        warm_starts=starts,
        trials=2,
        on_trial=lambda trial, so_far: told.append(trial),
    )

    assert told == result.trials[1:] == [Trial(TARGET, 0.0, "warm start")]


def test_the_best_candidates_are_ranked() -> None:
    result = SearchResult(
        (0, 1),
        0.1,
        0.3,
        [Trial((0, i), loss, "search") for i, loss in enumerate([0.3, math.nan, 0.1, 0.2])],
    )

    assert [trial.loss for trial in result.top()] == [0.1, 0.2, 0.3]
    assert [trial.loss for trial in result.top(2)] == [0.1, 0.2]


def test_a_seed_decides_the_search() -> None:
    assert _search(_scattered, seed=1).trials == _search(_scattered, seed=1).trials
    assert _search(_scattered, seed=1).trials != _search(_scattered, seed=2).trials


def test_the_global_generators_are_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]

    _search(trials=10)

    assert np.array_equal(np.random.get_state()[1], before)


def test_trials_are_on_disk_even_if_the_search_is_cut_short(tmp_path: Path) -> None:
    path, calls = tmp_path / "study.db", itertools.count()

    def objective(candidate: Steps) -> float:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return _distance(candidate)

    with pytest.raises(KeyboardInterrupt):
        _search(objective, storage=f"sqlite:///{path}", study_name="anchor")

    assert path.read_bytes().startswith(b"SQLite format 3")
    stored = optuna.load_study(study_name="anchor", storage=f"sqlite:///{path}").trials
    assert stored[0].user_attrs == {"computed_steps": list(START), "phase": "warm start"}
    complete = [t for t in stored if t.state is optuna.trial.TrialState.COMPLETE]
    assert len(complete) >= 5
    for trial in complete:
        assert trial.value == _distance(tuple(trial.user_attrs["computed_steps"]))


def test_every_candidate_is_stored_with_its_gaps() -> None:
    storage = optuna.storages.InMemoryStorage()

    result = _search(storage=storage)

    trials = _stored(storage)
    stored = {tuple(t.user_attrs["computed_steps"]): t.value for t in trials}
    assert stored == {trial.computed_steps: trial.loss for trial in result.trials}
    # Five gaps of at least 1 sum to 19, so none is above 15.
    assert trials[0].params == {"gap_0": 4, "gap_1": 4, "gap_2": 3, "gap_3": 4, "gap_4": 4}
    spaces = {(d.low, d.high) for t in trials for d in t.distributions.values()}  # type: ignore[attr-defined]
    assert spaces == {(1.0, 15.0)}


def test_a_study_of_that_name_is_gone_on_with() -> None:
    storage = optuna.storages.InMemoryStorage()

    counts = []
    for _ in range(2):
        _search(storage=storage, study_name="anchor", trials=10)
        counts.append(len(_stored(storage)))

    assert counts[1] > counts[0] >= 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 2}, "3 <= budget < steps <= 1000 but got budget 2 and steps 20"),
        ({"budget": 20}, "3 <= budget < steps <= 1000 but got budget 20 and steps 20"),
        ({"steps": 1001}, "3 <= budget < steps <= 1000 but got budget 6 and steps 1001"),
        ({"trials": 0}, "`trials` must be at least 1 but got 0"),
        ({"warm_starts": []}, "`warm_starts` must hold at least 1 schedule but is empty"),
        ({"warm_starts": [(0, 1, 19)]}, r"warm start must be 6 .* from 0 to 19 but got \[0, 1, 19"),
        ({"warm_starts": [START, (1, 4, 8, 11, 15, 19)]}, r"but got \[1, 4, 8, 11, 15, 19\]"),
        ({"warm_starts": [(0, 4, 8, 11, 15, 18)]}, r"but got \[0, 4, 8, 11, 15, 18\]"),
        ({"warm_starts": [(0, 4, 8, 8, 15, 19)]}, r"but got \[0, 4, 8, 8, 15, 19\]"),
    ],
)
def test_searches_that_cannot_begin(changes: dict[str, Any], message: str) -> None:
    def objective(candidate: Steps) -> float:
        raise AssertionError("nothing must be evaluated")

    with pytest.raises(OTCacheError, match=message):
        _search(objective, **changes)
