"""The search in other processes: killed ones, and several on one study."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otcache_core.gaps import Candidate, Steps
from otcache_core.search.anchor_search import SearchResult, SearchSettings, search_anchor
from otcache_core.search.storage import open_storage, sqlite_place

Loss = Callable[[Candidate, int], float]

TRIALS = 8
"""Enough to find the planted optimum, which is a neighbour of the start."""

ENOUGH = 90
"""Enough for it in any order: beside another worker, each has an order of its own."""

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("search_worker.py")


def _worker_module() -> Any:
    spec = importlib.util.spec_from_file_location("search_worker", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WORKER = _worker_module()


class _Worker:
    """A worker in a process of its own."""

    def __init__(self, place: str, notes: Path, **options: Any) -> None:
        self.notes = notes
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), place, str(notes), *flags],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> int:
        _, errors = self.process.communicate(timeout=60)
        assert "Traceback" not in errors, errors
        return self.process.returncode

    def lines(self) -> list[str]:
        return self.notes.read_text(encoding="utf-8").splitlines()

    def asked(self) -> list[tuple[Steps, int]]:
        """The steps and prompts that it evaluated."""
        parts = [line.rpartition(" ") for line in self.lines() if not line.startswith("best")]
        return [(tuple(json.loads(steps)), int(prompt)) for steps, _, prompt in parts]

    def best(self) -> Steps:
        return tuple(json.loads(self.lines()[-1].removeprefix("best ")))


@pytest.fixture
def workers() -> Iterator[list[_Worker]]:
    """Workers that do not outlive a failed test."""
    started: list[_Worker] = []
    yield started
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()


def _place(kind: str, folder: Path) -> str:
    return sqlite_place(folder / "study.db") if kind == "sqlite" else f"journal:{folder / 'study'}"


def _resume(place: str, loss: Loss, trials: int) -> SearchResult:
    return search_anchor(
        loss,
        prompts=WORKER.PROMPTS,
        steps=WORKER.STEPS,
        budget=WORKER.BUDGET,
        warm_starts=[WORKER.START],
        settings=SearchSettings(trials=trials, proposer="none"),
        storage=open_storage(place),
        study_name=WORKER.STUDY,
    )


KILLED = -signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM


# In the middle of the first candidate, and of later ones.
@pytest.mark.parametrize(("kind", "die_at"), [("sqlite", 2), ("sqlite", 9), ("journal", 12)])
def test_a_killed_search_is_gone_on_with(
    kind: str, die_at: int, tmp_path: Path, workers: list[_Worker]
) -> None:
    place = _place(kind, tmp_path)
    workers.append(_Worker(place, tmp_path / "notes", trials=TRIALS, die_at=die_at))
    assert workers[0].end() == KILLED
    before = workers[0].asked()
    assert len(before) == die_at
    asked: list[Candidate] = []

    def distance(of: Candidate, prompt: int) -> float:
        asked.append(of)
        return float(WORKER.distance(of, prompt))

    result = _resume(place, distance, TRIALS)

    finished = {steps for steps, _ in before[: (die_at - 1) // 2 * 2]}
    cut, _ = before[-1]
    after = [of.computed_steps for of in dict.fromkeys(asked)]
    assert not finished & set(after)
    if not finished:
        assert after[0] == cut  # without its warm start, nothing can begin
    assert result.best.computed_steps == WORKER.TARGET
    assert {t.candidate.computed_steps for t in result.trials} == finished | set(after)
    # A second resumption has nothing to do.
    assert _resume(place, distance, TRIALS) == result
    assert len(asked) == 2 * len(after)


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_two_workers_share_the_trials(kind: str, tmp_path: Path, workers: list[_Worker]) -> None:
    trials, place, go = 12, _place(kind, tmp_path), tmp_path / "go"
    open_storage(place)
    options = {"trials": trials, "wait_for": go}
    for name, seconds in (("a", 0.02), ("b", 0.033)):
        workers.append(_Worker(place, tmp_path / name, seconds=seconds, **options))
    _begin_together(workers, go)

    assert [worker.end() for worker in workers] == [0, 0]

    result = _resume(place, _never, trials)
    by_worker = [Counter(steps for steps, _ in worker.asked()) for worker in workers]
    # Both did their part; no candidate came to one worker twice.
    assert all(len(asked) >= trials // 4 for asked in by_worker)
    assert all(count == 2 for asked in by_worker for count in asked.values())
    # A candidate that was in work when the bound was reached is finished.
    assert trials <= len(result.trials) <= trials + 1
    # What both took up at the same moment, the only first candidate among it
    twice = set(by_worker[0]) & set(by_worker[1])
    assert len(twice) <= trials // 2  # each loss takes but an instant here
    assert set(by_worker[0]) | set(by_worker[1]) == {
        trial.candidate.computed_steps for trial in result.trials
    }
    # A worker that ends while the other is at its last candidate does not see that one.
    first_to_end = min(result.trials[:trials], key=lambda trial: trial.loss).candidate
    best = {worker.best() for worker in workers}
    assert result.best.computed_steps in best
    assert best <= {first_to_end.computed_steps, result.best.computed_steps}


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_worker_outlives_another(kind: str, tmp_path: Path, workers: list[_Worker]) -> None:
    place, go = _place(kind, tmp_path), tmp_path / "go"
    open_storage(place)
    for name, die_at in (("a", 5), ("b", 0)):
        options = {"trials": ENOUGH, "seconds": 0.01, "die_at": die_at, "wait_for": go}
        workers.append(_Worker(place, tmp_path / name, **options))
    _begin_together(workers, go)

    assert [worker.end() for worker in workers] == [KILLED, 0]

    assert len(workers[0].asked()) == 5
    assert workers[1].best() == WORKER.TARGET
    assert _resume(place, _never, ENOUGH).best.computed_steps == WORKER.TARGET


def _begin_together(workers: list[_Worker], go: Path) -> None:
    """Waits until all workers are ready, then lets them go."""
    until = time.monotonic() + 60
    while not all(worker.notes.exists() for worker in workers):
        assert all(worker.process.poll() is None for worker in workers), "a worker did not come up"
        assert time.monotonic() < until, "a worker is not ready"
        time.sleep(0.01)
    go.touch()


def _never(of: Candidate, prompt: int) -> float:
    raise AssertionError("nothing is left to evaluate")
