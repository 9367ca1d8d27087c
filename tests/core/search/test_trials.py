import math
from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest

from otcache_core.gaps import candidate
from otcache_core.search.trials import (
    SearchResult,
    Trial,
    ended_trials,
    finished_trials,
    from_roots,
    has_company,
    note_candidate,
    running_candidates,
    taken_before,
)

A, B, C, D = (candidate((0, i, 9)) for i in (2, 4, 6, 8))
NOON = datetime(2026, 1, 1, 12)


def _study() -> optuna.Study:
    return optuna.create_study()


def _ask(study: optuna.Study, of: Any, phase: str = "search") -> optuna.Trial:
    trial = study.ask()
    note_candidate(trial, of, phase)
    return trial


# Results


def _result(*trials: Trial) -> SearchResult:
    return SearchResult(A, 0.1, 0.3, trials)


def test_roots_come_back_as_losses() -> None:
    tried = Trial(A, 0.25, "warm start", {0: 0.1, 1: 0.4}, model_calls=7)
    best = Trial(B, 0.2, "polish", {0: 0.2, 1: 0.2})
    given_up = Trial(C, 0.5, "search", {0: 0.3}, given_up=True)
    failed = Trial(D, math.nan, "search", failure="NaN")

    found = from_roots(SearchResult(B, 0.2, 0.25, (tried, best, given_up, failed)), A)

    assert (found.best, found.best_loss) == (B, pytest.approx(0.04))
    assert found.warm_start_loss == pytest.approx((0.01 + 0.16) / 2)
    assert [t.loss for t in found.trials[:3]] == pytest.approx([0.085, 0.04, 0.25])
    assert math.isnan(found.trials[3].loss)
    assert found.trials[0].losses == pytest.approx({0: 0.01, 1: 0.16})
    assert found.model_calls == 7


def test_without_its_warm_start_none_is_made_up() -> None:
    found = from_roots(SearchResult(B, 0.2, math.nan, (Trial(B, 0.2, "polish", {0: 0.2}),)), A)

    assert math.isnan(found.warm_start_loss)


def test_complete_trials_are_neither_given_up_nor_failed() -> None:
    assert Trial(A, 0.1, "search").complete
    assert not Trial(A, 0.1, "search", given_up=True).complete
    assert not Trial(A, math.nan, "search", failure="no picture").complete


def test_the_best_candidates_are_ranked() -> None:
    result = _result(
        Trial(A, 0.3, "warm start"),
        Trial(B, math.nan, "search", failure="no picture"),
        Trial(C, 0.1, "search"),
        Trial(D, 0.05, "search", given_up=True),  # an estimate
    )

    assert [trial.loss for trial in result.top()] == [0.1, 0.3]
    assert [trial.loss for trial in result.top(1)] == [0.1]


def test_model_calls_are_those_of_all_trials() -> None:
    result = _result(
        Trial(A, 0.3, "warm start", model_calls=8),
        Trial(B, math.nan, "search", failure="no picture", model_calls=2),
        Trial(C, 0.4, "search", given_up=True, model_calls=4),
    )

    assert result.model_calls == 14


def test_a_candidates_trial() -> None:
    trial = Trial(B, 0.2, "search")
    result = _result(Trial(A, 0.3, "warm start"), trial)

    assert result.trial(B) is trial
    assert result.trial(C) is None


# What is read off a study


def test_a_candidate_is_written_into_its_trial() -> None:
    study, of = _study(), candidate((0, 2, 9), (1.0, -0.35), (0.2, -0.125), (0.0, 0.5), (0.0, 0.0))

    _ask(study, of, "polish")

    written = study.trials[0].user_attrs["candidate"]
    assert written["computed_steps"] == [0, 2, 9]
    assert written["slope_gain"] == (1.0, -0.35)
    assert written["drift"] == (0.2, -0.125)
    assert written["foretold"] == (0.0, 0.5)
    assert written["phase"] == "polish"
    assert running_candidates(study) == {of}


def test_a_finished_trial_is_read_back() -> None:
    study = _study()
    trial = _ask(study, B, "warm start")
    trial.report(0.5, 1)
    trial.report(0.25, 0)
    trial.set_user_attr("model_calls", 16)
    study.tell(trial, 0.375)

    assert finished_trials(study) == [
        Trial(B, 0.375, "warm start", losses={1: 0.5, 0: 0.25}, model_calls=16)
    ]


def test_a_trial_given_up_is_read_back() -> None:
    study = _study()
    trial = _ask(study, B)
    trial.report(0.5, 1)
    trial.set_user_attr("given_up", True)
    study.tell(trial, 0.7)

    assert finished_trials(study) == [Trial(B, 0.7, "search", losses={1: 0.5}, given_up=True)]


def test_a_failed_trial_is_read_back_with_its_reason() -> None:
    study = _study()
    trial = _ask(study, B)
    trial.set_user_attr("failure", "no picture")
    study.tell(trial, state=optuna.trial.TrialState.FAIL)

    (found,) = finished_trials(study)

    assert (found.candidate, found.failure, found.complete) == (B, "no picture", False)
    assert math.isnan(found.loss)


def test_trials_that_were_cut_short_may_come_again() -> None:
    study = _study()
    _ask(study, A)  # running, perhaps by a dead worker
    study.tell(_ask(study, B), state=optuna.trial.TrialState.FAIL)  # interrupted, without a reason
    study.enqueue_trial({"x": 1})  # waiting

    assert finished_trials(study) == []
    assert running_candidates(study) == {A}


def test_a_trial_that_has_no_candidate_yet_is_not_running_one() -> None:
    study = _study()
    study.ask()

    assert running_candidates(study) == set()


def test_repeated_proposals_are_no_second_trial() -> None:
    study = _study()
    study.tell(_ask(study, A), 0.5)
    again = _ask(study, A)
    again.set_user_attr("duplicate", True)
    study.tell(again, 0.5)

    assert [trial.loss for trial in finished_trials(study)] == [0.5]
    assert len(ended_trials(study)) == 2


def test_of_two_workers_on_one_candidate_the_first_counts() -> None:
    study = _study()
    slow, fast = _ask(study, A, "warm start"), _ask(study, A, "polish")
    study.tell(fast, 0.5)
    study.tell(slow, 0.5)

    assert [trial.phase for trial in finished_trials(study)] == ["polish"]


def test_trials_come_in_the_order_in_which_they_ended() -> None:
    study = _study()
    started = [_ask(study, of) for of in (A, B, C)]
    for number in (1, 2, 0):
        study.tell(started[number], float(number))

    assert [trial.candidate for trial in finished_trials(study)] == [B, C, A]
    assert [trial.number for trial in ended_trials(study)] == [1, 2, 0]


@pytest.mark.parametrize("minutes", [(0, 1, 2), (2, 1, 0), (1, 1, 1)])
def test_trials_that_ended_together_come_by_number(minutes: tuple[int, int, int]) -> None:
    study = _study()
    for minute in minutes:
        ended = NOON + timedelta(minutes=minute)
        trial = optuna.trial.create_trial(value=float(minute))
        trial.datetime_start, trial.datetime_complete = NOON, ended
        study.add_trial(trial)

    order = sorted(range(3), key=lambda number: (minutes[number], number))
    assert [trial.number for trial in ended_trials(study)] == order


# Beside other workers


def _ask_elsewhere(study: optuna.Study, of: Any, monkeypatch: pytest.MonkeyPatch) -> optuna.Trial:
    with monkeypatch.context() as patched:
        patched.setattr("otcache_core.search.trials.WORKER", "another")
        return _ask(study, of)


def test_the_earlier_of_two_trials_keeps_its_candidate() -> None:
    study = _study()
    earlier, other, later = _ask(study, A), _ask(study, B), _ask(study, A)

    assert taken_before(later, A)
    assert not taken_before(earlier, A)
    assert not taken_before(other, B)
    study.tell(earlier, 0.1)
    assert not taken_before(later, A)  # ended: no longer running


def test_only_others_who_came_since_are_company(monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study()
    _ask_elsewhere(study, A, monkeypatch)  # an earlier sitting's, killed
    _ask(study, B)
    study.ask()  # of nobody knows whom yet

    assert not has_company(study, 1)
    assert has_company(study, 0)
    _ask_elsewhere(study, C, monkeypatch)
    assert has_company(study, 1)
