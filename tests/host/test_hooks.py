"""The hooks that ComfyUI calls before a run take any combination of links and values.

A hook that raises on one costs its user a run: ComfyUI then takes the node, and all that follow it,
for changed each time.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.host

VALUES = {"anchor_name": "preset: otcache-demo"}
PROMPT = "a prompt"


class AnyType(str):
    """A type that ComfyUI takes for any other."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


class Source:
    """A node of the host's older kind whose output may be linked to anything."""

    RETURN_TYPES = (AnyType("*"),)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}


@pytest.fixture(autouse=True)
def source(monkeypatch: pytest.MonkeyPatch, host: Any) -> None:
    import nodes

    monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, "AnySource", Source)


def _own_nodes(host: Any) -> dict[str, Any]:
    import nodes

    mapping = nodes.NODE_CLASS_MAPPINGS.items()
    return {name: cls for name, cls in mapping if cls.__module__.startswith(host.pack + ".")}


def _hooks(host: Any, name: str) -> list[str]:
    """The nodes of the pack that have a hook of their own."""
    from comfy_api.internal import first_real_override

    return [node_id for node_id, cls in _own_nodes(host).items() if first_real_override(cls, name)]


def _default(item: Any) -> Any:
    """A widget's value; nothing for a socket."""
    if item.id in VALUES:
        return VALUES[item.id]
    options = getattr(item, "options", None)
    first = options[0] if isinstance(options, list) and options else None
    default = getattr(item, "default", None)
    return first if default is None else default


def _ways(item: Any) -> list[tuple[str, Any]]:
    """An input linked, set where it has a widget, and left out where it may be."""
    ways: list[Any] = [["source", 0]]
    if _default(item) is not None:
        ways.append(_default(item))
    if item.optional:
        ways.append(None)
    return [(item.id, way) for way in ways]


def _prompts(cls: Any, hook: str) -> Iterator[dict[str, Any]]:
    """The node with its inputs in each way; those that the hook does not name all in one way."""
    named = inspect.signature(getattr(cls, hook)).parameters
    inputs = cls.GET_SCHEMA().inputs
    apart = [_ways(item) for item in inputs if item.id in named or item.optional]
    together = [_ways(item) for item in inputs if not (item.id in named or item.optional)]
    for rest in ([ways[0] for ways in together], [ways[-1] for ways in together]):
        for chosen in itertools.product(*apart):
            given = {name: way for name, way in (*rest, *chosen) if way is not None}
            yield {
                "node": {"class_type": cls.GET_SCHEMA().node_id, "inputs": given},
                "source": {"class_type": "AnySource", "inputs": {}},
            }


def test_load_ot_anchor_has_both_hooks(host):
    assert "OTCacheLoadAnchor" in _hooks(host, "fingerprint_inputs")
    assert "OTCacheLoadAnchor" in _hooks(host, "validate_inputs")


def test_an_unchanged_node_is_the_same_whatever_is_linked(host):
    import execution
    from comfy_execution.graph import DynamicPrompt

    def changed(prompt: dict[str, Any]) -> Any:
        cache = execution.IsChangedCache(PROMPT, DynamicPrompt(prompt), None)
        return asyncio.run(cache.get("node"))

    for node_id in _hooks(host, "fingerprint_inputs"):
        for prompt in _prompts(host.node(node_id), "fingerprint_inputs"):
            first = changed(prompt)
            del prompt["node"]["is_changed"]
            assert first == changed(prompt), prompt  # NaN, for an error, equals nothing


def test_a_valid_node_is_found_valid_whatever_is_linked(host):
    import execution

    for node_id in _hooks(host, "validate_inputs"):
        for prompt in _prompts(host.node(node_id), "validate_inputs"):
            valid, errors, _ = asyncio.run(execution.validate_inputs(PROMPT, prompt, "node", {}))
            assert valid, (prompt["node"], errors)


@pytest.mark.parametrize("linked", [True, False])
def test_automatic_without_a_model_is_refused_before_the_run(host, linked):
    import execution

    model = {"model": ["source", 0]} if linked else {}
    prompt = {
        "node": {
            "class_type": "OTCacheLoadAnchor", "inputs": {"anchor_name": "automatic", **model}
        },
        "source": {"class_type": "AnySource", "inputs": {}},
    }  # fmt: skip
    valid, errors, _ = asyncio.run(execution.validate_inputs(PROMPT, prompt, "node", {}))
    assert valid == linked
    assert linked or "connect the model that you sample" in errors[0]["details"]
