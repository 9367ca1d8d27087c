"""Files that appear whole, also where another program holds the old one open."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from otcache_core import whole_file as whole_file_module
from otcache_core.errors import OTCacheError
from otcache_core.whole_file import WAITS, whole_file


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with old content, in a folder whose name is unkind."""
    path = tmp_path / "a b (1) \u6570" / "file"
    _write(path, b"old")
    return path


def _held_open(monkeypatch: pytest.MonkeyPatch, attempts: int) -> list[float]:
    """Windows, while another program has the old file open; returns the waits, which take none."""
    replace, waits = os.replace, []

    def refuse(new: Path, old: Path) -> None:
        if len(waits) < attempts:
            # As Windows has it: error 5, not 32, where the file in the way is the one held open.
            raise PermissionError(13, "Access is denied", str(new), 5, str(old))
        replace(new, old)

    monkeypatch.setattr(whole_file_module.os, "replace", refuse)
    monkeypatch.setattr(whole_file_module.time, "sleep", waits.append)
    return waits


def test_folders_are_made_and_files_replaced(path: Path) -> None:
    _write(path, b"new")

    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_held_open_for_a_moment_is_replaced_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = _held_open(monkeypatch, attempts=3)

    _write(path, b"new")

    assert path.read_bytes() == b"new"
    assert waits == list(WAITS[:3])


def test_a_file_that_stays_open_is_named_and_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = _held_open(monkeypatch, attempts=100)

    with pytest.raises(OTCacheError) as error:
        _write(path, b"new")

    assert str(error.value).startswith(f"{path} must be replaceable but is not (Access is denied)")
    assert "close the program that has it open" in str(error.value)
    assert waits == list(WAITS)
    assert sum(waits) < 5.0  # it is told while one still remembers what one did
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(
    failing: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(whole_file_module.os, failing, fail)
    with pytest.raises(OSError, match="no space left"):
        _write(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_file(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(b"ne")
        file.write(bytes(1 // 0))

    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_readers_see_no_half_written_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(whole_file_module.os, "fsync", lambda _: seen.append(path.read_bytes()))

    _write(path, b"new")

    assert seen == [b"old"]
    assert path.read_bytes() == b"new"


def test_many_writers_leave_one_whole_file(path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=_write, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert path.read_bytes() in contents
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_files_are_as_readable_as_any_other(path: Path) -> None:
    other = path.with_name("other")
    other.touch()

    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_what_a_killed_process_was_writing_goes_after_an_hour(path: Path) -> None:
    dead, alive = (path.parent / f".{digit * 32}.partial" for digit in "0f")
    other = path.parent / ".mine.partial"
    for file in (dead, alive, other):
        file.write_bytes(b"half")
    for file in (dead, other):
        os.utime(file, times=(time.time() - 3601,) * 2)

    _write(path, b"new")

    names = sorted(file.name for file in path.parent.iterdir())
    assert names == [alive.name, other.name, path.name]
    assert path.read_bytes() == b"new"
