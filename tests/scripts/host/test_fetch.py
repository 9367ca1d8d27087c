"""Downloads are pinned, and land in the platform's own cache folder."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from scripts.host import fetch
from scripts.host.fetch import SetupError

HOME = Path.home()


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, HOME / ".cache" / "otcache"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, Path("/x/otcache")),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, HOME / "Library" / "Caches" / "otcache"),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/otcache")),
        ("win32", {}, HOME / "AppData" / "Local" / "otcache"),
        ("linux", {"OTCACHE_CACHE": "/own", "XDG_CACHE_HOME": "/x"}, Path("/own").absolute()),
        ("win32", {"OTCACHE_CACHE": "/own", "LOCALAPPDATA": "/x"}, Path("/own").absolute()),
        ("darwin", {"OTCACHE_CACHE": "~/own"}, HOME / "own"),
    ],
)
def test_cache_folder_follows_the_platform(platform, environment, expected):
    assert fetch.cache_folder(environment, platform) == expected


def _pip_that_delivers(name, data):
    """Return a stand-in for `subprocess.run` that saves one file where pip would."""

    def run(command, **_options):
        folder = Path(command[command.index("--dest") + 1])
        if name is not None:
            (folder / name).write_bytes(data)
        return subprocess.CompletedProcess(command, 0 if name else 1, "", "no such project")

    return run


def test_download_accepts_the_pinned_file(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "run", _pip_that_delivers("a.whl", b"good"))
    path = fetch.download("a==1", hashlib.sha256(b"good").hexdigest(), tmp_path)
    assert path.read_bytes() == b"good"


def test_download_refuses_another_file(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "run", _pip_that_delivers("a.whl", b"evil"))
    with pytest.raises(SetupError, match=r"a\.whl must have sha256 0000.* but got [0-9a-f]{64}"):
        fetch.download("a==1", "0" * 64, tmp_path)


def test_download_reports_what_pip_said(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "run", _pip_that_delivers(None, b""))
    with pytest.raises(SetupError, match="must download a==1 but ended with status 1.*\n.*no such"):
        fetch.download("a==1", "0" * 64, tmp_path)


def test_work_folder_leaves_nothing_behind_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), fetch.work_folder(tmp_path / "cache") as scratch:
        (scratch / "half").write_text("half")
        raise KeyboardInterrupt
    assert list((tmp_path / "cache").iterdir()) == []
