"""Anchors that travel with workflows, in the browser and through a run."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]

PRESET = "preset: otcache-demo"
IN_WORKFLOW = "in this workflow"

DROP = """([text, name, x, y]) => {
    const files = new DataTransfer();
    files.items.add(new File([text], name, { type: "application/json" }));
    const at = { clientX: x, clientY: y, bubbles: true, cancelable: true, dataTransfer: files };
    app.canvas.canvas.dispatchEvent(new DragEvent("drop", at));
}"""


def _click(page, node, word):
    page.panel(node, "anchors").get_by_role("button", name=word).click()


def test_it_tells_what_it_loads(page, artefacts):
    load = page.add("OTCacheLoadAnchor", (300, 200), anchor_name=PRESET)
    page.wait_for(load, "anchors", "anchor at 8 calls, reference at 20")
    page.screenshot(artefacts / f"load_{page.renderer}.png")


def test_a_missing_anchor_is_a_message_on_the_node_before_anything_is_queued(page, artefacts):
    load = page.add("OTCacheLoadAnchor", (300, 200))
    page.set_widget(load, "anchor_name", "lost.otanchor.json")
    panel = page.wait_for(load, "anchors", '"lost.otanchor.json" must be one of the installed')
    assert "put its file into ComfyUI's models/otcache folder" in panel.inner_text()
    page.screenshot(artefacts / f"missing_{page.renderer}.png")


def test_automatic_is_the_default_and_asks_for_a_model(page):
    load = page.add("OTCacheLoadAnchor", (300, 200))
    predict = page.add("OTCachePredictSchedule", (700, 160))
    page.link(load, 0, predict, "anchor")
    assert page.widget(load, "anchor_name") == "automatic"
    page.wait_for(load, "anchors", "connect the model that you sample")
    page.wait_for(predict, "schedule", "connect the model that you sample")
    page.link(page.add("OTCacheDemoModel", (20, 200)), 0, load, "model")
    page.wait_for(load, "anchors", "automatic chooses the anchor by the connected model")


def test_the_anchor_in_the_workflow_is_not_shown_as_text(page):
    load = page.add("OTCacheLoadAnchor", (300, 200), anchor_name=PRESET)
    page.wait_for(load, "anchors", "anchor at 8 calls")
    _click(page, load, "Keep in workflow")
    page.wait_for(load, "anchors", "it runs where the file is missing")
    shown = """() => [...document.querySelectorAll("input, textarea")]
        .filter((e) => e.value.includes("otcache-anchor") && e.checkVisibility()).length"""
    assert page.js(shown) == 0
    page.note_state()
    page.set_widget(load, "anchor_name", "automatic")
    page.note_state()
    page.command("Comfy.Undo")
    page.wait_for(load, "anchors", "it runs where the file is missing")
    assert page.js(shown) == 0
    page.open_workflow(page.workflow())
    page.wait_for(load, "anchors", "it runs where the file is missing")
    assert page.js(shown) == 0


def test_a_workflow_carries_its_anchor_to_where_the_file_is_missing(
    page, install_anchor, comfy, anchor_text
):
    file = install_anchor("mine")
    load = page.add("OTCacheLoadAnchor", (180, 200), anchor_name="mine.otanchor.json")
    predict = page.add("OTCachePredictSchedule", (560, 160))
    page.link(load, 0, predict, "anchor")
    page.wait_for(load, "anchors", "anchor at 8 calls")
    _click(page, load, "Keep in workflow")
    page.wait_for(load, "anchors", "it runs where the file is missing")
    saved = page.workflow()
    file.unlink()
    page.clear()
    page.open_workflow(saved)
    page.wait_for(load, "anchors", "the workflow's own anchor is used")
    page.wait_for(predict, "schedule", "expected LPIPS 0.0160")

    prompt = page.js("() => app.graphToPrompt().then((p) => p.output)")
    carried = json.loads(prompt[load]["inputs"]["inline_anchor"])
    assert carried["anchor"] == json.loads(anchor_text)["anchor"] | carried["anchor"]
    prompt["show"] = {"class_type": "PreviewImage", "inputs": {"images": [predict, 1]}}
    budget = 11 if page.renderer == "nodes2" else 12  # each its own, for ComfyUI keeps results
    prompt[predict]["inputs"]["budget"] = budget
    entry = comfy.wait(comfy.queue(prompt))
    assert f"{budget} of 50 steps" in entry["outputs"][predict]["text"][0]

    _click(page, load, "Save to models/otcache")
    page.wait_for(load, "anchors", "it runs where the file is missing")
    assert page.widget(load, "anchor_name") == "otcache-demo.otanchor.json"
    assert (file.parent / "otcache-demo.otanchor.json").is_file()
    _click(page, load, "Remove from workflow")
    page.wait_for(load, "anchors", "Keep in workflow")
    assert page.widget(load, "inline_anchor") == ""


def _note(page):
    """Has undo know of the graph as it is, apart from what comes next."""
    page.page.wait_for_timeout(300)
    page.note_state()
    page.page.wait_for_timeout(300)


def _middle(page, node):
    """Where a node is on the screen."""
    return page.js(
        """(id) => {
            const node = app.graph.getNodeById(Number(id));
            const { ds, canvas } = app.canvas;
            const { left, top } = canvas.getBoundingClientRect();
            const on = (axis) => node.pos[axis] + node.size[axis] / 2 + ds.offset[axis];
            return [left + on(0) * ds.scale, top + on(1) * ds.scale];
        }""",
        node,
    )


def _value_becomes(page, node, name, value):
    page.page.wait_for_function(
        """([id, name, value]) => app.graph.getNodeById(Number(id))?.widgets
            ?.find((w) => w.name === name).value === value""",
        arg=[node, name, value],
    )


def _undone_and_redone(page, node, name, before):
    """Undo takes back what was just done to a widget, and nothing else; redo does it again."""
    page.page.wait_for_timeout(600)  # nothing else notes the state
    after = page.widget(node, name)
    assert after != before
    page.command("Comfy.Undo")
    _value_becomes(page, node, name, before)
    page.command("Comfy.Redo")
    _value_becomes(page, node, name, after)


def test_undo_takes_back_what_a_button_did(page, install_anchor):
    install_anchor("mine")
    load = page.add("OTCacheLoadAnchor", (180, 200), anchor_name="mine.otanchor.json")
    page.wait_for(load, "anchors", "anchor at 8 calls")
    _note(page)
    _click(page, load, "Keep in workflow")
    page.wait_for(load, "anchors", "it runs where the file is missing")
    _undone_and_redone(page, load, "inline_anchor", "")

    carried = page.widget(load, "inline_anchor")
    page.wait_for(load, "anchors", "it runs where the file is missing")
    _click(page, load, "Remove from workflow")
    page.wait_for(load, "anchors", "Keep in workflow")
    _undone_and_redone(page, load, "inline_anchor", carried)


def test_undo_takes_back_the_name_of_a_saved_anchor(page, install_anchor, anchor_text):
    install_anchor("other")
    load = page.add("OTCacheLoadAnchor", (180, 200), anchor_name=PRESET)
    page.set_widget(load, "inline_anchor", anchor_text)
    page.wait_for(load, "anchors", "the workflow carries another anchor")
    _note(page)
    _click(page, load, "Save to models/otcache")
    page.wait_for(load, "anchors", "it runs where the file is missing")
    _undone_and_redone(page, load, "anchor_name", PRESET)


def test_undo_takes_back_a_dropped_anchor(page, anchor_text):
    load = page.add("OTCacheLoadAnchor", (180, 200), anchor_name=PRESET)
    page.wait_for(load, "anchors", "anchor at 8 calls")
    _note(page)
    page.js(DROP, [anchor_text, "on the node.otanchor.json", *_middle(page, load)])
    page.wait_for(load, "anchors", "the workflow's own anchor is used")
    _undone_and_redone(page, load, "anchor_name", PRESET)
    assert json.loads(page.widget(load, "inline_anchor"))["fidelity"]

    _note(page)
    page.js(DROP, [anchor_text, "beside.otanchor.json", 900, 600])
    page.page.wait_for_function("() => app.graph.nodes.length === 2")
    page.page.wait_for_timeout(600)
    page.command("Comfy.Undo")
    page.page.wait_for_function("() => app.graph.nodes.length === 1")
    assert page.widget(load, "anchor_name") == IN_WORKFLOW


def test_a_new_anchor_is_listed_at_once(page, install_anchor):
    load = page.add("OTCacheLoadAnchor", (300, 200), anchor_name=PRESET)
    save = page.add("OTCacheSaveAnchor", (700, 200), filename=f"new on {page.renderer}")
    page.link(load, 0, save, "anchor")
    page.run()
    page.wait_for_panel(save, "result", "saved as")
    listed = """(id) => app.graph.getNodeById(Number(id)).widgets
        .find((w) => w.name === "anchor_name").options.values"""
    name = f"new on {page.renderer}.otanchor.json"
    assert page.js(listed, load).count(name) == 1
    assert name in page.js(listed, page.add("OTCacheLoadAnchor", (300, 500)))


def test_a_file_that_differs_from_the_workflows_anchor_is_said_to(page, install_anchor):
    install_anchor("mine")
    load = page.add("OTCacheLoadAnchor", (300, 200), anchor_name=PRESET)
    page.wait_for(load, "anchors", "anchor at 8 calls")
    _click(page, load, "Keep in workflow")
    page.wait_for(load, "anchors", "it runs where the file is missing")
    page.set_widget(load, "anchor_name", "mine.otanchor.json")  # has a fidelity curve
    page.wait_for(load, "anchors", "the workflow carries another anchor under this name")


def test_an_anchor_file_dropped_on_the_canvas_becomes_a_node(page, anchor_text):
    page.js(DROP, [anchor_text, "theirs.otanchor (1).json", 500, 400])
    page.page.wait_for_function("() => app.graph.nodes.length === 1")
    (load,) = page.js("() => app.graph.nodes.map((n) => String(n.id))")

    page.wait_for(load, "anchors", "anchor at 8 calls, reference at 20")
    assert page.widget(load, "anchor_name") == IN_WORKFLOW
    assert json.loads(page.widget(load, "inline_anchor"))["format"] == "otcache-anchor"
    if page.renderer == "nodes2":
        assert IN_WORKFLOW in page.page.locator(f'[data-node-id="{load}"]').inner_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "workflow"}', "<script>alert(1)</script>"])
def test_a_dropped_file_that_is_no_anchor_is_refused_with_a_message(page, text):
    page.js(DROP, [text, "bad.otanchor.json", 500, 400])
    page.page.get_by_text("bad.otanchor.json").first.wait_for()
    assert page.js("() => app.graph.nodes.length") == 0


def test_what_an_anchor_says_is_never_markup(page, anchor_text):
    evil = json.loads(anchor_text) | {"name": "<img src=x onerror='window.broken=1'>"}
    page.js(DROP, [json.dumps(evil), "evil.otanchor.json", 500, 400])
    page.page.wait_for_function("() => app.graph.nodes.length === 1")
    (load,) = page.js("() => app.graph.nodes.map((n) => String(n.id))")
    panel = page.wait_for(load, "anchors", "<img src=x")

    assert panel.locator("img").count() == 0
    assert page.js("() => window.broken") is None
