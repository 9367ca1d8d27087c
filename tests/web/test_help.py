"""A node's help page opens from the page, in the page's language, without a failed request."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]


@pytest.fixture
def open_help(page):
    """`open_help(kind)`: opens a node's help as a user does, and closes it after the test.

    It returns status and path of what was asked below the help pages' folder.
    """
    info = page.page.get_by_test_id("info-button").first
    yield lambda kind: _open_help(page, kind, info)
    info.click()


def _open_help(page, kind, info):
    answers = []

    def note(answer):
        if "/otcache/docs/" in answer.url:
            answers.append((answer.status, answer.url.split("/docs/")[1]))

    page.page.on("response", note)
    node = page.add(kind, (500, 420))
    page.page.wait_for_timeout(500)
    page.select(node)
    info.click()
    page.page.locator(".node-help-content h1").wait_for()
    page.page.wait_for_timeout(500)
    page.page.remove_listener("response", note)
    return answers


def test_a_help_page_opens_without_a_failed_request(page, open_help, artefacts):
    answers = open_help("OTCachePredictSchedule")
    page.screenshot(artefacts / f"help_{page.renderer}.png")
    assert [path for status, path in answers if status >= 400] == []
    assert {path for _, path in answers} == {
        "OTCachePredictSchedule/en.md",
        "images/OTCachePredictSchedule.png",
    }


def test_a_chinese_page_shows_the_chinese_text(chinese, open_help, artefacts):
    answers = open_help("OTCachePredictSchedule")
    chinese.screenshot(artefacts / f"help_chinese_{chinese.renderer}.png")
    assert [path for status, path in answers if status >= 400] == []
    assert "OTCachePredictSchedule/zh.md" in {path for _, path in answers}
    assert chinese.page.locator(".node-help-content h1").inner_text() == "预测缓存计划"
    picture = chinese.page.locator(".node-help-content img").first
    assert picture.evaluate("(e) => e.naturalWidth") > 100
