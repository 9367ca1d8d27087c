"""Tasks in processes of their own, a few at a time, each after the one that it waits for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.host.find import REPOSITORY

LOOK = 0.2
"""Seconds between two looks at what is running."""


@dataclass(frozen=True)
class Task:
    """One process.

    Attributes:
        name: Of which no two tasks share one.
        words: What follows ``python -m benchmarks`` on its command line.
        after: Name of the task that must have ended before, or empty.
    """

    name: str
    words: tuple[str, ...]
    after: str = ""


def _start(task: Task, threads: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *task.words],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )


def run_all(tasks: Sequence[Task], workers: int, ended: Callable[[Task], None]) -> None:
    """Runs every task; the first one whose turn it is begins when a process is free.

    Args:
        tasks: In the order in which they shall begin.
        workers: Processes at a time.
        ended: Told of each task that has ended well.

    Raises:
        SystemExit: If one fails; the others that run are waited for, no further one begins.
    """
    threads = max((os.cpu_count() or 1) // workers, 1)
    waiting, running, failed = list(tasks), {}, ""
    unfinished = {task.name for task in tasks}
    while running or (waiting and not failed):
        ready = (task for task in waiting if task.after not in unfinished)
        while not failed and len(running) < workers and (task := next(ready, None)):
            running[task] = _start(task, threads)
        waiting = [task for task in waiting if task not in running]
        for task in [task for task, process in running.items() if process.poll() is not None]:
            if running.pop(task).returncode != 0:
                failed = failed or task.name
            else:
                unfinished.discard(task.name)
                ended(task)
        time.sleep(LOOK)
    if failed:
        raise SystemExit(f"every part must succeed but this one failed: {failed}")
