"""OTCache Sampler and Apply OTCache say where caching cannot pay, before anything is queued."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]


@pytest.fixture
def schedule(planned):
    """Predict Cache Schedule with 10 of 50 steps, drawn."""
    return planned[1]


@pytest.fixture
def sampler(page, schedule):
    """OTCache Sampler with that schedule."""
    node = page.add("OTCacheSampler", (760, 80))
    page.link(schedule, 0, node, "schedule")
    return node


def _no_advice(page, node, where="result"):
    panel = page.panel(node, where).locator(".otcache-advice")
    panel.and_(page.page.locator(":empty")).wait_for(state="attached")


def _queued(page):
    return page.js("() => fetch('/api/queue').then((r) => r.json())")


def test_a_run_that_can_gain_has_no_advice(page, sampler):
    page.wait_for(sampler, "result", "Not run yet.")
    _no_advice(page, sampler)


@pytest.mark.parametrize(
    ("widget", "value", "advice"),
    [
        ("steps", 8, "Caching is off below 10 steps, and this run has 8"),
        ("steps", 12, "Below about 15 steps there is little to skip."),
        ("steps", 30, "The schedule is for 50 steps, the sampler has 30"),
        ("sampler_name", "dpm_adaptive", "dpm_adaptive chooses its own steps"),
        ("sampler_name", "euler_cfg_pp", "euler_cfg_pp (CFG++) needs the model at each step"),
        ("sampler_name", "euler_ancestral", "euler_ancestral adds noise between steps"),
        ("sampler_name", "heun", "heun calls the model 2 times at each computed step"),
    ],
)
def test_the_sampler_says_so_as_soon_as_its_widgets_do(
    page, sampler, widget, value, advice, artefacts
):
    before = page.widget(sampler, widget)
    page.set_widget(sampler, widget, value)
    panel = page.wait_for(sampler, "result", advice)
    page.screenshot(artefacts / f"advice_{widget}_{value}_{page.renderer}.png")
    assert panel.is_visible()
    page.set_widget(sampler, widget, before)
    _no_advice(page, sampler)
    assert _queued(page) == {"queue_running": [], "queue_pending": []}


def test_its_words_fit_on_the_node(page, sampler):
    page.set_widget(sampler, "sampler_name", "heun")
    page.set_widget(sampler, "steps", 12)
    panel = page.wait_for(sampler, "result", "heun")
    page.page.wait_for_timeout(300)
    assert panel.locator(".otcache-advice").inner_text().count("\n") == 2
    assert panel.evaluate("(e) => e.scrollHeight - e.clientHeight") <= 1


def test_chinese_is_given_the_room_that_it_takes(page):
    lines = page.js(
        """async () => {
            const { linesOf } = await import("/extensions/otcache/shared/panel.js");
            const node = { size: [270, 100] };
            return ["a".repeat(90), "\\u5b57".repeat(45)].map((text) => linesOf(text, node));
        }"""
    )
    assert lines == [2, 2]


def test_it_follows_the_schedule_upstream(page, schedule, sampler):
    page.set_widget(schedule, "budget", 50)
    page.wait_for(sampler, "result", "All 50 steps run the model: nothing is saved")
    page.set_widget(schedule, "steps", 100)
    panel = page.wait_for(sampler, "result", "The schedule is for 100 steps, the sampler has 50")
    assert "All 50 steps run the model" in panel.inner_text()
    page.set_widget(schedule, "budget", 10)
    page.set_widget(schedule, "steps", 50)
    _no_advice(page, sampler)


def test_without_a_schedule_there_is_none(page):
    sampler = page.add("OTCacheSampler", (760, 80), steps=4)
    page.wait_for(sampler, "result", "Not run yet.")
    page.page.wait_for_timeout(300)
    _no_advice(page, sampler)
    assert not any(url.endswith("/otcache/advice") for url in page.own_requests())


def test_a_run_tells_the_outcome_in_place_of_the_advice(page, schedule, sampler):
    model = page.add("OTCacheDemoModel", (180, 700))
    text = page.add("CLIPTextEncode", (480, 700), text="a red house")
    preview = page.add("PreviewImage", (1120, 80))
    decode = page.add("VAEDecode", (760, 760))
    for source, slot, target, name in (
        (model, 1, text, "clip"), (model, 0, sampler, "model"), (text, 0, sampler, "positive"),
        (text, 0, sampler, "negative"), (model, 3, sampler, "latent_image"),
        (sampler, 0, decode, "samples"), (model, 2, decode, "vae"), (decode, 0, preview, "images"),
    ):  # fmt: skip
        page.link(source, slot, target, name)
    page.set_widget(sampler, "steps", 8)
    # Each renderer's own, for ComfyUI tells nothing of results that it has kept.
    page.set_widget(sampler, "seed", 70 + len(page.renderer))
    page.wait_for(sampler, "result", "Caching is off below 10 steps")
    page.run()
    panel = page.wait_for(sampler, "result", "8 computed, 0 skipped of 8 steps")
    assert "this run has 8 steps" in panel.locator(".otcache-note").inner_text()
    _no_advice(page, sampler)
    page.set_widget(sampler, "steps", 9)
    page.wait_for(sampler, "result", "and this run has 9")


@pytest.fixture
def apply(page, schedule):
    """Apply OTCache with that schedule."""
    node = page.add("OTCacheApply", (560, 80))
    page.link(schedule, 0, node, "schedule")
    return node


def test_apply_advises_on_the_sampler_behind_it(page, apply, artefacts):
    lora = page.add("LoraLoaderModelOnly", (560, 300))
    sampler = page.add("KSampler", (860, 80), steps=8)
    page.link(apply, 0, lora, "model")
    page.link(lora, 0, sampler, "model")
    page.wait_for_panel(apply, "result", "Caching is off below 10 steps, and this run has 8")
    page.screenshot(artefacts / f"advice_apply_{page.renderer}.png")
    page.set_widget(sampler, "steps", 50)
    page.set_widget(sampler, "sampler_name", "dpm_adaptive")
    page.wait_for(apply, "result", "dpm_adaptive chooses its own steps")
    page.set_widget(sampler, "sampler_name", "euler")
    _no_advice(page, apply)


@pytest.mark.parametrize("before", [True, False])
def test_another_cache_on_the_same_model_is_said(page, apply, before):
    cache = page.add("EasyCache", (560, 300))
    sampler = page.add("KSampler", (860, 80), steps=50)
    page.link(cache if before else apply, 0, apply if before else cache, "model")
    page.link(apply if before else cache, 0, sampler, "model")
    page.wait_for_panel(apply, "result", '"EasyCache" skips steps of the same model')
    page.js("(id) => { app.graph.getNodeById(Number(id)).mode = 4; }", cache)
    _no_advice(page, apply)


def test_apply_looks_through_guiders_schedulers_and_subgraphs(page, apply, custom_run):
    nodes = custom_run(apply, scheduler="BasicScheduler", sampler="heun")
    panel = page.wait_for_panel(apply, "result", "The schedule is for 50 steps, the sampler has 20")
    assert "heun calls the model 2 times" in panel.inner_text()

    page.select(*nodes)
    page.command("Comfy.Graph.ConvertToSubgraph")
    holder = "() => app.graph.nodes.find((n) => n.subgraph)"
    page.js(f"""() => ({holder})().subgraph.nodes.find((n) => n.type === "BasicScheduler")
        .widgets.find((w) => w.name === "steps").value = 9""")
    page.wait_for(apply, "result", "Caching is off below 10 steps, and this run has 9")


def test_apply_leaves_to_a_later_node_what_that_one_schedules(page, schedule, apply):
    sampler = page.add("OTCacheSampler", (860, 80), steps=8)
    page.link(apply, 0, sampler, "model")
    page.wait_for_panel(apply, "result", "Caching is off below 10 steps")
    page.link(schedule, 0, sampler, "schedule")
    page.wait_for(sampler, "result", "Caching is off below 10 steps")
    _no_advice(page, apply)


def test_the_ends_of_half_runs_say_nothing_of_their_length(page, apply):
    sampler = page.add("KSamplerAdvanced", (860, 80), steps=50, end_at_step=6)
    page.link(apply, 0, sampler, "model")
    page.page.wait_for_timeout(300)
    names = page.js("(id) => app.graph.getNodeById(Number(id)).widgets?.length ?? 0", apply)
    assert names == 0
    page.set_widget(sampler, "end_at_step", 10_000)
    page.set_widget(sampler, "steps", 8)
    page.wait_for_panel(apply, "result", "Caching is off below 10 steps")
