"""Keywords that only newer hosts take reach those, and no others."""

from __future__ import annotations

import inspect

import pytest

from scripts.release.interface import read

pytestmark = pytest.mark.host

COMMON = {"name", "steps", "cfg", "sampler_name", "scheduler", "anchor_budget", "size", "minutes"}
"""Widgets of Calibrate OT Anchor that are always shown."""


def _knows(declare: str, keyword: str) -> bool:
    from comfy_api.latest import io

    known = {"input": io.Int.Input, "schema": io.Schema}[declare]
    return keyword in inspect.signature(known).parameters


def _widgets(host):
    required = host.node("OTCacheCalibrateAnchor").GET_NODE_INFO_V1()["input"]["required"]
    return {name: settings for name, (kind, settings) in required.items() if "default" in settings}


def test_only_what_is_taken_is_given(host):
    where_taken = host.module("nodes.shared.newer").where_taken

    def old(name: str) -> None: ...

    def new(name: str, *, colour: str = "") -> None: ...

    assert where_taken(old, colour="red") == {}
    assert where_taken(new, colour="red", size=3) == {"colour": "red"}


def test_an_old_host_is_given_nothing_new(host):
    if _knows("input", "advanced") or _knows("schema", "search_aliases"):
        pytest.skip("this ComfyUI takes `advanced` and `search_aliases`")
    newer = host.module("nodes.shared.newer")
    assert (newer.RARE, newer.found_by("speed")) == ({}, {})


def test_rare_inputs_are_folded_away(host):
    if not _knows("input", "advanced"):
        pytest.skip("this ComfyUI has no `advanced` inputs (0.10 has)")
    rare = {name for name, settings in _widgets(host).items() if settings.get("advanced")}
    assert rare == set(_widgets(host)) - COMMON
    assert len(rare) == 8


@pytest.mark.parametrize(
    "node_id", ["OTCacheSampler", "OTCacheApply", "OTCachePredictSchedule", "OTCacheLoadAnchor"]
)
def test_who_wants_speed_finds_the_node(host, node_id):
    if not _knows("schema", "search_aliases"):
        pytest.skip("this ComfyUI has no `search_aliases` (0.11 has)")
    aliases = host.node(node_id).GET_NODE_INFO_V1()["search_aliases"]
    assert {"speed", "faster", "cache", "accelerate"} <= set(aliases)


def test_every_node_is_found_by_other_words(host):
    if not _knows("schema", "search_aliases"):
        pytest.skip("this ComfyUI has no `search_aliases` (0.11 has)")
    without = {n for n in read() if not host.node(n).GET_NODE_INFO_V1()["search_aliases"]}
    assert without <= {"OTCacheSaveAnchor"}
