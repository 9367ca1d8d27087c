"""A node that is given another id is found by workflows that name the old one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.host


@pytest.fixture
def load(host, monkeypatch):
    """`load()`: loads the pack as ComfyUI does, with a stand-in for a rename to come."""
    stand_in = host.module("nodes.shared.renamed").Renamed(
        *("OTCacheApplyOfBefore", "OTCacheApply"), inputs={"model": "net", "schedule": "plan"}
    )
    nodes = host.module("nodes")
    monkeypatch.setattr(nodes, "RENAMED", (stand_in,))
    return lambda: asyncio.run(nodes.OTCacheExtension().on_load())


def _takes_renames() -> bool:
    from comfy_api.latest import io

    return hasattr(io, "NodeReplace")


def test_a_prompt_with_the_old_id_is_run_by_the_new_node(load, monkeypatch):
    if not _takes_renames():
        pytest.skip("this ComfyUI has no NodeReplace")
    import server
    from app.node_replace_manager import NodeReplaceManager

    manager = NodeReplaceManager()
    instance = SimpleNamespace(node_replace_manager=manager)
    monkeypatch.setattr(server.PromptServer, "instance", instance, raising=False)
    load()
    old = {"net": ["1", 0], "plan": ["2", 0]}
    prompt = {
        "3": {"class_type": "OTCacheApplyOfBefore", "inputs": old, "_meta": {"title": "Apply"}}
    }
    manager.apply_replacements(prompt)

    assert prompt["3"]["class_type"] == "OTCacheApply"
    assert prompt["3"]["inputs"] == {"model": ["1", 0], "schedule": ["2", 0]}


def test_an_older_host_is_told_nothing_and_loads_the_pack(load):
    if _takes_renames():
        pytest.skip("this ComfyUI takes renames")
    load()
