"""Panels have the room that they need on their nodes, and give it back."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]

PRESET = "preset: otcache-demo"
LINES = (
    "No schedule of this kind was ever calibrated with so many words in one line of its text.\n"
    "Another line that is somewhat longer than a narrow node is wide, as they often are."
)
LEAST_CONTRAST = 3.0  # WCAG 2.2, 1.4.11, for what is no text

# Pixels of a panel that cannot be seen on its node: below what clips it, or off its own edge.
HIDDEN = """(panel) => {
    const inside = panel.scrollHeight - panel.clientHeight;
    const last = Math.max(...[...panel.children].map((e) => e.getBoundingClientRect().bottom));
    return Math.round(Math.max(inside, last - panel.getBoundingClientRect().bottom));
}"""
CURVES = """(panel) => {
    const ground = getComputedStyle(panel).backgroundColor;
    return ["reference", "anchor", "prediction"].map((name) =>
        contrastOf(getComputedStyle(panel.querySelector(`path.otcache-${name}`)).stroke, ground));
}"""


def _height(page, node):
    return page.js("(id) => Math.round(app.graph.getNodeById(Number(id)).size[1])", node)


def _tell(page, node, text):
    """What a run of the node would tell."""
    page.js(
        """([id, text]) => app.graph.getNodeById(Number(id))
            .onExecuted({ otcache_lines: [{ text }] })""",
        [node, text],
    )


@pytest.mark.parametrize("width", [210, 400])
def test_a_text_fits_on_a_node_of_any_width(page, width):
    apply = page.add("OTCacheApply", (400, 100))
    page.js("([id, w]) => app.graph.getNodeById(Number(id)).setSize([w, 60])", [apply, width])
    _tell(page, apply, LINES)
    panel = page.wait_for_panel(apply, "result", "as they often are")
    page.page.wait_for_timeout(500)
    assert panel.evaluate(HIDDEN) <= 1


def test_all_buttons_of_load_are_seen(page, artefacts):
    load = page.add("OTCacheLoadAnchor", (300, 100), anchor_name=PRESET)
    page.wait_for(load, "anchors", "anchor at 8 calls")
    page.panel(load, "anchors").get_by_role("button", name="Keep in workflow").click()
    page.wait_for(load, "anchors", "it runs where the file is missing")
    page.set_widget(load, "anchor_name", "preset: qwen-image")
    panel = page.wait_for(load, "anchors", "carries another anchor under this name")
    page.page.wait_for_timeout(500)
    page.screenshot(artefacts / f"buttons_{page.renderer}.png")
    assert panel.get_by_role("button").count() == 3
    assert panel.evaluate(HIDDEN) <= 1


def test_the_list_of_parameters_has_no_panels(page, artefacts):
    load = page.add("OTCacheLoadAnchor", (300, 500), anchor_name=PRESET)
    predict = page.add("OTCachePredictSchedule", (300, 200))
    page.link(load, 0, predict, "anchor")
    page.wait_for(predict, "schedule", "10 of 50 model calls")
    toggle = page.page.get_by_role("button", name="Toggle properties panel").first
    if not toggle.count():
        pytest.skip("this front end has no list of parameters")
    listed = page.page.get_by_test_id("properties-panel")
    if not listed.count():
        toggle.click()
    for node, setting in ((load, "anchor_name"), (predict, "target_lpips")):
        page.select(node)
        listed.get_by_text(setting).wait_for()
        page.screenshot(artefacts / f"parameters_{setting}_{page.renderer}.png")
        assert listed.get_by_text("otcache_").count() == listed.get_by_text("inline_").count() == 0
    assert page.panel(predict, "schedule").is_visible()
    toggle.click()  # other tests have the whole canvas


def test_room_that_is_no_longer_needed_is_given_back(page):
    load = page.add("OTCacheLoadAnchor", (300, 100), anchor_name=PRESET)
    page.wait_for(load, "anchors", "anchor at 8 calls")
    page.page.wait_for_timeout(500)
    before = _height(page, load)
    page.panel(load, "anchors").get_by_role("button", name="Keep in workflow").click()
    page.wait_for(load, "anchors", "it runs where the file is missing")
    page.set_widget(load, "anchor_name", "preset: qwen-image")
    page.wait_for(load, "anchors", "carries another anchor under this name")
    page.page.wait_for_timeout(500)
    assert _height(page, load) > before
    page.set_widget(load, "anchor_name", PRESET)
    page.panel(load, "anchors").get_by_role("button", name="Remove from workflow").click()
    page.wait_for(load, "anchors", "Keep in workflow")
    page.page.wait_for_timeout(500)
    assert _height(page, load) == before


def test_a_height_that_the_user_has_set_stays(page):
    load = page.add("OTCacheLoadAnchor", (300, 100), anchor_name=PRESET)
    page.wait_for(load, "anchors", "anchor at 8 calls")
    page.drag_corner(load, 30, 250)
    page.page.wait_for_timeout(300)
    tall = _height(page, load)
    assert tall > 400
    page.set_widget(load, "anchor_name", "preset: qwen-image")
    page.wait_for(load, "anchors", "Qwen")
    page.page.wait_for_timeout(300)
    assert _height(page, load) >= tall - 1


@pytest.mark.usefixtures("contrast")
def test_curves_stand_out_in_each_theme(page, planned, theme):
    assert min(page.panel(planned[1], "schedule").evaluate(CURVES)) >= LEAST_CONTRAST
