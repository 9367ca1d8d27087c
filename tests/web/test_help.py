"""A node's help page opens from the page, in the page's language, without a failed request."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]


def _open_help(page, kind):
    """Opens a node's help as a user does; returns what was asked below the help pages' folder."""
    answers = []

    def note(answer):
        if "/otcache/docs/" in answer.url:
            answers.append((answer.status, answer.url.split("/docs/")[1]))

    page.page.on("response", note)
    node = page.add(kind, (300, 200))
    page.page.wait_for_timeout(500)
    page.select(node)
    page.page.get_by_test_id("info-button").first.click()
    page.page.locator(".node-help-content h1").wait_for()
    page.page.wait_for_timeout(500)
    page.page.remove_listener("response", note)
    return answers


def test_a_help_page_opens_without_a_failed_request(page, artefacts):
    answers = _open_help(page, "OTCachePredictSchedule")
    page.screenshot(artefacts / f"help_{page.renderer}.png")
    assert [path for status, path in answers if status >= 400] == []
    assert {path for _, path in answers} == {
        "OTCachePredictSchedule/en.md",
        "images/OTCachePredictSchedule.png",
    }
