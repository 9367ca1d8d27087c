"""The template that opens as an app: its inputs and its picture, where front ends have app mode."""

from __future__ import annotations

import pytest

from scripts.workflows.app import APP, CALLS

pytestmark = [pytest.mark.web, pytest.mark.slow]

FIRST_WITH_APPS = (1, 41)


@pytest.fixture
def opened(page):
    """The page with the app open, its inputs drawn; the graph's view comes back afterwards."""
    version = page.js("() => window.__COMFYUI_FRONTEND_VERSION__")
    if tuple(map(int, version.split(".")[:2])) < FIRST_WITH_APPS:
        pytest.skip(f"this front end, {version}, has no app mode")
    page.js(
        """async (name) => {
            const answer = await fetch(`/api/workflow_templates/otcache/${name}.json`);
            await app.loadGraphData(await answer.json(), true, true, name);
        }""",
        APP,
    )
    page.page.get_by_test_id("linear-widgets").wait_for()
    page.page.wait_for_timeout(1_000)  # a tour is offered once
    skip = page.page.get_by_role("button", name="Skip")
    if skip.count():
        skip.click()
    yield page
    page.command("Comfy.ToggleLinear")


def test_the_app_shows_its_inputs_by_name_and_no_graph(opened, artefacts):
    items = opened.page.get_by_test_id("app-mode-widget-item")
    assert [text.split("\n")[0] for text in items.all_inner_texts()] == ["prompt", "calls", "seed"]
    assert items.nth(0).locator("textarea").input_value()
    opened.screenshot(artefacts / f"app_{opened.renderer}.png")


def test_the_app_runs_with_what_is_typed_and_shows_its_picture(opened, comfy, artefacts):
    prompt = f"a green umbrella at sunset, {opened.renderer}"
    items = opened.page.get_by_test_id("app-mode-widget-item")
    items.nth(0).locator("textarea").fill(prompt)

    opened.page.get_by_test_id("linear-run-button").get_by_role("button", name="Run").click()
    opened.page.wait_for_function(
        """() => [...document.querySelectorAll("[data-testid=linear-center-panel] img")]
            .some((picture) => picture.naturalWidth === 512)""",
        timeout=60_000,
    )

    opened.screenshot(artefacts / f"app_run_{opened.renderer}.png")
    (entry,) = comfy.get_json("/history?max_items=1").values()
    nodes = {node["class_type"]: node["inputs"] for node in entry["prompt"][2].values()}
    texts = [node["inputs"].get("text") for node in entry["prompt"][2].values()]
    assert entry["status"]["status_str"] == "success"
    assert nodes["OTCacheAuto"]["calls"] == CALLS
    assert prompt in texts
