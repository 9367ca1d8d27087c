"""Anchors by name: on Windows as well, as far as its rules can be had elsewhere."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

pytestmark = pytest.mark.host

PRESET = "preset: otcache-demo"

DEVICES = ["nul", "NUL", "con.flux", "aux .x", "COM1", "lpt9", "com\u00b9", "prn"]
PLAIN = ["null", "console", "com", "com10", "flux.nul", "my con", "lpt0"]


@pytest.fixture
def files(host: Any) -> Any:
    """The module that finds anchors."""
    return host.module("nodes.library.files")


def _is_reserved(name: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.13 has it elsewhere
        return PureWindowsPath(name).is_reserved()


@pytest.mark.parametrize("name", DEVICES)
def test_a_name_that_windows_keeps_for_a_device_is_refused(files: Any, name: str) -> None:
    assert _is_reserved(f"{name}.otanchor.json")
    with pytest.raises(ValueError, match="must be none that Windows keeps for a device but is"):
        files.new_anchor_path(name)


@pytest.mark.parametrize("name", PLAIN)
def test_a_name_that_only_looks_like_one_is_not(files: Any, name: str) -> None:
    assert not _is_reserved(f"{name}.otanchor.json")
    assert files.new_anchor_path(name).name == f"{name}.otanchor.json"


@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", "C:x", "a*", "a?", 'a"', "a|b", "a<b", "."])
def test_a_name_is_never_a_path_on_any_system(files: Any, name: str) -> None:
    with pytest.raises(ValueError, match="an anchor's name must be 1 to 100 letters"):
        files.new_anchor_path(name)


@pytest.fixture
def in_subfolder(host: Any, files: Any) -> Iterator[Path]:
    """An anchor in a subfolder whose name has a space."""
    path = host.base / "models" / "otcache" / "my models" / "a.otanchor.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(files.find_anchor(PRESET).read_bytes())
    os.utime(path.parents[1])  # has the host look again
    yield path
    shutil.rmtree(path.parent)
    os.utime(path.parents[1])


@pytest.mark.parametrize("name", ["my models/a.otanchor.json", "my models\\a.otanchor.json"])
def test_a_workflow_of_another_system_finds_an_anchor_in_a_subfolder(
    files: Any, in_subfolder: Path, name: str
) -> None:
    assert files.find_anchor(name) == in_subfolder
    assert files.open_anchor(name).steps == 50


@pytest.mark.parametrize("name", ["..\\a.otanchor.json", "my models\\..\\a.otanchor.json"])
def test_a_path_finds_nothing(files: Any, in_subfolder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must be one of the installed anchors"):
        files.find_anchor(name)


def test_an_anchor_that_another_program_holds_open_is_told(
    host: Any, files: Any, in_subfolder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_file = host.core("whole_file")

    def refuse(new: Path, old: Path) -> None:
        raise PermissionError(13, "Access is denied", str(new), 5, str(old))

    monkeypatch.setattr(whole_file.os, "replace", refuse)
    monkeypatch.setattr(whole_file, "WAITS", ())
    anchor = files.open_anchor(PRESET)
    with pytest.raises(ValueError, match=r"must be replaceable but is not \(Access is denied\)"):
        files.store_anchor(anchor, in_subfolder)
    assert files.load_anchor(in_subfolder) == anchor
