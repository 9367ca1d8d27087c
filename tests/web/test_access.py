"""The panels by keyboard, for those who see little, and for those who want nothing to move."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]

LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of this size
MAX_TABS = 90  # the page's own buttons come first

# The least contrast of any text in a panel, and that text.
FAINTEST = """(root) => {
    const ground = getComputedStyle(root).backgroundColor;
    const found = [...root.querySelectorAll("*")].flatMap((e) => {
        const own = [...e.childNodes].filter((n) => n.nodeType === 3 && n.data.trim());
        return own.map((n) => [contrastOf(getComputedStyle(e).color, ground), n.data]);
    });
    return found.sort((a, b) => a[0] - b[0])[0];
}"""
MOVING = """(root) => [root, ...root.querySelectorAll("*")].filter((e) => {
    const { animationName, transitionDuration } = getComputedStyle(e);
    return animationName !== "none" || transitionDuration.split(",").some((t) => parseFloat(t) > 0);
}).map((e) => e.outerHTML.slice(0, 80))"""


@pytest.fixture
def panels(page, planned):
    """The panels of Load OT Anchor, Predict Cache Schedule and OTCache Sampler, all with words."""
    load, predict = planned
    sampler = page.add("OTCacheSampler", (580, 100), steps=8)
    page.link(predict, 0, sampler, "schedule")
    return [
        page.wait_for(load, "anchors", "anchor at 8 calls"),
        page.wait_for(predict, "schedule", "10 of 50 model calls"),
        page.wait_for(sampler, "result", "Caching is off below 10 steps"),
    ]


def _tab_to(page, element):
    for _ in range(MAX_TABS):
        page.page.keyboard.press("Tab")
        if element.evaluate("(e) => e === document.activeElement"):
            return
    raise AssertionError(f"Tab must reach {element} within {MAX_TABS} presses")


def test_tab_reaches_what_can_be_used_and_the_focus_is_seen(page, panels):
    anchors, schedule, _ = panels
    outline = "(e) => getComputedStyle(e).outlineStyle + getComputedStyle(e).outlineWidth"
    for element in (anchors.get_by_role("button"), schedule.get_by_role("slider")):
        _tab_to(page, element)
        assert element.evaluate(outline) == "solid2px"
    button = anchors.get_by_role("button", name="Keep in workflow")
    button.focus()
    page.page.keyboard.press("Enter")
    anchors.get_by_role("button", name="Remove from workflow").wait_for()


def test_what_can_be_used_or_stands_for_a_picture_has_a_name(panels):
    for panel in panels:
        unnamed = panel.evaluate(
            """(root) => [...root.querySelectorAll("button, input, img, [tabindex], [role]")]
                .filter((e) => e.getAttribute("role") !== "status")
                .filter((e) => !(e.ariaLabel || e.alt || e.textContent.trim()))
                .map((e) => e.outerHTML.slice(0, 80))"""
        )
        assert unnamed == []


@pytest.mark.usefixtures("contrast")
def test_words_stand_out_in_each_theme(page, panels, theme, artefacts):
    for panel in panels:
        least, text = panel.evaluate(FAINTEST)
        assert least >= LEAST_CONTRAST, text
    page.screenshot(artefacts / f"words_{theme}_{page.renderer}.png")


def test_nothing_moves_for_those_who_asked_for_less_motion(page, panels):
    page.page.emulate_media(reduced_motion="reduce")
    try:
        for panel in panels:
            assert panel.evaluate(MOVING) == []
            assert panel.evaluate("(e) => e.getAnimations({ subtree: true }).length") == 0
    finally:
        page.page.emulate_media(reduced_motion="no-preference")
