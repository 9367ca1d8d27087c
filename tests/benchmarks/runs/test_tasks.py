"""Parts of a benchmark in processes: in order, a few at a time, none after a failure."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.runs import tasks
from benchmarks.runs.tasks import Task, run_all


class Processes:
    """Stands in for processes: each ends at the second look at it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.codes: dict[str, int] = {}
        self.threads: set[int] = set()

    def start(self, task: Task, threads: int) -> Any:
        self.events.append(f"begin {task.name}")
        self.threads.add(threads)
        looks = iter((None, self.codes.get(task.name, 0)))
        process = type("Process", (), {})()
        process.returncode = self.codes.get(task.name, 0)
        process.poll = lambda: next(looks)
        return process

    def ended(self, task: Task) -> None:
        self.events.append(f"end {task.name}")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    made = Processes()
    monkeypatch.setattr(tasks, "_start", made.start)
    monkeypatch.setattr(tasks, "LOOK", 0.0)
    monkeypatch.setattr(tasks.os, "cpu_count", lambda: 4)
    return made


PARTS = [Task("a", ("x",)), Task("a 20", ("x",), "a"), Task("a 8", ("x",), "a"), Task("b", ("x",))]


def test_a_part_waits_for_what_it_needs_and_others_go_first(processes: Processes) -> None:
    run_all(PARTS, 2, processes.ended)

    events = processes.events
    assert events[:2] == ["begin a", "begin b"]
    assert events[2:4] == ["end a", "end b"]
    assert events[4:6] == ["begin a 20", "begin a 8"]
    assert processes.threads == {2}


def test_no_more_run_at_a_time_than_there_may_be(processes: Processes) -> None:
    run_all(PARTS, 1, processes.ended)

    names = ("a", "a 20", "a 8", "b")
    assert processes.events == [f"{what} {name}" for name in names for what in ("begin", "end")]


def test_after_a_failure_nothing_begins_and_what_runs_is_waited_for(processes: Processes) -> None:
    processes.codes = {"a": 3}

    with pytest.raises(SystemExit, match="every part must succeed but this one failed: a$"):
        run_all(PARTS, 2, processes.ended)
    assert processes.events == ["begin a", "begin b", "end b"]
