"""A node that is given another id is found by workflows that name the old one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from scripts.release.interface import read

pytestmark = pytest.mark.host


def _register(host, nodes):
    asyncio.run(host.module("nodes.shared.renamed").register_renamed(nodes))


@pytest.fixture
def renamed(host):
    """A stand-in for a rename to come: Apply OTCache under an id of before."""
    return host.module("nodes.shared.renamed").Renamed(
        *("OTCacheApplyOfBefore", "OTCacheApply"), inputs={"model": "net", "schedule": "plan"}
    )


def _takes_renames() -> bool:
    from comfy_api.latest import io

    return hasattr(io, "NodeReplace")


def test_a_prompt_with_the_old_id_is_run_by_the_new_node(host, renamed, monkeypatch):
    if not _takes_renames():
        pytest.skip("this ComfyUI has no NodeReplace")
    import server
    from app.node_replace_manager import NodeReplaceManager

    manager = NodeReplaceManager()
    instance = SimpleNamespace(node_replace_manager=manager)
    monkeypatch.setattr(server.PromptServer, "instance", instance, raising=False)
    _register(host, [renamed])
    old = {"net": ["1", 0], "plan": ["2", 0]}
    prompt = {
        "3": {"class_type": "OTCacheApplyOfBefore", "inputs": old, "_meta": {"title": "Apply"}}
    }
    manager.apply_replacements(prompt)

    assert prompt["3"]["class_type"] == "OTCacheApply"
    assert prompt["3"]["inputs"] == {"model": ["1", 0], "schedule": ["2", 0]}


def test_an_older_host_is_told_nothing(host, renamed):
    if _takes_renames():
        pytest.skip("this ComfyUI takes renames")
    _register(host, [renamed])


def test_no_published_id_is_renamed_yet(host):
    renamed = host.module("nodes.shared.renamed").RENAMED
    assert not {node.old for node in renamed} & set(read())
    assert {node.new for node in renamed} <= set(read())
