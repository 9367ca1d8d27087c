"""What nodes show after a run: samplers their steps, Compare Images its pictures."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]


def _sampling(page, *, budget, steps=20, sampler="euler"):
    """The demo model sampled by a schedule; returns the sampler's and the decoder's ids."""
    model = page.add("OTCacheDemoModel", (40, 120))
    text = page.add("CLIPTextEncode", (40, 300), text="a red house")
    load = page.add("OTCacheLoadAnchor", (420, 80), anchor_name="preset: otcache-demo")
    predict = page.add("OTCachePredictSchedule", (420, 320), budget=budget, steps=steps)
    # A seed of its own for each renderer: ComfyUI tells nothing of results that it has kept.
    settings = {"seed": len(page.renderer), "steps": steps, "cfg": 2.5, "sampler_name": sampler}
    settings["control_after_generate"] = "fixed"
    sampler = page.add("OTCacheSampler", (760, 80), **settings)
    decode = page.add("VAEDecode", (760, 700))
    page.link(model, 1, text, "clip")
    page.link(load, 0, predict, "anchor")
    page.link(predict, 0, sampler, "schedule")
    page.link(model, 0, sampler, "model")
    page.link(model, 3, sampler, "latent_image")
    for name in ("positive", "negative"):
        page.link(text, 0, sampler, name)
    page.link(sampler, 0, decode, "samples")
    page.link(model, 2, decode, "vae")
    return model, sampler, decode


def _finish(page, source):
    page.link(source, 0, page.add("PreviewImage", (1120, 80)), "images")
    page.run()


def test_a_sampler_shows_what_it_computed_and_saved(page, artefacts):
    _, sampler, decode = _sampling(page, budget=8)
    _finish(page, decode)
    panel = page.wait_for_panel(sampler, "result", "8 computed, 12 skipped of 20 steps")

    assert "x faster than all steps" in panel.inner_text() and "cache" in panel.inner_text()
    bar = panel.locator(".otcache-run")
    assert bar.get_attribute("aria-label") == "8 steps computed, 12 skipped"
    assert bar.locator(".otcache-computed").count() == 8  # each where it was
    assert bar.locator(".otcache-skipped").count() == 12
    assert panel.locator(".otcache-note").inner_text() == ""
    page.screenshot(artefacts / f"sampler_{page.renderer}.png")


def test_after_a_reload_a_result_that_comfyui_has_kept_is_said_to_be_kept(page):
    _, sampler, decode = _sampling(page, budget=12)
    _finish(page, decode)
    page.wait_for_panel(sampler, "result", "12 computed, 8 skipped")
    saved = page.workflow()
    page.load()
    page.open_workflow(saved)
    page.wait_for(sampler, "result", "Not run yet.")
    page.run()
    page.wait_for(sampler, "result", "ComfyUI has kept the result of an earlier run")


def test_a_result_is_there_after_undo_and_after_another_tab(page):
    model, sampler, decode = _sampling(page, budget=13)
    compare = page.add("OTCacheCompareImages", (1120, 400))
    page.link(decode, 0, compare, "image")
    page.link(decode, 0, compare, "reference")
    _finish(page, decode)
    said = "13 computed, 7 skipped of 20 steps"
    page.wait_for_panel(sampler, "result", said)
    page.note_state()
    page.set_widget(model, "batch_size", 2)
    page.note_state()
    page.command("Comfy.Undo")
    page.wait_for_panel(sampler, "result", said)
    page.command("Workspace.PreviousOpenedWorkflow")
    page.page.wait_for_timeout(600)
    page.command("Workspace.NextOpenedWorkflow")
    page.wait_for_panel(sampler, "result", said)
    page.wait_for_panel(compare, "result", "LPIPS 0.0000")
    page.wait_for_panel(compare, "compare", "reference")


def test_a_result_is_not_shown_in_another_workflow(page):
    _, sampler, decode = _sampling(page, budget=14)
    page.link(decode, 0, page.add("PreviewImage", (1120, 80)), "images")
    page.js("() => app.queuePrompt(0, 1)")
    page.command("Comfy.NewBlankWorkflow")
    # The same ids, of the same kinds, in another workflow.
    _, namesake, _ = _sampling(page, budget=14)
    assert namesake == sampler
    page.page.wait_for_function(
        "() => fetch('/api/queue').then((r) => r.json())"
        ".then((q) => !q.queue_running.length && !q.queue_pending.length)"
    )
    page.page.wait_for_timeout(500)
    assert "Not run yet." in page.panel(namesake, "result").inner_text()
    page.command("Workspace.PreviousOpenedWorkflow")
    page.wait_for_panel(sampler, "result", "14 computed, 6 skipped of 20 steps")


def test_a_note_goes_with_the_settings_that_it_is_of(page):
    _, sampler, decode = _sampling(page, budget=19, steps=19)
    _finish(page, decode)
    panel = page.wait_for_panel(sampler, "result", "computed, 0 skipped")
    assert panel.locator(".otcache-note").inner_text() != ""
    page.set_widget(sampler, "sampler_name", "heun")
    panel = page.wait_for(sampler, "result", "heun calls the model 2 times")
    assert panel.locator(".otcache-note").inner_text() == ""


def test_a_run_that_cannot_gain_says_so_apart(page):
    _, sampler, decode = _sampling(page, budget=20)
    _finish(page, decode)
    panel = page.wait_for_panel(sampler, "result", "20 computed, 0 skipped")
    assert "Nothing to skip" in panel.locator(".otcache-note").inner_text()
    assert panel.inner_text().count("Nothing to skip") == 1


def test_a_sampler_that_calls_the_model_more_often_says_so(page):
    _, sampler, decode = _sampling(page, budget=8, sampler="heun")
    _finish(page, decode)
    panel = page.wait_for_panel(sampler, "result", "This sampler calls the model")
    assert "times at each computed step" in panel.locator(".otcache-note").inner_text()


def test_apply_shows_the_same_once_its_model_was_sampled(page):
    _, sampler, decode = _sampling(page, budget=9)
    apply = page.add("OTCacheApply", (420, 640))
    page.js(
        """([apply, sampler]) => {
            const node = (id) => app.graph.getNodeById(Number(id));
            const input = (n, name) => n.inputs.findIndex((i) => i.name === name);
            const from = (n, name) => {
                const link = n.graph.getLink(n.inputs[input(n, name)].link);
                return [app.graph.getNodeById(link.origin_id), link.origin_slot];
            };
            const [a, s] = [node(apply), node(sampler)];
            for (const name of ["model", "schedule"]) {
                const [origin, slot] = from(s, name);
                origin.connect(slot, a, input(a, name));
                s.disconnectInput(input(s, name));
            }
            a.connect(0, s, input(s, "model"));
        }""",
        [apply, sampler],
    )
    _finish(page, decode)
    panel = page.wait_for_panel(apply, "result", "9 computed, 11 skipped of 20 steps")
    assert panel.locator(".otcache-computed").count() == 9


def test_bypassing_the_schedule_alone_leaves_plain_sampling(page, comfy):
    model, sampler, decode = _sampling(page, budget=8)
    predict = page.js(
        "() => String(app.graph.nodes.find((n) => n.comfyClass === 'OTCachePredictSchedule').id)"
    )
    apply = page.add("OTCacheApply", (420, 840))
    # Each renderer's own, for ComfyUI tells nothing of results that it has kept.
    levels = page.add("BasicScheduler", (760, 1000), steps=20 + len(page.renderer))
    sigmas = page.add("OTCacheSigmas", (1120, 640))
    page.link(model, 0, apply, "model")
    page.link(predict, 0, apply, "schedule")
    page.link(apply, 0, levels, "model")
    page.link(levels, 0, sigmas, "sigmas")
    page.link(predict, 0, sigmas, "schedule")
    custom = page.add("SamplerCustom", (1480, 80), noise_seed=3, cfg=1.0)
    text = page.js("() => String(app.graph.nodes.find((n) => n.type === 'CLIPTextEncode').id)")
    select = page.add("KSamplerSelect", (1480, 500))
    for source, slot, name in (
        (apply, 0, "model"), (text, 0, "positive"), (text, 0, "negative"), (select, 0, "sampler"),
        (sigmas, 0, "sigmas"), (model, 3, "latent_image"),
    ):  # fmt: skip
        page.link(source, slot, custom, name)
    second = page.add("VAEDecode", (1480, 700))
    page.link(custom, 0, second, "samples")
    page.link(model, 2, second, "vae")
    page.link(second, 0, page.add("PreviewImage", (1480, 800)), "images")
    page.js("(id) => { app.graph.getNodeById(Number(id)).mode = 4; }", predict)
    _finish(page, decode)
    (entry,) = comfy.get_json("/history?max_items=1").values()
    assert entry["status"]["status_str"] == "success"
    page.wait_for_panel(sampler, "result", "20 computed, 0 skipped of 20 steps")
    page.wait_for_panel(sigmas, "result", "all levels kept")


def test_compare_images_lays_one_over_the_other(page, artefacts):
    model, _, decode = _sampling(page, budget=8)
    compare = page.add("OTCacheCompareImages", (1120, 80))
    invert = page.add("ImageInvert", (760, 820))
    page.link(decode, 0, invert, "image")
    page.link(decode, 0, compare, "image")
    page.link(invert, 0, compare, "reference")
    page.run()
    panel = page.wait_for_panel(compare, "compare", "reference")
    assert "LPIPS 0." in page.panel(compare, "result").inner_text()
    for image in panel.locator("img").all():
        image.evaluate("(e) => e.decode()")
        assert image.evaluate("(e) => e.naturalWidth") == 64

    slider = panel.get_by_role("slider")
    slider.focus()
    page.page.keyboard.press("Home")
    border = "(e) => e.style.getPropertyValue('--border')"
    assert panel.locator(".otcache-after").evaluate(border) == "0%"
    page.page.wait_for_timeout(300)  # until the panel has its place below the text
    box = panel.locator(".otcache-pair").bounding_box()
    page.page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20)
    assert panel.locator(".otcache-after").evaluate(border) in ("74%", "75%", "76%")
    page.screenshot(artefacts / f"compare_{page.renderer}.png")
