import itertools
import math
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from otcache_core.errors import EvaluationError, OTCacheError
from otcache_core.gaps import Candidate, candidate, neighbours
from otcache_core.search.anchor_search import (
    MOST_FAILURES,
    POLISHED,
    SearchResult,
    SearchSettings,
    paper_search,
    search_anchor,
)
from otcache_core.search.proposals import PROPOSERS
from otcache_core.search.storage import open_storage, sqlite_place
from otcache_core.search.trials import note_candidate

Loss = Callable[[Candidate, int], float]

STEPS, BUDGET, PROMPTS = 20, 6, 3
TARGET = candidate((0, 1, 3, 6, 12, 19))
START = candidate((0, 4, 8, 11, 15, 19))
LEFT = candidate((0, 1, 2, 3, 4, 19))


def _distance(of: Candidate, prompt: int = 1) -> float:
    """A planted optimum: how far all steps together lie from ``TARGET``, 7/8, 8/8 or 9/8 of it."""
    pairs = zip(of.computed_steps, TARGET.computed_steps, strict=True)
    return sum(abs(a - b) for a, b in pairs) * (7 + prompt) / 8


def _scattered(of: Candidate, prompt: int = 0) -> float:
    """A loss without any structure, the same in every process."""
    edges = [round(1000 * value) + 2000 for value in (*of.slope_gain, *of.drift)]
    return float(np.random.default_rng((*of.computed_steps, *edges, prompt)).random())


SETTINGS = {field.name for field in fields(SearchSettings)}


def _search(loss: Loss = _distance, **changes: Any) -> SearchResult:
    """A search with a few prompts and trials; changes are of settings and arguments alike."""
    settings = {"trials": 40} | {k: changes.pop(k) for k in SETTINGS & changes.keys()}
    arguments: dict[str, Any] = {
        "prompts": PROMPTS,
        "steps": STEPS,
        "budget": BUDGET,
        "warm_starts": [START],
        **changes,
    }
    return search_anchor(loss, settings=SearchSettings(**settings), **arguments)


class _Noted:
    """A loss that notes what it was asked for."""

    def __init__(self, loss: Loss = _distance) -> None:
        self.loss = loss
        self.asked: list[tuple[Candidate, int]] = []

    def __call__(self, of: Candidate, prompt: int) -> float:
        self.asked.append((of, prompt))
        return self.loss(of, prompt)

    @property
    def candidates(self) -> list[Candidate]:
        """Each candidate once, in the order in which they came."""
        return list(dict.fromkeys(of for of, _ in self.asked))


def _stored(storage: Any) -> list[optuna.trial.FrozenTrial]:
    """All that a search left in its storage, repeated proposals too."""
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage).trials


def _phases(storage: Any) -> Counter[str]:
    return Counter(trial.user_attrs["candidate"]["phase"] for trial in _stored(storage))


# What is found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("proposer", PROPOSERS)
def test_a_planted_optimum_is_found(proposer: str, seed: int) -> None:
    result = _search(trials=60, patience=10, proposer=proposer, seed=seed)

    assert result.best == TARGET
    assert result.best_loss == 0.0
    # |4-1| + |8-3| + |11-6| + |15-12|, on average over the prompts
    assert result.warm_start_loss == 16.0


@pytest.mark.parametrize("proposer", PROPOSERS)
def test_every_candidate_is_tried_with_the_fit_of_its_steps(proposer: str) -> None:
    def fit(of: Candidate) -> Candidate:
        number = sum(of.computed_steps) % 7
        return candidate(of.computed_steps, number / 4, number / -8)

    without = _search(trials=30, patience=8, proposer=proposer)
    found = _search(trials=30, patience=8, proposer=proposer, fit=fit)

    assert {trial.candidate.slope_gain for trial in without.trials} == {(1.0,) * (BUDGET - 1)}
    assert {trial.candidate.drift for trial in without.trials} == {(0.0,) * (BUDGET - 1)}
    assert len({trial.phase for trial in found.trials}) == (2 if proposer == "none" else 3)
    first, *others = (trial.candidate for trial in found.trials)
    assert first == START  # as it is
    assert others[0] == fit(START)
    assert all(of == fit(of) for of in others)
    assert found.warm_start_loss == 16.0
    assert len({trial.candidate.slope_gain for trial in found.trials}) > 3
    assert len({trial.candidate.drift for trial in found.trials}) > 3


@pytest.mark.parametrize(("polish", "phase"), [(False, "search"), (True, "polish")])
def test_each_phase_finds_better_ones(polish: bool, phase: str) -> None:
    result = _search(trials=60, polish=polish, polish_share=1.0)

    assert {trial.phase for trial in result.trials} == {"warm start", phase}
    assert result.best_loss < result.warm_start_loss


def test_phases_come_in_order() -> None:
    phases = [trial.phase for trial in _search(trials=40).trials]

    assert phases == sorted(phases, key=["warm start", "search", "polish"].index)
    # 1 warm start, 39 left, of which at least half (rounded up) are kept for the polish.
    assert Counter(phases)["search"] <= 19


def test_the_first_trial_is_the_first_warm_start_on_every_prompt() -> None:
    loss, starts = _Noted(), [START, TARGET, LEFT]

    result = _search(loss, warm_starts=starts)

    assert [trial.candidate for trial in result.trials[:3]] == starts
    assert [trial.phase for trial in result.trials[:3]] == ["warm start"] * 3
    assert [of for of, _ in loss.asked[:PROMPTS]] == [START] * PROMPTS
    assert result.trials[0].losses == {0: 14.0, 1: 16.0, 2: 18.0}
    assert result.warm_start_loss == 16.0
    assert result.best == TARGET


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("trials", [1, 2, 25])
def test_the_result_is_the_best_of_all_trials(seed: int, trials: int) -> None:
    result = _search(_scattered, trials=trials, seed=seed)

    assert len(result.trials) <= trials
    losses = [trial.loss for trial in result.trials]
    assert result.best_loss == min(losses) <= result.warm_start_loss == losses[0]
    by_prompt = [_scattered(result.best, prompt) for prompt in range(PROMPTS)]
    assert result.best_loss == pytest.approx(sum(by_prompt) / PROMPTS)


def test_every_trial_has_its_losses_by_prompt() -> None:
    for trial in _search(_scattered, proposer="none").trials:
        assert sorted(trial.losses) == [0, 1, 2]
        assert trial.losses == {p: _scattered(trial.candidate, p) for p in range(PROMPTS)}


def test_prompts_come_in_another_order_for_each_candidate() -> None:
    loss = _Noted()

    _search(loss, prompts=8, p_threshold=0.0, trials=12)

    orders = [
        tuple(prompt for _, prompt in asked)
        for _, asked in itertools.groupby(loss.asked, key=lambda pair: pair[0])
    ]
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(8))}
    assert len(set(orders)) > 6


# How much is tried


def test_identical_candidates_are_evaluated_once() -> None:
    """Over 7 steps there are 5 * 4 / 2 = 10 schedules of 4: 100 trials repeat themselves."""
    loss = _Noted(_scattered)
    starts = [candidate(nodes) for nodes in ((0, 1, 5, 6), (0, 2, 3, 6), (0, 1, 5, 6))]

    result = _search(loss, steps=7, budget=4, warm_starts=starts, trials=100)

    assert loss.candidates[:2] == starts[:2]
    assert 5 <= len(loss.candidates) <= 10
    assert len(set(loss.asked)) == len(loss.asked)
    assert [trial.candidate for trial in result.trials] == loss.candidates


@pytest.mark.parametrize("proposer", [name for name in PROPOSERS if name != "none"])
def test_a_sampler_that_repeats_itself_costs_nothing(proposer: str) -> None:
    """Of 3 steps in 4 there are two schedules, so that nearly every proposal repeats one."""
    storage, loss = optuna.storages.InMemoryStorage(), _Noted(_scattered)
    start = candidate((0, 1, 3))

    result = _search(
        *(loss,), steps=4, budget=3, warm_starts=[start], trials=5, patience=1000,
        proposer=proposer, polish=False, storage=storage,
    )  # fmt: skip

    assert {trial.candidate for trial in result.trials} <= {start, candidate((0, 2, 3))}
    assert len(loss.asked) == len(result.trials) * PROMPTS
    # The sampler gives up after four times as many proposals as trials, and learned all of them.
    assert _phases(storage)["search"] == 4 * 5
    values = {tuple(t.user_attrs["candidate"]["computed_steps"]): t.value for t in _stored(storage)}
    for trial in _stored(storage):
        assert trial.value == values[tuple(trial.user_attrs["candidate"]["computed_steps"])]
        assert set(trial.intermediate_values) == {0, 1, 2}


@pytest.mark.parametrize("trials", [1, 2, 3, 10])
def test_trials_bound_the_candidates(trials: int) -> None:
    loss = _Noted(_scattered)

    result = _search(loss, warm_starts=[START, TARGET, LEFT], trials=trials)

    assert len(loss.candidates) == len(result.trials) == trials


@pytest.mark.parametrize("patience", [0, 1, 7])
def test_patience_ends_the_turn_of_a_sampler_that_brings_nothing(patience: int) -> None:
    storage = optuna.storages.InMemoryStorage()

    _search(lambda of, prompt: 1.0, patience=patience, polish=False, storage=storage)

    assert _phases(storage)["search"] == patience


def test_patience_begins_anew_with_each_improvement() -> None:
    storage, seen = optuna.storages.InMemoryStorage(), {}

    def loss(of: Candidate, prompt: int) -> float:
        """Falls with each new candidate down to 0 at the sixth, where it stays."""
        return float(max(5 - seen.setdefault(of, len(seen)), 0))

    _search(loss, patience=3, trials=100, polish=False, storage=storage)

    losses = [t.value for t in _stored(storage) if t.user_attrs["candidate"]["phase"] == "search"]
    assert len(losses) == losses.index(0.0) + 1 + 3


@pytest.mark.parametrize(("share", "most"), [(0.0, 29), (0.25, 21), (0.5, 14), (0.75, 7), (1.0, 0)])
def test_the_polish_has_its_share(share: float, most: int) -> None:
    """29 trials are left after the warm start; 7.25, 14.5, 21.75 and 29 of them rounded up."""
    found = _search(_scattered, trials=30, patience=1000, polish_share=share)

    assert Counter(trial.phase for trial in found.trials)["search"] == most


def test_the_polish_ends_where_no_move_of_the_best_ones_helps() -> None:
    result = _search(_scattered, trials=600, patience=5)

    assert len(result.trials) < 600
    tried = {trial.candidate: trial for trial in result.trials}
    assert len(result.top(POLISHED)) == POLISHED > 1
    for of in result.top(POLISHED):
        for near in neighbours(of.candidate):
            assert tried[near].loss >= result.best_loss


def test_the_polish_moves_on_from_each_better_one() -> None:
    """Its second candidate is beside the first, which was better, not beside the start."""
    loss = _Noted()

    _search(loss, proposer="none", trials=3)

    start, first, second = loss.candidates
    assert first == next(neighbours(start))
    assert _distance(first) < _distance(start)
    assert second == next(near for near in neighbours(first) if near != start)


def test_the_last_step_is_found_where_it_may_move() -> None:
    early = candidate((0, 1, 3, 6, 12, 17))

    def loss(of: Candidate, prompt: int) -> float:
        pairs = zip(of.computed_steps, early.computed_steps, strict=True)
        return float(sum(abs(a - b) for a, b in pairs))

    assert _search(loss, trials=200, tail=2).best == early
    assert _search(loss, trials=200, tail=1).best.computed_steps[-1] == 18
    assert _search(loss, trials=200).best.computed_steps[-1] == 19


@pytest.mark.parametrize("last", [17, 20])
def test_a_warm_start_with_too_long_a_tail_is_refused(last: int) -> None:
    start = candidate((0, 1, 3, 6, 12, last))
    with pytest.raises(OTCacheError, match="6 increasing steps from 0 to 19 or up to 1 less but"):
        _search(warm_starts=[start], tail=1)


def test_fits_are_asked_for_one_candidate_at_a_time() -> None:
    """They may cost model calls, and the rest may never have its turn."""
    asked: list[Candidate] = []

    def fit(of: Candidate) -> Candidate:
        asked.append(of)
        return candidate(of.computed_steps, 0.5)

    starts = [START, TARGET, LEFT]
    found = _search(_scattered, proposer="none", trials=3, warm_starts=starts, fit=fit)
    assert [t.candidate for t in found.trials] == [START, fit(START), fit(TARGET)]
    assert {of.computed_steps for of in asked} == {START.computed_steps, TARGET.computed_steps}

    asked.clear()
    found = _search(_scattered, proposer="none", trials=5, fit=fit)
    assert {t.phase for t in found.trials} == {"warm start", "polish"}
    tried = {t.candidate.computed_steps for t in found.trials}
    assert {of.computed_steps for of in asked} == tried


def test_beside_another_worker_moves_come_in_an_order_of_ones_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or both would make the fits of the same moves at the same time."""

    def moves(company: bool) -> list[Candidate]:
        storage, asked = optuna.storages.InMemoryStorage(), []

        def fit(of: Candidate) -> Candidate:
            asked.append(of)
            return of

        def joined(result: SearchResult) -> None:
            if company and len(result.trials) == 1:
                study = optuna.load_study(study_name="anchor", storage=storage)
                with monkeypatch.context() as patched:
                    patched.setattr("otcache_core.search.trials.WORKER", "another")
                    note_candidate(study.ask(), LEFT, "polish")

        options: dict[str, Any] = {"proposer": "none", "trials": 4, "study_name": "anchor"}
        _search(lambda of, prompt: 1.0, storage=storage, fit=fit, on_trial=joined, **options)
        return list(dict.fromkeys(asked))

    alone, beside = moves(company=False), moves(company=True)

    assert alone[:4] == [START, *itertools.islice(neighbours(START), 3)]
    assert beside[0] == START
    assert set(beside) <= {START, *neighbours(START)}
    assert beside[1:4] != alone[1:4]


def test_none_leaves_all_to_warm_starts_and_polish() -> None:
    result = _search(proposer="none", trials=10)

    assert Counter(trial.phase for trial in result.trials) == {"warm start": 1, "polish": 9}
    assert len(_search(proposer="none", polish=False, trials=10).trials) == 1


# Candidates that lose


def _penalised(worse: dict[Candidate, float]) -> Loss:
    """Each prompt has its own loss; some candidates add to it, a little more on each prompt."""
    return lambda of, prompt: prompt + worse.get(of, 0.0) * (1 + prompt / 100)


def test_a_losing_candidate_is_given_up_early() -> None:
    """Worse on each of n prompts has p = 1 / 2^n: 1/16 after four is the first below 0.1."""
    loss = _Noted(_penalised({TARGET: 5.0, LEFT: -1.0}))

    result = _search(
        loss, prompts=16, warm_starts=[START, TARGET, LEFT], proposer="none", polish=False
    )

    first, losing, better = result.trials
    assert [len(trial.losses) for trial in result.trials] == [16, 4, 16]
    assert [trial.given_up for trial in result.trials] == [False, True, False]
    assert len(loss.asked) == 16 + 4 + 16
    # The best has a mean of 0 + ... + 15 over 16; the losing one is behind by 5 on prompt 0, ...
    behind = sum(5.0 * (1 + prompt / 100) for prompt in losing.losses) / 4
    assert losing.loss == pytest.approx(7.5 + behind)
    assert (result.best, result.best_loss) == (LEFT, better.loss)


@pytest.mark.parametrize(("p_threshold", "prompts"), [(0.3, 2), (0.1, 4), (0.05, 5), (0.01, 7)])
def test_the_threshold_decides_how_soon(p_threshold: float, prompts: int) -> None:
    """1/4, 1/16, 1/32 and 1/128 are the first powers of 1/2 below them."""
    result = _search(
        _penalised({TARGET: 5.0}), prompts=16, warm_starts=[START, TARGET], proposer="none",
        polish=False, p_threshold=p_threshold,
    )  # fmt: skip

    assert len(result.trials[1].losses) == prompts


def test_a_threshold_of_zero_tries_all_on_every_prompt() -> None:
    result = _search(_distance, prompts=16, trials=30, p_threshold=0.0)

    assert {len(trial.losses) for trial in result.trials} == {16}
    assert not any(trial.given_up for trial in result.trials)
    assert paper_search().p_threshold == 0.0


def test_an_estimate_never_passes_for_the_best() -> None:
    """Far behind on the first four prompts that it is tried on; the others would make it best."""
    tried: set[int] = set()

    def loss(of: Candidate, prompt: int) -> float:
        if of == START:
            return 10.0 + prompt / 100
        tried.add(prompt)
        return 11.0 + prompt / 50 if len(tried) <= 4 else 0.0

    result = _search(loss, prompts=16, warm_starts=[START, TARGET], proposer="none", polish=False)

    assert result.trials[1].given_up
    assert result.trials[1].loss > result.trials[0].loss
    assert result.best == START
    assert result.top() == [result.trials[0]]


@pytest.mark.parametrize("seed", range(6))
def test_estimates_lie_above_the_best_of_their_time(seed: int) -> None:
    """Losses with heavy tails, where the ranks of the test and the means disagree."""

    def loss(of: Candidate, prompt: int) -> float:
        random = np.random.default_rng((*of.computed_steps, prompt, seed))
        return float(np.exp(2 * random.normal()) + _distance(of) / 8)

    result = _search(loss, prompts=12, trials=40, patience=15, p_threshold=0.3, seed=seed)

    best = math.inf
    for trial in result.trials:
        if trial.given_up:
            assert trial.loss > best
            assert len(trial.losses) < 12
        else:
            best = min(best, trial.loss)
            assert trial.loss == pytest.approx(
                sum(loss(trial.candidate, prompt) for prompt in range(12)) / 12
            )
    assert result.best_loss == best
    assert 3 < sum(trial.given_up for trial in result.trials) < len(result.trials) - 1


def test_the_first_warm_start_is_never_given_up() -> None:
    """Not even where an earlier search left a better one to compare with."""
    storage, loss = optuna.storages.InMemoryStorage(), _penalised({START: 5.0, LEFT: 6.0})
    options: dict[str, Any] = {"prompts": 16, "proposer": "none", "polish": False}
    _search(loss, warm_starts=[TARGET], storage=storage, study_name="anchor", **options)

    result = _search(
        loss, warm_starts=[START, LEFT], storage=storage, study_name="anchor", **options
    )

    assert [trial.candidate for trial in result.trials] == [TARGET, START, LEFT]
    assert [len(trial.losses) for trial in result.trials] == [16, 16, 4]
    assert result.warm_start_loss == result.trials[1].loss


# Candidates that fail


def _fails(of: Candidate) -> bool:
    return of.computed_steps[1] % 2 == 1


@pytest.mark.parametrize("failure", [math.nan, math.inf, -math.inf, "no picture"])
@pytest.mark.parametrize("proposer", ["cma-es", "tpe", "none"])
def test_failed_candidates_are_survived(failure: float | str, proposer: str) -> None:
    """Every schedule with an odd second step fails at prompt 1, the first warm start too."""

    def loss(of: Candidate, prompt: int) -> float:
        if not _fails(of) or prompt != 1:
            return _distance(of, prompt)
        if isinstance(failure, str):
            raise EvaluationError(failure)
        return failure

    noted = _Noted(loss)
    starts = [candidate((0, 1, 8, 11, 15, 19)), START]
    result = _search(noted, warm_starts=starts, trials=60, patience=15, proposer=proposer)

    assert math.isnan(result.warm_start_loss)
    assert result.best_loss < _distance(START)
    failed = [trial for trial in result.trials if _fails(trial.candidate)]
    assert len(failed) > 1
    reason = (
        failure
        if isinstance(failure, str)
        else f"loss at prompt 1 must be finite but is {f'{failure}'}"
    )
    for trial in result.trials:
        assert (reason in trial.failure) == math.isnan(trial.loss) == _fails(trial.candidate)
        assert trial.complete != _fails(trial.candidate)
        # Up to the prompt at which it failed
        assert _fails(trial.candidate) == (1 not in trial.losses)
    # None is tried a second time.
    assert all(count == 1 for count in Counter(noted.asked).values())


def test_a_sampler_that_repeats_a_failed_candidate_costs_nothing() -> None:
    storage = optuna.storages.InMemoryStorage()

    def loss(of: Candidate, prompt: int) -> float:
        if of.computed_steps == (0, 2, 3):
            raise EvaluationError("no picture")
        return 1.0

    noted = _Noted(loss)
    result = _search(
        noted, steps=4, budget=3, warm_starts=[candidate((0, 1, 3))], trials=5, patience=1000,
        polish=False, storage=storage,
    )  # fmt: skip

    assert [trial.failure for trial in result.trials] == ["", "no picture"]
    assert sum(of.computed_steps == (0, 2, 3) for of, _ in noted.asked) == 1
    repeated = [
        t for t in _stored(storage) if t.user_attrs["candidate"]["computed_steps"] == [0, 2, 3]
    ]
    assert len(repeated) > 1
    assert {t.state for t in repeated} == {optuna.trial.TrialState.FAIL}


@pytest.mark.parametrize("proposer", PROPOSERS)
def test_a_search_in_which_all_fail_says_why(proposer: str) -> None:
    count = itertools.count(1)

    def loss(of: Candidate, prompt: int) -> float:
        raise EvaluationError(f"out of memory, attempt {next(count)}")

    with pytest.raises(EvaluationError, match="all .*failed, the last one with: ") as caught:
        _search(loss, proposer=proposer)

    tried = next(count) - 1
    assert str(caught.value).endswith(f"out of memory, attempt {tried}")
    assert tried == (1 if proposer == "none" else MOST_FAILURES)


def test_many_warm_starts_that_fail_end_the_search() -> None:
    noted = _Noted(lambda of, prompt: math.nan)
    starts = [candidate((0, 1, 2, 3, last, 19)) for last in range(4, 16)]

    with pytest.raises(EvaluationError, match=f"first {MOST_FAILURES} candidates must give"):
        _search(noted, warm_starts=starts)

    assert noted.candidates == starts  # every cheap candidate has its turn


# What the loss raises


class _Interrupted(BaseException):
    """Like the host's interrupt, no ``Exception``."""


class _InterruptedAt:
    """A loss that is interrupted at one evaluation and goes on after it."""

    def __init__(self, evaluation: int, error: BaseException) -> None:
        self.evaluation, self.error = evaluation, error
        self.noted = _Noted()

    def __call__(self, of: Candidate, prompt: int) -> float:
        loss = self.noted(of, prompt)
        if len(self.noted.asked) == self.evaluation:
            raise self.error
        return loss


@pytest.mark.parametrize("evaluation", [1, 5, 60])
@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA"), OTCacheError("x"), KeyboardInterrupt(), _Interrupted()],
    ids=repr,
)
def test_what_the_loss_raises_is_passed_on_unchanged(error: BaseException, evaluation: int) -> None:
    loss = _InterruptedAt(evaluation, error)

    with pytest.raises(BaseException) as caught:  # noqa: B017, PT011
        _search(loss)

    assert caught.value is error
    assert len(loss.noted.asked) == evaluation


# Of 3 prompts each: the first warm start, at its first and last; the second; the polish.
@pytest.mark.parametrize("evaluation", [1, 3, 5, 11])
def test_the_candidate_in_flight_comes_again(evaluation: int, tmp_path: Path) -> None:
    place = sqlite_place(tmp_path / "study.db")
    loss, starts = _InterruptedAt(evaluation, _Interrupted()), [START, LEFT]
    options: dict[str, Any] = {
        "warm_starts": starts, "proposer": "none", "study_name": "anchor", "trials": 5,
    }  # fmt: skip
    with pytest.raises(_Interrupted):
        _search(loss, storage=open_storage(place), **options)
    cut, _ = loss.noted.asked[-1]

    result = _search(loss, storage=open_storage(place), **options)

    after = loss.noted.asked[evaluation:]
    assert [of for of, _ in after[:PROMPTS]] == [cut] * PROMPTS
    assert {prompt for _, prompt in after[:PROMPTS]} == {0, 1, 2}
    finished = loss.noted.candidates[: (evaluation - 1) // PROMPTS]
    assert not set(finished) & {of for of, _ in after}
    assert [t.candidate for t in result.trials] == [t.candidate for t in _search(**options).trials]


@pytest.mark.parametrize("error", [RuntimeError("CUDA"), _Interrupted()])
@pytest.mark.parametrize("proposer", ["none", "cma-es"])
def test_a_search_goes_on_where_a_fit_was_cut_short(proposer: str, error: BaseException) -> None:
    storage, asked = optuna.storages.InMemoryStorage(), 0

    def fit(of: Candidate) -> Candidate:
        return candidate(of.computed_steps, 0.5, 0.25)

    def cut_short(of: Candidate) -> Candidate:
        nonlocal asked
        asked += 1
        if asked == 9:  # a move of the polish, or a proposal
            raise error
        return fit(of)

    options: dict[str, Any] = {"proposer": proposer, "trials": 12, "study_name": "anchor"}
    with pytest.raises(type(error)) as raised:
        _search(_scattered, storage=storage, fit=cut_short, **options)
    assert raised.value is error

    result = _search(_scattered, storage=storage, fit=fit, **options)

    assert len(result.trials) == 12
    assert len(set(result.trials[i].candidate for i in range(12))) == 12


# Going on with a study


@pytest.mark.parametrize(
    ("kind", "proposer"),
    [*(("memory", name) for name in PROPOSERS), ("sqlite", "cma-es"), ("journal", "cma-es")],
)
def test_a_search_goes_on_where_it_ended(kind: str, proposer: str, tmp_path: Path) -> None:
    memory = optuna.storages.InMemoryStorage()

    def storage() -> Any:
        if kind == "memory":
            return memory
        sqlite = sqlite_place(tmp_path / "study.db")
        return open_storage(sqlite if kind == "sqlite" else f"journal:{tmp_path / 'study'}")

    def search(trials: int) -> tuple[SearchResult, _Noted]:
        noted = _Noted(_scattered)
        return _search(
            noted, trials=trials, proposer=proposer, storage=storage(), study_name="anchor"
        ), noted

    first, before = search(4)
    second, after = search(8)
    third, nothing = search(8)

    assert (len(first.trials), len(second.trials)) == (4, 8)
    assert second.trials[:4] == first.trials
    assert len(after.candidates) == 4
    assert not set(before.candidates) & set(after.candidates)
    assert nothing.asked == []
    assert third == second


def test_studies_of_other_names_are_others() -> None:
    storage, noted = optuna.storages.InMemoryStorage(), _Noted(_scattered)

    for name in ("anchor", "middle"):
        _search(noted, trials=5, proposer="none", storage=storage, study_name=name)

    assert Counter(noted.asked) == dict.fromkeys(noted.asked, 2)


def test_every_candidate_is_stored_with_its_gaps() -> None:
    storage = optuna.storages.InMemoryStorage()

    result = _search(storage=storage)

    trials = _stored(storage)
    stored = {tuple(t.user_attrs["candidate"]["computed_steps"]): t.value for t in trials}
    assert stored == {trial.candidate.computed_steps: trial.loss for trial in result.trials}
    # Five gaps of at least 1 sum to 19, so none is above 15.
    assert trials[0].params == {"gap_0": 4, "gap_1": 4, "gap_2": 3, "gap_3": 4, "gap_4": 4}
    spaces = {(d.low, d.high) for t in trials for d in t.distributions.values()}  # type: ignore[attr-defined]
    assert spaces == {(1.0, 15.0)}


# What the caller is told


def test_each_candidate_is_told_with_the_result_so_far() -> None:
    told: list[SearchResult] = []

    result = _search(_scattered, proposer="none", on_trial=told.append)

    assert [so_far.trials for so_far in told] == [
        result.trials[: n + 1] for n in range(len(result.trials))
    ]
    losses = [trial.loss for trial in result.trials]
    assert [so_far.best_loss for so_far in told] == list(itertools.accumulate(losses, min))
    assert told[-1] == result


def test_nothing_is_told_before_there_is_a_result() -> None:
    told: list[SearchResult] = []

    result = _search(
        lambda of, prompt: math.nan if of == START else _distance(of, prompt),
        warm_starts=[START, TARGET],
        trials=2,
        on_trial=told.append,
    )

    assert told == [result]
    assert [trial.candidate for trial in result.trials] == [START, TARGET]


def test_each_prompt_is_told() -> None:
    told: list[tuple[Candidate, int, int]] = []

    result = _search(on_prompt=lambda *prompt: told.append(prompt), proposer="none", trials=4)

    assert told == [
        (trial.candidate, done, PROMPTS) for trial in result.trials for done in (1, 2, 3)
    ]


def test_an_interrupt_from_the_caller_is_passed_on() -> None:
    def interrupt(*told: object) -> None:
        raise _Interrupted

    for callback in ("on_trial", "on_prompt"):
        with pytest.raises(_Interrupted):
            _search(**{callback: interrupt})


@pytest.mark.parametrize("after", [1, 2, 7])
def test_stop_ends_early_with_the_best_so_far(after: int) -> None:
    told: list[SearchResult] = []

    result = _search(on_trial=told.append, stop=lambda: len(told) >= after, proposer="none")

    assert len(result.trials) == after
    assert result == told[-1]


def test_stop_waits_for_the_first_result() -> None:
    noted = _Noted(lambda of, prompt: math.nan if of == START else _distance(of, prompt))

    result = _search(noted, warm_starts=[START, LEFT, TARGET], stop=lambda: True)

    assert noted.candidates == [START, LEFT]
    assert result.best == LEFT


def test_a_search_that_is_stopped_goes_on_later() -> None:
    storage, whole = optuna.storages.InMemoryStorage(), _search(proposer="none")
    told: list[SearchResult] = []
    options: dict[str, Any] = {"storage": storage, "study_name": "anchor", "proposer": "none"}

    _search(on_trial=told.append, stop=lambda: len(told) >= 5, **options)
    result = _search(**options)

    # Prompts come in an order of their own after a while, so means may differ in the last bit.
    assert [t.candidate for t in result.trials] == [t.candidate for t in whole.trials]
    assert result.best == whole.best


def test_model_calls_are_recorded_for_each_trial() -> None:
    """Six for each prompt, whether the candidate is complete, given up or failed."""
    calls = 100  # the full runs came before

    def loss(of: Candidate, prompt: int) -> float:
        nonlocal calls
        calls += BUDGET
        if of == LEFT:
            raise EvaluationError("no picture")
        return _penalised({TARGET: 5.0})(of, prompt)

    result = _search(
        loss, prompts=16, warm_starts=[START, TARGET, LEFT], proposer="none", polish=False,
        model_calls=lambda: calls,
    )  # fmt: skip

    assert [trial.model_calls for trial in result.trials] == [16 * 6, 4 * 6, 6]
    assert result.model_calls == calls - 100


def test_without_a_counter_there_are_no_model_calls() -> None:
    assert _search(trials=3).model_calls == 0


# Good manners


def test_a_seed_decides_the_search() -> None:
    first, again, other = (_search(_scattered, seed=seed).trials for seed in (1, 1, 2))

    assert first == again != other


def test_a_worker_that_joins_proposes_others() -> None:
    """With the very same seed it would begin with what is there already."""
    storage, proposed = optuna.storages.InMemoryStorage(), []
    for _ in range(2):
        told: list[SearchResult] = []
        result = _search(
            _scattered, storage=storage, study_name="anchor", polish=False,
            on_trial=told.append, stop=lambda told=told: len(told) >= 6,
        )  # fmt: skip
        proposed.append([t.candidate for t in result.trials[-5:]])

    assert not set(proposed[0]) & set(proposed[1])


def test_the_global_generators_are_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]

    _search(trials=10)

    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("proposer", PROPOSERS)
def test_nobody_is_warned(proposer: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        _search(
            _penalised({TARGET: 5.0}),
            prompts=6,
            warm_starts=[START, TARGET],
            trials=15,
            proposer=proposer,
        )


def test_optunas_log_is_quiet_and_then_as_it_was() -> None:
    seen = []

    def loss(of: Candidate, prompt: int) -> float:
        seen.append(optuna.logging.get_verbosity())
        raise _Interrupted

    before = optuna.logging.get_verbosity()
    with pytest.raises(_Interrupted):
        _search(loss)

    assert seen == [optuna.logging.ERROR]
    assert optuna.logging.get_verbosity() == before != optuna.logging.ERROR


def test_the_papers_search() -> None:
    paper = paper_search(seed=3)

    assert (paper.trials, paper.patience, paper.proposer) == (200, 50, "cma-es")
    assert (paper.polish, paper.p_threshold, paper.seed) == (False, 0.0, 3)
    assert {trial.phase for trial in _search(**vars(paper) | {"trials": 8}).trials} == {
        "warm start",
        "search",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 2}, "3 <= budget < steps <= 1000 but got budget 2 and steps 20"),
        ({"budget": 20}, "3 <= budget < steps <= 1000 but got budget 20 and steps 20"),
        ({"steps": 1001}, "3 <= budget < steps <= 1000 but got budget 6 and steps 1001"),
        ({"trials": 0}, "`trials` must be at least 1 but got 0"),
        ({"proposer": "random"}, "`proposer` must be one of cma-es, .* but got 'random'"),
        ({"warm_starts": []}, "`warm_starts` must hold at least 1 schedule but is empty"),
        ({"warm_starts": [(0, 1, 19)]}, r"warm start must be 6 .* from 0 to 19 but got \[0, 1, 19"),
        ({"warm_starts": [(1, 4, 8, 11, 15, 19)]}, r"but got \[1, 4, 8, 11, 15, 19\]"),
        ({"warm_starts": [(0, 4, 8, 11, 15, 18)]}, r"but got \[0, 4, 8, 11, 15, 18\]"),
        ({"warm_starts": [(0, 4, 8, 8, 15, 19)]}, r"but got \[0, 4, 8, 8, 15, 19\]"),
    ],
)
def test_searches_that_cannot_begin(changes: dict[str, Any], message: str) -> None:
    def loss(of: Candidate, prompt: int) -> float:
        raise AssertionError("nothing must be evaluated")

    if "warm_starts" in changes:
        starts = [candidate(nodes) for nodes in changes["warm_starts"]]
        changes = {"warm_starts": [START, *starts] if starts else []}
    with pytest.raises(OTCacheError, match=message):
        _search(loss, **changes)


@pytest.mark.parametrize(
    ("dead", "place"),
    [
        (LEFT, -1),  # the search goes on meanwhile
        (next(neighbours(TARGET)), -1),  # the polish takes it up when nothing else is left
    ],
    ids=["warm start", "polish"],
)
def test_what_a_silent_worker_is_on(dead: Candidate, place: int) -> None:
    """It may be slow or dead: nobody can tell, so its candidate is left to it as long as it can."""
    storage, loss = optuna.storages.InMemoryStorage(), _Noted()
    study = optuna.create_study(storage=storage, study_name="anchor")
    note_candidate(study.ask(), dead, "polish")

    _search(
        loss, warm_starts=[TARGET, LEFT], proposer="none", storage=storage, study_name="anchor",
        trials=100,
    )  # fmt: skip

    assert loss.candidates[place] == dead


@pytest.mark.parametrize(
    "of",
    [
        candidate(START.computed_steps, 0.5),
        candidate(START.computed_steps, 1.0, 0.5),
        replace(START, slope_gain=(1.0, 0.5207, 1.0, 1, 1)),  # not rounded
    ],
)
def test_warm_starts_that_the_space_cannot_hold(of: Candidate) -> None:
    told = itertools.count()
    result = _search(
        warm_starts=[START, of], proposer="none", polish=False, stop=lambda: next(told) > 50
    )

    assert next(told) < 10
    assert result.trials[0].candidate == START
