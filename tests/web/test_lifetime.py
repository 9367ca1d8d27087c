"""Panels live and die with their nodes: undo, redo, other workflows and tabs leave none behind.

A node that was replaced keeps its graph, and the node in its place has its id. A panel that took
itself for the living one would pull the other out of the page, and be pulled out by it, for ever.
"""

from __future__ import annotations

import pytest

from scripts.host.find import REPOSITORY

pytestmark = [pytest.mark.web, pytest.mark.slow]

PRESET = "preset: otcache-demo"
TEMPLATES = REPOSITORY / "example_workflows"
SETTLE_MS = 1_200  # what is to be drawn and asked after a change is done by then
WATCH_MS = 1_500

# Counts panels that come into the page or go, while nobody does anything.
SWAPS = """(milliseconds) => new Promise((done) => {
    let swaps = 0;
    const isPanel = (e) => e.nodeType === 1 &&
        (e.matches(".otcache-panel") || e.querySelector(".otcache-panel"));
    const observer = new MutationObserver((records) => {
        for (const record of records) {
            swaps += [...record.addedNodes, ...record.removedNodes].filter(isPanel).length;
        }
    });
    observer.observe(document.body, { childList: true, subtree: true });
    setTimeout(() => { observer.disconnect(); done(swaps); }, milliseconds);
})"""


@pytest.fixture
def graph(page):
    """One anchor for two schedules, each with a sampler, and Apply OTCache; all drawn."""
    load = page.add("OTCacheLoadAnchor", (40, 80), anchor_name=PRESET)
    predicts = [page.add("OTCachePredictSchedule", (400, 80 + 440 * i)) for i in range(2)]
    samplers = [page.add("OTCacheSampler", (760, 80 + 440 * i)) for i in range(2)]
    apply = page.add("OTCacheApply", (1120, 80))
    for predict, sampler in zip(predicts, samplers, strict=True):
        page.link(load, 0, predict, "anchor")
        page.link(predict, 0, sampler, "schedule")
    page.link(predicts[0], 0, apply, "schedule")
    for predict in predicts:
        page.wait_for(predict, "schedule", "10 of 50 model calls")
    _note(page)
    return page, load, predicts


def _settle(page):
    page.page.wait_for_timeout(SETTLE_MS)


def _note(page):
    """Has undo know of the state; newer front ends take one in a moment after they are asked."""
    page.page.wait_for_timeout(300)
    page.note_state()
    page.page.wait_for_timeout(300)


def _swaps(page):
    _settle(page)
    return page.js(SWAPS, WATCH_MS)


def _requests_for(page, predict, budget):
    """The pack's requests by route after one change of one slider."""
    _settle(page)
    before = len(page.own_requests())
    page.set_widget(predict, "budget", budget)
    page.wait_for(predict, "schedule", f"{budget} of 50 model calls")
    _settle(page)
    routes = [url.split("?")[0].rsplit("/", 1)[-1] for url in page.own_requests()[before:]]
    return sorted(routes)


def _shown(page, node):
    """What the page shows on a node, which need not be the panel that the node holds."""
    return page.js(
        """(id) => {
            const node = app.graph.getNodeById(Number(id));
            const held = node.widgets.find((w) => w.name === "otcache_schedule").element;
            return [held.isConnected, held.innerText];
        }""",
        node,
    )


def _sizes(page, nodes):
    sizes = "(ids) => ids.map((id) => [...app.graph.getNodeById(Number(id)).size].map(Math.round))"
    return page.js(sizes, nodes)


def _undo_and_redo(page, predicts, times):
    for budget in range(11, 11 + times):
        page.set_widget(predicts[0], "budget", budget)
        _note(page)
    for command in ("Comfy.Undo", "Comfy.Redo", "Comfy.Undo"):
        for _ in range(times):
            page.command(command)
            page.page.wait_for_timeout(60)


def test_undo_and_redo_leave_one_panel_to_each_node(graph):
    page, _, predicts = graph
    sizes = _sizes(page, predicts)
    _undo_and_redo(page, predicts, 5)
    assert _swaps(page) == 0
    for predict in predicts:
        connected, text = _shown(page, predict)
        assert connected and "10 of 50 model calls" in text
    assert _sizes(page, predicts) == sizes
    assert _requests_for(page, predicts[1], 20) == ["advice", "schedule"]


def test_a_template_over_a_template_is_drawn_once(page):
    for name in ("OTCache demo", "OTCache Sigmas", "OTCache demo"):
        page.open_workflow((TEMPLATES / f"{name}.json").read_text(encoding="utf-8"))
        page.page.wait_for_timeout(400)
    assert _swaps(page) == 0
    predict = page.js(
        "() => String(app.graph.nodes.find((n) => n.comfyClass === 'OTCachePredictSchedule').id)"
    )
    assert _requests_for(page, predict, 12) == ["advice", "schedule"]


def test_switching_tabs_multiplies_nothing(graph):
    page, _, predicts = graph
    for _ in range(3):
        page.command("Workspace.PreviousOpenedWorkflow")
        page.page.wait_for_timeout(500)
        page.command("Workspace.NextOpenedWorkflow")
        page.page.wait_for_timeout(500)
    assert _swaps(page) == 0
    assert _requests_for(page, predicts[1], 20) == ["advice", "schedule"]


def test_a_node_that_was_removed_asks_nothing_more(graph):
    page, load, predicts = graph
    page.js("(ids) => ids.forEach((id) => app.graph.remove(app.graph.getNodeById(Number(id))))",
            predicts)  # fmt: skip
    _settle(page)
    before = len(page.own_requests())
    page.set_widget(load, "anchor_name", "preset: qwen-image")
    page.wait_for(load, "anchors", "Qwen")
    _settle(page)
    assert [url for url in page.own_requests()[before:] if "/otcache/schedule" in url] == []
