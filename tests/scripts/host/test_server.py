"""The server's base folder, its arguments, and the words it finds for failures."""

from pathlib import Path

import pytest

from scripts.host import client, server
from scripts.host.fetch import SetupError


def _make_pack(folder):
    shipped = ("__init__.py", "nodes/a.py", "web/docs/A.md")
    for name in (*shipped, "docs/a.md", "tests/t.py", ".git/config", "nodes/.nox/host/big.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / ".gitignore").write_text("# made by nox\n.nox/\n")
    (folder / ".comfyignore").write_text("/docs/\ntests/\n")
    return folder


@pytest.fixture
def trunk(monkeypatch, tmp_path):
    path = tmp_path / "trunk.safetensors"
    path.write_bytes(b"weights")
    monkeypatch.setattr(server, "ensure_trunk", lambda: path)
    return path


def test_base_folder_holds_the_pack_and_the_weights(trunk, tmp_path):
    pack, base = _make_pack(tmp_path / "pack"), tmp_path / "base"
    for _ in range(2):  # the second time over what the first one left
        server.prepare_base_folder(base, pack)
        assert (base / "custom_nodes" / "otcache" / "nodes" / "a.py").is_file()
        assert (base / "models" / "lpips" / "alexnet.safetensors").read_bytes() == b"weights"


def test_base_folder_without_the_pack(trunk, tmp_path):
    server.prepare_base_folder(tmp_path / "base", None)
    assert list((tmp_path / "base" / "custom_nodes").iterdir()) == []


def test_where_links_are_not_permitted_the_shipped_files_are_copied(monkeypatch, trunk, tmp_path):
    def not_permitted(*_arguments, **_options):
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", not_permitted)
    pack = _make_pack(tmp_path / "pack")
    for _ in range(2):
        server.prepare_base_folder(tmp_path / "base", pack)
    copy = tmp_path / "base" / "custom_nodes" / "otcache"
    names = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    shipped = {"__init__.py", "nodes/a.py", "web/docs/A.md"}
    assert names == {*shipped, ".gitignore", ".comfyignore"}


@pytest.mark.parametrize(
    ("variable", "has_cuda", "expected"),
    [
        ("cpu", True, ["--cpu"]),
        ("cuda", False, []),
        ("auto", False, []),
        (None, True, []),
        (None, False, ["--cpu"]),
    ],
)
def test_device_arguments(monkeypatch, variable, has_cuda, expected):
    monkeypatch.delenv("OTCACHE_DEVICE", raising=False)
    if variable is not None:
        monkeypatch.setenv("OTCACHE_DEVICE", variable)
    monkeypatch.setattr(server, "_cuda_is_available", lambda: has_cuda)
    assert server.device_arguments() == expected


def test_an_unknown_device_is_an_error():
    with pytest.raises(SetupError, match="must be one of cpu, cuda, auto but got 'gpu'"):
        server.device_arguments("gpu")


def test_a_refused_prompt_names_the_node_and_the_input():
    body = b"""{"error": {"message": "Prompt outputs failed validation"}, "node_errors": {"5": {
        "class_type": "KSampler",
        "errors": [{"message": "Required input is missing", "details": "model"}]}}}"""
    assert client._describe_refusal(body) == (
        "Prompt outputs failed validation\nnode 5 (KSampler): Required input is missing: model"
    )


def test_a_failed_prompt_names_the_node_and_its_exception():
    error = {"node_id": "5", "node_type": "KSampler", "traceback": ["line 1\n"]}
    error |= {"exception_type": "ValueError", "exception_message": "bad budget"}
    status = {"messages": [["execution_start", {}], ["execution_error", error]]}
    text = client._describe_failure(status)
    assert text.startswith("node 5 (KSampler) failed with ValueError: bad budget")


@pytest.mark.host
@pytest.mark.slow
def test_a_pack_that_cannot_load_stops_the_start_and_leaves_no_process(tmp_path):
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "__init__.py").write_text(
        "async def comfy_entrypoint():\n    raise ValueError('a broken pack')\n"
    )
    broken = server.ComfyServer(tmp_path / "base", pack=pack, device="cpu")
    with pytest.raises(SetupError, match="must load the pack but said.*a broken pack"), broken:
        pass
    assert not broken.answers()


@pytest.mark.host
@pytest.mark.slow
def test_stock_nodes_run_and_failures_name_their_node(tmp_path):
    image = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1}}
    image["inputs"]["color"] = 255
    save = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
    with server.ComfyServer(tmp_path, pack=None, device="cpu") as comfy:
        assert "KSampler" in comfy.object_info()
        entry = comfy.wait(comfy.queue({"1": image, "2": save}))
        assert comfy.fetch_image(**entry["outputs"]["2"]["images"][0]).startswith(b"\x89PNG")
        with pytest.raises(client.PromptError, match=r"node 2 \(SaveImage\): Required input"):
            comfy.queue({"1": image, "2": {**save, "inputs": {"images": ["1", 0]}}})
