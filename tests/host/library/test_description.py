"""What is told of an anchor: lines that a page can say in its language, and its own words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.host.find import REPOSITORY

pytestmark = pytest.mark.host


@pytest.fixture
def describe(host):
    """`describe(provenance)`: the documents of the bundled anchor's lines, of that provenance."""
    anchors = host.module("otcache_core.documents.anchor")
    text = (REPOSITORY / "presets" / "otcache-demo.otanchor.json").read_text(encoding="utf-8")
    anchor = anchors.Anchor.from_json(text)

    def run(provenance):
        lines = host.module("nodes.library.description").describe(
            replace(anchor, provenance=provenance)
        )
        return [host.module("otcache_core.message").document(line) for line in lines]

    return run


def test_what_the_pack_says_of_an_anchor_has_its_words_name(describe):
    *lines, origin = describe("calibrated with OTCache 0.3.1 by Calibrate OT Anchor")
    assert [line["key"] for line in lines] == [
        "anchor_is", "anchor_budgets", "anchor_made", "anchor_found",
    ]  # fmt: skip
    assert (origin["key"], origin["values"]) == ("calibrated_with", {"version": "0.3.1"})
    assert origin["text"] == "calibrated with OTCache 0.3.1 by Calibrate OT Anchor"


@pytest.mark.parametrize("words", ["calibrated by a friend", "calibrated with OTCache 1.0 by me"])
def test_words_of_others_stay_theirs(describe, words):
    assert describe(words)[-1] == {"text": words}


def test_an_anchor_without_provenance_has_a_line_less(describe):
    assert len(describe("")) == len(describe("x")) - 1
