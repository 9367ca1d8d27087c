"""Where what a node says late is shown: in the workflow that is running."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.host

SENT = {"extra_pnginfo": {"workflow": {"id": "copy"}}}


@pytest.fixture
def place_now(host, monkeypatch):
    """`place_now(running, node="3")`: the workflow of a node that ran in workflow "first"."""
    news = host.module("nodes.shared.news")

    def workflow(running: Any, node: str = "3") -> str:
        queue = SimpleNamespace(get_current_queue_volatile=lambda: (running, []))
        server = SimpleNamespace(instance=SimpleNamespace(prompt_queue=queue))
        monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=server))
        return str(news.place_now(news.NodePlace("first", node)).workflow)

    return workflow


def test_it_is_shown_in_the_workflow_that_runs(place_now):
    assert place_now([(0, "id", {"3": {}, "4": {}}, SENT, ["4"])]) == "copy"
    assert place_now([(0, "id", {"3": {}}, SENT, ["4"], {"newer": 1})]) == "copy"


@pytest.mark.parametrize(
    "running",
    [
        [],
        [(0, "id", {"4": {}}, SENT, ["4"])],  # without the node
        [(0, "id", {"3": {}}, {}, ["4"])],  # from no page
        [(0, "a", {"3": {}}, SENT, []), (0, "b", {"3": {}}, SENT, [])],
        [("of another shape",)],
        None,
    ],
)
def test_else_where_the_node_ran(place_now, running):
    assert place_now(running) == "first"


def test_without_a_server_too(host, monkeypatch):
    monkeypatch.delitem(sys.modules, "server", raising=False)
    news = host.module("nodes.shared.news")
    assert news.place_now(news.NodePlace("first", "3")) == news.NodePlace("first", "3")
