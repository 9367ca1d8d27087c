"""The templates' notes can be read in each theme, whatever a front end makes of their marks."""

from __future__ import annotations

import pytest

from scripts.host.find import REPOSITORY

pytestmark = [pytest.mark.web, pytest.mark.slow]

DEMO = (REPOSITORY / "example_workflows" / "OTCache demo.json").read_text(encoding="utf-8")
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of this size

# Contrast by WCAG's definition of each kind of element with words in the note, the least of each.
# Grounds may be half transparent: they are painted one over the other, the node's own first.
CONTRASTS = """() => {
    const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const paint = (colours) => {
        for (const colour of colours) {
            pixel.fillStyle = colour;
            pixel.fillRect(0, 0, 1, 1);
        }
        const [r, g, b] = [...pixel.getImageData(0, 0, 1, 1).data].map((byte) => {
            const c = byte / 255;
            return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const note = app.graph.nodes.find((node) => node.type === "MarkdownNote");
    const root = document.querySelector(".comfy-markdown, .comfy-markdown-content");
    const found = {};
    for (const element of root.querySelectorAll("*")) {
        if (![...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
        const grounds = [];
        for (let at = element; at !== root; at = at.parentElement) {
            grounds.unshift(getComputedStyle(at).backgroundColor);
        }
        grounds.unshift(note.renderingBgColor);
        const [ground, ink] = [paint(grounds), paint([getComputedStyle(element).color])];
        const contrast = Math.max(ink, ground) / Math.min(ink, ground);
        const kind = element.tagName;
        found[kind] = Math.min(found[kind] ?? Infinity, contrast);
    }
    return found;
}"""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_word_of_a_note_stands_out(page, theme, artefacts):
    use = "(theme) => app.extensionManager.setting.set('Comfy.ColorPalette', theme)"
    page.js(use, theme)
    try:
        page.open_workflow(DEMO)
        page.page.locator(".comfy-markdown, .comfy-markdown-content").first.wait_for()
        page.page.wait_for_timeout(600)
        page.screenshot(artefacts / f"note_{theme}_{page.renderer}.png")
        contrasts = page.js(CONTRASTS)
    finally:
        page.js(use, "dark")
    assert {"P", "STRONG"} <= contrasts.keys()
    assert {kind: c for kind, c in contrasts.items() if c < LEAST_CONTRAST} == {}
