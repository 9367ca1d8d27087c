"""How the fidelity benchmark shares its budgets among processes, and puts their lines together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.instruments.kept import Kept
from benchmarks.runs import sharing


@pytest.mark.parametrize(
    ("workers", "shares"),
    [
        (1, [[20, 15, 12, 10, 8]]),
        (2, [[20, 12], [15, 10, 8]]),  # 32 calls against 33
        (3, [[20], [15, 8], [12, 10]]),  # 20 against 23 against 22
        (9, [[20], [15], [12], [10], [8]]),
    ],
)
def test_budgets_are_shared_out_evenly(workers: int, shares: list[list[int]]) -> None:
    assert sharing.share_out((8, 10, 12, 15, 20), workers) == shares


class Worker:
    """Stands in for a process that measures one contestant at each of its budgets."""

    code = 0
    commands: list[list[str]] = []  # noqa: RUF012  (emptied by the fixture)

    def __init__(self, args: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.args, self.threads = args, env["OMP_NUM_THREADS"]
        self.commands.append(args)
        folder = Path(args[args.index("--work") + 1])
        folder.mkdir(parents=True)
        lines = {f"ours @ {b}": {"lpips": [int(b)]} for b in args[args.index("--budgets") + 1 :]}
        (folder / sharing.LINES).write_text(json.dumps(lines), encoding="utf-8")

    def wait(self) -> int:
        return self.code


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sharing.subprocess, "Popen", Worker)
    monkeypatch.setattr(Worker, "commands", [])
    return Worker


GIVEN = ["--peer", "Spectrum=there", "--only", "ours", "plain"]


def test_lines_of_all_workers_come_together(workers: Any, tmp_path: Path) -> None:
    sharing.measure_in_workers(tmp_path, 2, (8, 10, 12), GIVEN)

    kept = Kept(tmp_path / sharing.LINES)
    assert kept.lines == {f"ours @ {b}": {"lpips": [b]} for b in (8, 10, 12)}
    for command in workers.commands:
        assert command[command.index("--workers") + 1] == "1"
        assert "Spectrum=there" in command
        only = command.index("--only")
        assert command[only : only + 3] == ["--only", "ours", "plain"]


def test_a_worker_that_fails_is_told(
    workers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "code", 3)

    with pytest.raises(SystemExit, match="every worker must succeed"):
        sharing.measure_in_workers(tmp_path, 2, (8, 10), GIVEN)
    assert not (tmp_path / sharing.LINES).exists()
