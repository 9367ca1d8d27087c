"""A node's declaration gets the words that all languages are kept beside."""

from __future__ import annotations

import json

import pytest

from scripts.host.find import REPOSITORY
from scripts.release.interface import read

pytestmark = pytest.mark.host


@pytest.mark.parametrize("node_id", read())
def test_the_host_gets_the_english_words(host, node_id):
    file = REPOSITORY / "locales" / "en" / "nodeDefs.json"
    words = json.loads(file.read_text(encoding="utf-8"))[node_id]
    info = host.node(node_id).GET_NODE_INFO_V1()

    assert (info["display_name"], info["description"]) == (
        words["display_name"], words["description"],
    )  # fmt: skip
    inputs = info["input"].get("required", {}) | info["input"].get("optional", {})
    tooltips = {name: settings["tooltip"] for name, (_, settings) in inputs.items()}
    assert tooltips == {name: said["tooltip"] for name, said in words["inputs"].items()}
    assert info["output_name"] == [said["name"] for said in words.get("outputs", {}).values()]


def test_a_node_without_words_is_refused(host):
    from comfy_api.latest import io

    declare = host.module("nodes.shared.declare").declare
    with pytest.raises(KeyError, match="stepz"):
        declare("OTCacheSampler", [io.Int.Input("stepz")], [])
