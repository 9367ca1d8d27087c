"""Blueprints: the node library has them, and what comes out of it is a subgraph that runs."""

from __future__ import annotations

import json

import pytest

from scripts.workflows.blueprints import BLUEPRINTS, SAMPLER, Z_IMAGE
from scripts.workflows.make import BLUEPRINT_FOLDER

pytestmark = [pytest.mark.web, pytest.mark.slow]


@pytest.fixture
def put(page):
    """`put(name)`: places a blueprint as the search over nodes does; the node's id."""

    def place(name: str) -> str:
        # A page that is still busy takes the first click of the two for something else.
        for _ in range(5):
            page.page.mouse.dblclick(700, 450)
            page.page.wait_for_timeout(1_000)
            if page.js("() => document.activeElement?.tagName === 'INPUT'"):
                break
            page.clear()
        page.page.keyboard.type(name)
        page.page.wait_for_timeout(1_500)
        page.page.keyboard.press("Enter")
        page.page.wait_for_timeout(500)
        page.page.mouse.click(700, 450)  # newer front ends hang it on the pointer
        page.page.wait_for_function("() => app.graph.nodes.some((n) => n.isSubgraphNode?.())")
        return str(page.js("() => app.graph.nodes.find((n) => n.isSubgraphNode?.()).id"))

    return place


def test_comfyui_finds_the_blueprints(comfy):
    listed = comfy.get_json("/global_subgraphs")
    own = {k: v for k, v in listed.items() if v["info"]["node_pack"].endswith("otcache")}
    assert sorted(entry["name"] for entry in own.values()) == sorted(BLUEPRINTS)
    for key, entry in own.items():
        file = BLUEPRINT_FOLDER / f"{entry['name']}.json"
        data = comfy.get_json(f"/global_subgraphs/{key}")["data"]
        assert json.loads(data) == json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_is_placed_with_its_inputs_and_values(put, page, artefacts, name):
    node = put(name)
    definition = BLUEPRINTS[name]()["definitions"]["subgraphs"][0]
    state = page.js(
        """(id) => {
            const node = app.graph.getNodeById(Number(id));
            return {
                title: node.title,
                inputs: node.inputs.map((i) => i.name),
                outputs: node.outputs.map((o) => o.type),
                widgets: Object.fromEntries(node.widgets.map((w) => [w.name, w.value])),
                inside: node.subgraph.nodes.map((n) => n.type),
            };
        }""",
        node,
    )
    page.screenshot(artefacts / f"blueprint_{name}_{page.renderer}.png")
    assert state["title"] == name
    assert state["inputs"] == [port["name"] for port in definition["inputs"]]
    assert state["outputs"] == [port["type"] for port in definition["outputs"]]
    assert sorted(state["inside"]) == sorted(node["type"] for node in definition["nodes"])
    expected = {SAMPLER: {"calls": 0, "steps": 20}, Z_IMAGE: {"calls": 0, "steps": 25, "cfg": 4}}
    assert expected[name].items() <= state["widgets"].items()


def test_the_sampler_blueprint_runs_on_the_bundled_model(put, page, comfy):
    sampler = put(SAMPLER)
    seed = len(page.renderer)  # each renderer's own, for ComfyUI tells nothing of kept results
    for name, value in {"calls": 11, "seed": seed, "cfg": 2.5}.items():
        page.set_widget(sampler, name, value)
    model = page.add("OTCacheDemoModel", (40, 60))
    text = page.add("CLIPTextEncode", (40, 360), text="a white mushroom in the rain")
    decode, save = page.add("VAEDecode", (1200, 60)), page.add("PreviewImage", (1200, 200))
    page.link(model, 1, text, "clip")
    page.link(model, 0, sampler, "model")
    page.link(text, 0, sampler, "positive")
    page.link(text, 0, sampler, "negative")
    page.link(model, 3, sampler, "latent_image")
    page.link(sampler, 0, decode, "samples")
    page.link(model, 2, decode, "vae")
    page.link(decode, 0, save, "images")

    page.run()

    (entry,) = comfy.get_json("/history?max_items=1").values()
    assert entry["status"]["status_str"] == "success"
    nodes = {node["class_type"]: node["inputs"] for node in entry["prompt"][2].values()}
    assert nodes["OTCacheAuto"]["calls"] == 11
    assert (nodes["KSampler"]["seed"], nodes["KSampler"]["steps"]) == (seed, 20)
    assert any("images" in output for output in entry["outputs"].values())
