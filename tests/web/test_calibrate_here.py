"""The node OTCache's button that adds Calibrate OT Anchor, wired from the run of its model."""

from __future__ import annotations

import json

import pytest

from scripts.workflows.blueprints import BLUEPRINTS, SAMPLER

pytestmark = [pytest.mark.web, pytest.mark.slow]

CALIBRATE = "OTCacheCalibrateAnchor"
SHARED = {"positive", "negative", "latent_image"}

# Each linked input of the one Calibrate node in the open graph: from which node, and which output.
FED = """() => {
    const { graph } = app.canvas;
    const made = graph.nodes.find((n) => n.comfyClass === "OTCacheCalibrateAnchor");
    return Object.fromEntries((made?.inputs ?? []).filter((i) => i.link != null).map((i) => {
        const link = graph.getLink(i.link);
        return [i.name, [String(link.origin_id), link.origin_slot]];
    }));
}"""

# What the one Calibrate node lies over, by class; titles are above a node's place.
COVERED = """() => {
    const boxes = app.canvas.graph.nodes.map(({ comfyClass, pos, size }) =>
        ({ comfyClass, left: pos[0], right: pos[0] + size[0], top: pos[1] - 30,
            bottom: pos[1] + size[1] }));
    const a = boxes.find((box) => box.comfyClass === "OTCacheCalibrateAnchor");
    return boxes.filter((b) => a !== b && a.left < b.right && b.left < a.right &&
        a.top < b.bottom && b.top < a.bottom).map((b) => b.comfyClass);
}"""

ANCHOR = """(id) => {
    const { graph } = app.canvas;
    const input = graph.getNodeById(Number(id)).inputs.find((i) => i.name === "anchor");
    const link = input.link == null ? null : graph.getLink(input.link);
    return link && graph.getNodeById(link.origin_id).comfyClass;
}"""


def _model_and_text(page):
    model = page.add("OTCacheDemoModel", (40, 120))
    text = page.add("CLIPTextEncode", (40, 360), text="a red house")
    page.link(model, 1, text, "clip")
    auto = page.add("OTCacheAuto", (480, 120))
    page.link(model, 0, auto, "model")
    return model, text, auto


def _link(page, *links):
    """Links given as node and slot they come from, node and input they go to."""
    for link in links:
        page.link(*link)


def _stock_graph(page, **settings):
    """The demo model in KSampler, with the node between; the ids by what the nodes are."""
    model, text, auto = _model_and_text(page)
    usual = {"steps": 20, "cfg": 4.0, "scheduler": "beta", "sampler_name": "res_multistep"}
    usual["control_after_generate"] = "fixed"
    sampler = page.add("KSampler", (800, 80), **usual | settings)
    decode = page.add("VAEDecode", (800, 700))
    _link(
        page,
        (auto, 0, sampler, "model"), (text, 0, sampler, "positive"), (text, 0, sampler, "negative"),
        (model, 3, sampler, "latent_image"), (sampler, 0, decode, "samples"),
        (model, 2, decode, "vae"),
    )  # fmt: skip
    page.link(decode, 0, page.add("PreviewImage", (1120, 80)), "images")
    return {"model": model, "text": text, "auto": auto, "sampler": sampler, "decode": decode}


def _custom_graph(page, guider, **settings):
    """The demo model in SamplerCustomAdvanced behind a guider; its conditionings are not linked."""
    model, text, auto = _model_and_text(page)
    guide = page.add(guider, (800, 80), **settings)
    sampler = page.add("SamplerCustomAdvanced", (1120, 80))
    scheduler = page.add("BasicScheduler", (800, 300), scheduler="beta", steps=20)
    choice = page.add("KSamplerSelect", (800, 500), sampler_name="dpmpp_2m")
    _link(
        page,
        (auto, 0, guide, "model"), (auto, 0, scheduler, "model"), (guide, 0, sampler, "guider"),
        (choice, 0, sampler, "sampler"), (scheduler, 0, sampler, "sigmas"),
        (model, 3, sampler, "latent_image"),
    )  # fmt: skip
    return {"model": model, "text": text, "auto": auto, "guider": guide, "sampler": sampler}


def _look_at(page, node):
    """Panels that are out of view are not drawn."""
    page.js("(id) => app.canvas.centerOnNode(app.canvas.graph.getNodeById(Number(id)))", node)


def _press(page, auto):
    panel = page.wait_for_panel(auto, "result", "Calibrate")
    panel.get_by_role("button", name="Calibrate").click()


def _made(page):
    """The id of the one Calibrate node, once it is there."""
    find = f"() => app.canvas.graph.nodes.filter((n) => n.comfyClass === '{CALIBRATE}')"
    page.page.wait_for_function(f"() => ({find})().length > 0")
    (made,) = page.js(f"() => ({find})().map((n) => String(n.id))")
    return made


def _said(page, text):
    """A message that the page shows for a while, closed again."""
    messages = page.page.locator(".p-toast-message", has_text=text)
    messages.last.wait_for()
    said = messages.last.inner_text()
    page.js("() => app.extensionManager.toast.removeAll()")
    messages.first.wait_for(state="detached")
    return said


def _calibrates(page):
    return page.js(f"() => app.graph.nodes.filter((n) => n.comfyClass === '{CALIBRATE}').length")


def _queued(page):
    return page.js("() => fetch('/api/queue').then((r) => r.json())")


def test_it_is_wired_and_set_from_the_run_and_queues_nothing(page, artefacts):
    nodes = _stock_graph(page)
    _press(page, nodes["auto"])
    made = _made(page)

    said = _said(page, "Calibrate OT Anchor is added, and nothing is queued")
    assert "160 model calls for one prompt, or 500 for three" in said
    assert "Not found" not in said and "Not taken" not in said
    model, text = nodes["model"], nodes["text"]
    assert page.js(FED) == {
        "model": [model, 0], "vae": [model, 2], "positive": [text, 0], "negative": [text, 0],
        "latent_image": [model, 3],
    }  # fmt: skip
    assert page.js(ANCHOR, nodes["auto"]) == CALIBRATE
    expected = {
        "size": "quick", "steps": 50, "cfg": 4.0, "scheduler": "beta", "name": "my model",
        "sampler_name": "euler",  # whose steps a finer grid takes
    }  # fmt: skip
    assert {name: page.widget(made, name) for name in expected} == expected
    page.page.wait_for_timeout(600)
    page.screenshot(artefacts / f"calibrate_here_{page.renderer}.png")
    assert page.js(COVERED) == []
    assert _queued(page) == {"queue_running": [], "queue_pending": []}
    _look_at(page, nodes["auto"])
    page.wait_for_panel(nodes["auto"], "result", "Calibrate OT Anchor runs first")


def test_pressed_again_it_shows_the_one_that_is_there(page):
    auto = _stock_graph(page)["auto"]
    _press(page, auto)
    made = _made(page)
    selected = "() => Object.keys(app.canvas.selected_nodes)"
    page.page.wait_for_function(f"([id]) => ({selected})().join() === id", arg=[made])
    for mode in (0, 4):  # bypassed after a calibration, too
        page.js("([id, mode]) => { app.graph.getNodeById(Number(id)).mode = mode; }", [made, mode])
        page.js("() => app.canvas.deselectAll()")
        _look_at(page, auto)
        _press(page, auto)
        page.page.wait_for_function(f"([id]) => ({selected})().join() === id", arg=[made])
    assert _calibrates(page) == 1
    _look_at(page, auto)
    panel = page.wait_for_panel(auto, "result", "Next run")
    panel.filter(has_not_text="runs first").wait_for()


def test_one_undo_takes_all_of_it_back(page):
    auto = _stock_graph(page)["auto"]
    page.wait_for_panel(auto, "result", "Next run")
    page.page.wait_for_timeout(300)
    page.note_state()
    page.page.wait_for_timeout(300)
    _press(page, auto)
    _made(page)
    page.page.wait_for_timeout(600)
    page.command("Comfy.Undo")
    page.page.wait_for_function(
        f"() => !app.graph.nodes.some((n) => n.comfyClass === '{CALIBRATE}')"
    )
    assert page.js(ANCHOR, auto) is None
    assert page.js("() => app.graph.nodes.length") == 6
    page.command("Comfy.Redo")
    _made(page)
    assert page.js(ANCHOR, auto) == CALIBRATE
    assert page.js(FED).keys() == {"model", "vae", *SHARED}


@pytest.mark.parametrize(
    ("name", "calls", "expected"), [("dpmpp_2m", 0, "dpmpp_2m"), ("dpmpp_2s_ancestral", 6, "euler")]
)
def test_on_the_samplers_own_steps_it_takes_the_sampler_where_calibration_does(
    page, name, calls, expected
):
    auto = _stock_graph(page, sampler_name=name)["auto"]
    page.set_widget(auto, "grid", "as sampled")
    page.set_widget(auto, "calls", calls)
    _press(page, auto)
    made = _made(page)
    assert page.widget(made, "sampler_name") == expected
    assert page.widget(made, "anchor_budget") == (calls or 8)
    said = _said(page, "nothing is queued")
    assert ("Not taken from the run, look at: sampler_name." in said) == (expected != name)


def test_a_guider_has_the_conditionings_and_what_is_open_is_told(page):
    nodes = _custom_graph(page, "CFGGuider", cfg=3.0)
    page.link(nodes["text"], 0, nodes["guider"], "positive")
    _press(page, nodes["auto"])
    made = _made(page)
    assert "Not found, connect by hand: negative, vae." in _said(page, "nothing is queued")
    model = nodes["model"]
    assert page.js(FED) == {
        "model": [model, 0], "positive": [nodes["text"], 0], "latent_image": [model, 3],
    }  # fmt: skip
    assert (page.widget(made, "cfg"), page.widget(made, "scheduler")) == (3.0, "beta")


def test_a_guider_without_a_negative_has_the_scale_one_and_any_decoder_the_vae(page):
    nodes = _custom_graph(page, "BasicGuider")
    page.link(nodes["text"], 0, nodes["guider"], "conditioning")
    upscale = page.add("LatentUpscale", (1480, 80))
    decode = page.add("VAEDecodeTiled", (1480, 400))
    page.link(nodes["sampler"], 0, upscale, "samples")
    page.link(upscale, 0, decode, "samples")
    page.link(nodes["model"], 2, decode, "vae")
    _press(page, nodes["auto"])
    made = _made(page)
    assert "Not found" not in _said(page, "nothing is queued")
    fed = page.js(FED)
    assert fed["positive"] == fed["negative"] == [nodes["text"], 0]
    assert fed["vae"] == [nodes["model"], 2]
    assert page.widget(made, "cfg") == 1.0


def test_the_anchor_has_the_name_of_the_models_file(page):
    nodes = _stock_graph(page)
    loader = page.add("UNETLoader", (40, 1100), unet_name="flux/.my flux+dev.v2.safetensors")
    shift = page.add("ModelSamplingAuraFlow", (400, 1100))
    page.link(loader, 0, shift, "model")
    page.link(shift, 0, nodes["auto"], "model")
    _press(page, nodes["auto"])
    assert page.widget(_made(page), "name") == "my flux_dev.v2"
    assert page.js(FED)["model"] == [shift, 0]
    assert page.js(COVERED) == []


@pytest.mark.parametrize(
    ("denoise", "linked", "said"),
    [(0.5, True, "anchors are for whole runs"), (1.0, False, "connect cached_model to a sampler")],
)
def test_without_a_whole_run_nothing_is_added(page, denoise, linked, said):
    nodes = _stock_graph(page, denoise=denoise)
    if not linked:
        page.js("(id) => app.graph.getNodeById(Number(id)).disconnectOutput(0)", nodes["auto"])
    _press(page, nodes["auto"])
    _said(page, said)
    assert _calibrates(page) == 0


def test_another_anchor_is_not_pushed_out(page):
    auto = _stock_graph(page)["auto"]
    load = page.add("OTCacheLoadAnchor", (40, 700), anchor_name="preset: otcache-demo")
    page.link(load, 0, auto, "anchor")
    _press(page, auto)
    _said(page, 'anchor comes from "Load OT Anchor"')
    assert _calibrates(page) == 0
    assert page.js(ANCHOR, auto) == "OTCacheLoadAnchor"


def test_in_a_subgraph_it_is_fed_by_the_subgraphs_own_inputs(page, artefacts):
    page.open_workflow(json.dumps(BLUEPRINTS[SAMPLER]()))
    page.page.wait_for_function("() => app.graph.nodes.some((n) => n.isSubgraphNode?.())")
    page.js("() => app.canvas.setGraph(app.graph.nodes.find((n) => n.isSubgraphNode?.()).subgraph)")
    page.page.wait_for_timeout(800)
    auto = page.js(
        "() => String(app.canvas.graph.nodes.find((n) => n.comfyClass === 'OTCacheAuto').id)"
    )
    _press(page, auto)
    _made(page)
    assert "Not found, connect by hand: vae." in _said(page, "nothing is queued")
    fed = page.js(FED)
    assert fed.keys() == {"model", *SHARED}
    assert {origin for origin, _ in fed.values()} == {"-10"}
    assert page.js(ANCHOR, auto) == CALIBRATE
    page.screenshot(artefacts / f"calibrate_here_subgraph_{page.renderer}.png")
    assert page.js(COVERED) == []


INTO_SUBGRAPH = """(ids) => {
    const nodes = ids.map((id) => app.graph.getNodeById(Number(id)));
    app.graph.convertToSubgraph(new Set(nodes));
}"""


def test_what_feeds_a_sampler_in_a_subgraph_is_found_around_it(page):
    nodes = _stock_graph(page)
    page.js(INTO_SUBGRAPH, [nodes["sampler"], nodes["decode"]])
    _press(page, nodes["auto"])
    made = _made(page)
    assert "Not found" not in _said(page, "nothing is queued")
    model, text = nodes["model"], nodes["text"]
    assert page.js(FED) == {
        "model": [model, 0], "vae": [model, 2], "positive": [text, 0], "negative": [text, 0],
        "latent_image": [model, 3],
    }  # fmt: skip
    assert (page.widget(made, "cfg"), page.widget(made, "scheduler")) == (4.0, "beta")


def test_what_feeds_a_sampler_around_the_subgraph_is_told_to_be_out_of_reach(page):
    nodes = _stock_graph(page)
    page.js(INTO_SUBGRAPH, [nodes["auto"]])
    page.js("() => app.canvas.setGraph(app.graph.nodes.find((n) => n.isSubgraphNode?.()).subgraph)")
    page.page.wait_for_timeout(800)
    auto = page.js("() => String(app.canvas.graph.nodes[0].id)")
    _look_at(page, auto)
    _press(page, auto)
    _made(page)
    said = _said(page, "nothing is queued")
    assert "connect by hand: positive, negative, latent_image, vae." in said
    assert page.js(FED) == {"model": ["-10", 0]}
    assert page.js(ANCHOR, auto) == CALIBRATE


def test_it_speaks_chinese(chinese):
    nodes = _custom_graph(chinese, "BasicGuider")
    panel = chinese.wait_for_panel(nodes["auto"], "result", "校准")
    panel.get_by_role("button", name="校准").click()
    _made(chinese)
    assert "未找到，请手动连接" in _said(chinese, "未加入队列")


def test_one_queue_calibrates_and_then_samples_by_the_anchor(page, comfy):
    seed = 40 + len(page.renderer)  # each renderer's own, for ComfyUI tells nothing of kept results
    auto = _stock_graph(page, seed=seed)["auto"]
    _press(page, auto)
    made = _made(page)
    name = f"of {page.renderer}"
    # An anchor of one prompt serves up to 12 calls.
    assert "up to 12 calls" in _said(page, "nothing is queued")
    page.set_widget(auto, "calls", 11)
    small = {"name": name, "steps": 12, "reference_budget": 8, "anchor_budget": 4}
    for widget, value in small.items():
        page.set_widget(made, widget, value)
    page.run(timeout=300)
    page.wait_for_panel(made, "calibration", "Calibrated")
    _look_at(page, auto)
    panel = page.wait_for(auto, "result", f"By the anchor {name}.")
    assert "11 computed" in panel.inner_text()
    saved = comfy.base / "models" / "otcache" / f"{name}.otanchor.json"
    assert json.loads(saved.read_text(encoding="utf-8"))["sampling"]["cfg"] == 4.0

    # Bypassed, its anchor is found by itself.
    page.js("(id) => { app.graph.getNodeById(Number(id)).mode = 4; }", made)
    page.set_widget(auto, "calls", 9)
    page.run()
    panel = page.wait_for(auto, "result", "9 computed")
    assert f"By the anchor {name}." in panel.inner_text()
    saved.unlink()
