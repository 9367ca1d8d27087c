"""The node OTCache in a stock graph on the page: one node added, nothing else to set."""

from __future__ import annotations

import json
import uuid

import pytest

from scripts.media.page import count

pytestmark = [pytest.mark.web, pytest.mark.slow]


def _stock_graph(page, **settings):
    """The demo model in KSampler's 20 steps, with one node between; the node's id."""
    return _stock_nodes(page, **settings)[0]


def _stock_nodes(page, *, seed, cfg=2.5, **others):
    """The same; the ids of the node and the sampler."""
    model = page.add("OTCacheDemoModel", (40, 120))
    text = page.add("CLIPTextEncode", (40, 300), text="a red house")
    auto = page.add("OTCacheAuto", (420, 120))
    settings = {"seed": seed, "steps": 20, "cfg": cfg, "sampler_name": "res_multistep"} | others
    sampler = page.add("KSampler", (760, 80), control_after_generate="fixed", **settings)
    decode = page.add("VAEDecode", (760, 700))
    page.link(model, 1, text, "clip")
    page.link(model, 0, auto, "model")
    page.link(auto, 0, sampler, "model")
    page.link(model, 3, sampler, "latent_image")
    for name in ("positive", "negative"):
        page.link(text, 0, sampler, name)
    page.link(sampler, 0, decode, "samples")
    page.link(model, 2, decode, "vae")
    page.link(decode, 0, page.add("PreviewImage", (1120, 80)), "images")
    return auto, sampler


def test_it_tells_after_a_run_what_it_did_against_the_samplers_own_steps(page, artefacts):
    auto = _stock_graph(page, seed=len(page.renderer))
    page.run()
    panel = page.wait_for_panel(auto, "result", "16 computed, 166 skipped of 182 steps")
    assert "faster than your 20 steps" in panel.inner_text()
    bar = panel.locator(".otcache-run")
    assert bar.locator(".otcache-computed").count() == 16
    assert bar.locator(".otcache-skipped").count() == 166
    page.screenshot(artefacts / f"auto_{page.renderer}.png")

    page.set_widget(auto, "calls", 11)
    page.run()
    page.wait_for_panel(auto, "result", "11 computed, 180 skipped of 191 steps")


def test_it_tells_before_a_run_what_it_will_do(page):
    auto = _stock_graph(page, seed=300)
    page.wait_for_panel(
        auto, "result", "Next run: 16 model calls on 60 fine steps or more, in place of your 20."
    )
    page.set_widget(auto, "calls", 11)
    page.wait_for_panel(auto, "result", "Next run: 11 model calls on 60 fine steps")
    page.set_widget(auto, "grid", "as sampled")
    page.wait_for_panel(auto, "result", "Next run: 11 model calls on your 20 steps.")


def test_it_tells_of_the_calls_behind_a_scheduler_of_another_pace(page):
    auto = _stock_graph(page, seed=301, scheduler="beta")
    page.wait_for_panel(auto, "result", "Next run: 18 model calls on 60 fine steps")


def test_it_says_where_as_many_calls_as_steps_are_closer_and_not_faster(page):
    auto = _stock_graph(page, seed=301, scheduler="beta", sampler_name="euler")
    page.set_widget(auto, "learn", "never")
    page.wait_for_panel(auto, "result", "or more: closer than your 20, not faster.")


def test_it_tells_of_the_calls_behind_a_node_that_is_a_scheduler_of_its_own(page, custom_run):
    auto = page.add("OTCacheAuto", (420, 80))
    custom_run(auto, scheduler="BetaSamplingScheduler", sampler="euler")
    page.wait_for_panel(auto, "result", "Next run: at most 20 model calls on 60 fine steps")


def test_what_it_learned_is_told_and_forgotten_by_a_button(page):
    # At this guidance no anchor is for the bundled model.
    auto = _stock_graph(page, seed=200 + len(page.renderer), cfg=4.0)
    page.run()
    panel = page.wait_for_panel(auto, "result", "pictures")
    panel.get_by_role("button", name="Learn again").click()
    panel = page.wait_for_panel(auto, "result", "Forgotten")
    assert panel.get_by_role("button", name="Learn again").count() == 0

    page.set_widget(auto, "calls", 12)
    page.run()
    page.wait_for_panel(auto, "result", "1 of 4 pictures")


def test_pictures_that_show_a_steady_model_bring_the_default_down(page):
    auto, sampler = _stock_nodes(page, seed=0, cfg=2.0, sampler_name="euler")
    page.wait_for_panel(auto, "result", "Next run: at most 16 model calls on 60 fine steps or more")
    calls = 16
    for picture in range(1, 5):
        page.set_widget(sampler, "seed", 400 + 10 * len(page.renderer) + picture)
        page.run()
        panel = page.wait_for_panel(auto, "result", f"{picture} of 4 pictures")
        page.page.wait_for_timeout(1000)  # what comes next is asked for and told beside it
        said = panel.inner_text()
        assert f"{calls} computed" in said
        calls = count(said.partition("Next run:")[2]) if "Next run:" in said else calls
    assert calls < 16

    page.set_widget(sampler, "seed", 399)
    page.run()
    panel = page.wait_for_panel(auto, "result", f"{calls} calls do for your 20 steps")
    assert f"{calls} computed" in panel.inner_text()
    page.set_widget(auto, "calls", 8)  # a number that is asked for stays
    page.run()
    panel = page.wait_for_panel(auto, "result", "8 computed")
    page.set_widget(auto, "calls", 0)
    panel.get_by_role("button", name="Learn again").click()
    page.wait_for_panel(auto, "result", "Next run: at most 16 model calls")


def test_a_copy_of_the_workflow_shows_its_own_runs(page):
    """The host runs the node once for both: their nodes and inputs are the same."""
    seed = 500 + 10 * len(page.renderer)
    auto, sampler = _stock_nodes(page, seed=seed, cfg=3.0)
    page.set_widget(auto, "calls", 9)
    page.run()
    page.wait_for_panel(auto, "result", "9 computed")
    workflow = json.loads(page.workflow())
    page.open_workflow(json.dumps(workflow | {"id": str(uuid.uuid4())}))
    assert page.workflow_id() != workflow["id"]

    page.set_widget(sampler, "seed", seed + 1)
    page.run()
    page.wait_for_panel(auto, "result", "9 computed")


def test_another_cache_on_the_same_model_is_told_before_a_run(page):
    auto = page.add("OTCacheAuto", (420, 120))
    cache = page.add("EasyCache", (760, 300))
    page.link(auto, 0, cache, "model")
    page.wait_for_panel(auto, "result", '"EasyCache" skips steps of the same model')


def test_as_many_calls_as_steps_of_its_own_are_the_plain_sampler(page):
    auto = _stock_graph(page, seed=100 + len(page.renderer))
    page.set_widget(auto, "grid", "as sampled")
    page.set_widget(auto, "calls", 20)
    page.run()
    page.wait_for_panel(auto, "result", "Nothing to skip")
