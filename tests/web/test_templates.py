"""Every template opens in the browser with all its nodes, and ComfyUI takes it."""

from __future__ import annotations

import json

import pytest

from scripts.host.find import REPOSITORY

pytestmark = [pytest.mark.web, pytest.mark.slow]

FOLDER = REPOSITORY / "example_workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
RUNS = {"OTCache budgets side by side": 3, "OTCache demo": 1}
"""Templates that need no download and take seconds, and how many nodes skip steps in each."""


def _workflow(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def _models(workflow):
    found = [model for node in workflow["nodes"] for model in node["properties"].get("models", [])]
    return {model["name"]: model for model in found}


@pytest.fixture
def open_template(page, comfy):
    """`open_template(name)`: as the template browser does, its model files in place."""

    def open_it(name):
        for model in _models(_workflow(name)).values():
            file = comfy.base / "models" / model["directory"] / model["name"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        # Refreshed, so that the lists of files have the new ones.
        page.js("() => app.refreshComboInNodes()")
        page.js(
            """async (name) => {
                const answer = await fetch(`/api/workflow_templates/otcache/${name}.json`);
                await app.loadGraphData(await answer.json());
            }""",
            name,
        )
        page.page.wait_for_timeout(600)
        page.js("() => app.canvas.setDirty(true, true)")

    return open_it


def test_the_template_browser_shows_workflows_by_readable_names(page, artefacts):
    page.command("Comfy.BrowseTemplates")
    page.page.get_by_role("dialog").get_by_text("OTCache", exact=True).click()
    cards = page.page.locator('[data-testid^="template-workflow-"]')
    cards.filter(has_text="OTCache demo").wait_for()
    # The front end knows a template of a pack by its file's name, and shows that as its title.
    assert sorted(cards.get_by_role("heading").all_inner_texts()) == NAMES
    page.page.wait_for_function(  # the rest is loaded when it is scrolled to
        """() => {
            const cards = '[data-testid^="template-workflow-"] img';
            const pictures = [...document.querySelectorAll(cards)];
            return pictures.length > 3 && pictures.every((p) => p.naturalWidth > 100);
        }"""
    )
    page.screenshot(artefacts / f"template_browser_{page.renderer}.png")
    cards.filter(has_text="OTCache Sigmas").click()
    page.page.wait_for_function("() => app.graph.nodes.some((n) => n.type === 'OTCacheSigmas')")
    page.page.wait_for_function(
        "() => app.extensionManager.workflow.activeWorkflow.filename === 'OTCache Sigmas'"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_template_opens_without_missing_nodes_or_invalid_values(
    name, open_template, page, artefacts
):
    open_template(name)
    state = page.js(
        """() => app.graph.nodes.map((node) => ({
            type: node.type,
            known: node.type === "MarkdownNote" || Boolean(node.constructor.nodeData),
            widgets: (node.widgets ?? []).map((w) => [w.name, w.value,
                Array.isArray(w.options?.values) ? w.options.values : null,
                w.options?.min, w.options?.max]),
        }))"""
    )
    saved = {node["id"]: node["type"] for node in _workflow(name)["nodes"]}
    assert sorted(node["type"] for node in state) == sorted(saved.values())
    assert [node["type"] for node in state if not node["known"]] == []
    for node in state:
        for widget, value, values, low, high in node["widgets"]:
            assert values is None or value in values, (node["type"], widget, value)
            if isinstance(value, (int, float)) and low is not None:
                assert low <= value <= high, (node["type"], widget, value)
    page.js("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.page.wait_for_timeout(600)
    page.screenshot(artefacts / f"template_{name}_{page.renderer}.png")


@pytest.mark.parametrize("name", NAMES)
def test_comfyui_takes_a_template(name, open_template, page, comfy):
    open_template(name)
    prompt = page.js("() => app.graphToPrompt().then((p) => p.output)")
    comfy.queue(prompt)  # raises where a node, link or value is invalid
    comfy.interrupt()
    comfy._request("/queue", {"clear": True})


@pytest.mark.parametrize("name", RUNS)
def test_a_template_on_the_bundled_model_runs(name, open_template, page, comfy):
    open_template(name)
    seed = len(page.renderer)  # each renderer's own, for ComfyUI tells nothing of kept results
    page.js(
        """(seed) => app.graph.nodes.forEach((node) => {
            const own = node.widgets?.find((w) => w.name === "seed" || node.title === "Seed");
            if (own) own.value = seed;
        })""",
        seed,
    )
    page.run()
    texts = page.js(
        """() => app.graph.nodes.filter((n) => n.comfyClass === "OTCacheSampler")
            .map((n) => n.widgets.find((w) => w.name === "otcache_text").element.innerText)"""
    )
    assert sum("computed, 0 skipped of 50 steps" in text for text in texts) == 1
    assert sum("of 50 steps" in text for text in texts) == RUNS[name] + 1
    (entry,) = comfy.get_json("/history?max_items=1").values()
    assert entry["status"]["status_str"] == "success"


def test_the_template_of_sigmas_runs(open_template, page, comfy):
    open_template("OTCache Sigmas")
    # Each renderer's own, for ComfyUI tells nothing of kept results.
    budget = {"classic": 10, "nodes2": 12}[page.renderer]
    page.js(
        """(budget) => {
            const node = app.graph.nodes.find((n) => n.comfyClass === "OTCachePredictSchedule");
            node.widgets.find((w) => w.name === "budget").value = budget;
        }""",
        budget,
    )
    page.run()

    (entry,) = comfy.get_json("/history?max_items=1").values()
    assert entry["status"]["status_str"] == "success"
    texts = [text for out in entry["outputs"].values() for text in out.get("text", [])]
    assert any(f"{budget} of 50 steps kept" in text for text in texts)
    assert any(text.startswith("LPIPS") for text in texts)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_has_a_thumbnail_and_its_models_have_links(name):
    assert (FOLDER / f"{name}.jpg").stat().st_size > 5_000
    for model in _models(_workflow(name)).values():
        assert model["url"].startswith("https://huggingface.co/")
        assert model["url"].endswith("/" + model["name"])
    loaders = [n for n in _workflow(name)["nodes"] if n["type"].endswith("Loader")]
    for node in loaders:
        named = [v for v in node["widgets_values"] if str(v).endswith(".safetensors")]
        assert named == [model["name"] for model in node["properties"]["models"]]
