"""Calibrate OT Anchor shows its search while it runs, and again after a reload."""

from __future__ import annotations

import json
import re
import urllib.request

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]


def _trial(loss, prompts=4, last=40):
    return {
        "computed_steps": [0, 3, 9, 20, last, 49],
        "loss": loss,
        "phase": "search",
        "prompts": prompts,
    }


TRIALS = [
    _trial(0.0400),
    _trial(0.0900, prompts=2),
    _trial(None),
    _trial(0.0310),
    _trial(0.2000),
    _trial(0.0280, last=42),
]
STATE = {
    "stage": {"text": "anchor search", "key": "stage_search"}, "done": 6, "total": 200,
    "steps": 50, "prompts": 4, "metric": "lpips-alex", "trials": TRIALS,
    "warm_start": 0.0350, "best": 0.0280, "best_steps": [0, 3, 9, 20, 42, 49],
    "model_calls": 1234, "calls_saved": 56,
    "seconds_left": 300.0, "finished": False, "stopped": False,
    "lines": [{"text": "searching"}],
    "plan": [{"text": "starts"}, {"text": "about 4,000 model calls for 4 prompts"}],
}  # fmt: skip


@pytest.fixture
def publish(comfy):
    """`publish(page, node, **changes)`: what a calibration queued on the page does."""

    def send(page, node, workflow=None, **changes):
        body = json.dumps([workflow or page.workflow_id(), node, STATE | changes]).encode()
        request = urllib.request.Request(comfy.address + "/publish_calibration", body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    return send


def test_a_search_is_drawn_while_it_runs(page, publish, artefacts):
    node = page.add("OTCacheCalibrateAnchor", (300, 120))
    publish(page, node)
    panel = page.wait_for_panel(node, "calibration", "anchor search: 6 of 200")
    text = panel.inner_text()

    assert "about 5 min left" in text
    assert "about 4,000 model calls for 4 prompts" in text  # what it costs
    bar = panel.get_by_role("progressbar", name="anchor search: 6 of 200")
    assert (bar.get_attribute("max"), bar.evaluate("(e) => e.value")) == ("200", 6)
    assert "best 0.0280" in text and "warm start 0.0350" in text
    assert "4 prompts, 1234 model calls, 56 saved" in text
    assert panel.locator(".otcache-computed").count() == 6
    assert panel.locator(".otcache-skipped").count() == 44
    full = panel.locator(".otcache-dots").get_attribute("d")
    assert full.count("M") == 4  # one was given up after 2 of 4 prompts, one failed
    assert panel.locator(".otcache-partial").get_attribute("d").count("M") == 1
    assert panel.locator(".otcache-failed").get_attribute("d").count("M") == 1
    page.screenshot(artefacts / f"calibration_{page.renderer}.png")

    publish(page, node, done=7, trials=[*TRIALS, _trial(0.0270)], best=0.0270, seconds_left=20.0)
    page.wait_for(node, "calibration", "anchor search: 7 of 200")
    assert "about 20 s left" in page.panel(node, "calibration").inner_text()


def test_pointing_at_a_trial_tells_about_it(page, publish):
    node = page.add("OTCacheCalibrateAnchor", (300, 120))
    publish(page, node)
    panel = page.wait_for_panel(node, "calibration", "6 tried")
    panel.locator(".otcache-trials").focus()
    page.page.keyboard.press("End")
    assert panel.locator(".otcache-step").inner_text() == (
        "6: 0.0280 on 4 prompts, steps 0 3 9 20 42 49"
    )
    for _ in range(3):
        page.page.keyboard.press("ArrowLeft")
    assert panel.locator(".otcache-step").inner_text().startswith("3: failed or given up")


def test_it_tells_its_stage_and_cost_in_chinese(chinese, publish):
    node = chinese.add("OTCacheCalibrateAnchor", (300, 120))
    cost = {"likely": "4,000", "prompts": 4, "most": "5,000", "paper": "9,000"}
    plan = [{"text": "starts", "key": "starts"}, {"text": "?", "key": "cost", "values": cost}]
    publish(chinese, node, plan=plan)
    panel = chinese.wait_for_panel(node, "calibration", "锚点搜索：第 6 个，共 200 个")
    text = panel.inner_text()
    assert "4 条提示词约需 4,000 次模型调用，最多 5,000 次（论文的方法：9,000 次）" in text
    assert set(re.findall(r"[A-Za-z]{2,}", text)) == {"lpips", "alex"}


def test_a_search_before_its_first_trial_is_drawn(page, publish):
    node = page.add("OTCacheCalibrateAnchor", (300, 120))
    early = {"trials": [], "warm_start": None, "best": None, "best_steps": []}
    publish(page, node, stage={"text": "full runs"}, done=1, total=4, seconds_left=None, **early)
    panel = page.wait_for_panel(node, "calibration", "full runs: 1 of 4")
    assert panel.locator(".otcache-computed").count() == 0


def test_after_a_cancel_no_time_is_left(page, publish):
    node = page.add("OTCacheCalibrateAnchor", (300, 120))
    publish(page, node)
    page.wait_for_panel(node, "calibration", "about 5 min left")
    publish(page, node, stopped=True, seconds_left=None)
    panel = page.wait_for(node, "calibration", "Stopped at anchor search, 6 of 200")
    assert "left" not in panel.inner_text()
    assert "starts" not in panel.inner_text()  # nor what it would have cost
    assert "queue the same workflow again and it goes on" in panel.inner_text()


def test_it_is_there_after_a_reload_in_mid_search(page, publish):
    node = page.add("OTCacheCalibrateAnchor", (300, 120))
    publish(page, node)
    page.wait_for_panel(node, "calibration", "anchor search: 6 of 200")
    page.note_state()
    page.page.wait_for_timeout(1500)  # the front end keeps its draft with a delay
    page.load()
    page.wait_for_panel(node, "calibration", "anchor search: 6 of 200")
    publish(page, node, finished=True)
    page.wait_for(node, "calibration", "Calibrated")


def test_a_search_in_another_workflow_is_not_shown(page, publish):
    other = page.workflow_id()
    page.clear()
    assert page.workflow_id() != other
    node = page.add("OTCacheCalibrateAnchor", (300, 120))
    after = str(int(node) + 1)
    publish(page, after, workflow=other)  # is there when its namesake asks
    publish(page, node, workflow=other)  # comes as an event
    with page.page.expect_response("**/otcache/calibration?*") as asked:
        assert page.add("OTCacheCalibrateAnchor", (700, 120)) == after
    assert asked.value.json() == {"state": None}
    page.page.wait_for_timeout(300)
    for names in page.js("() => app.graph.nodes.map((n) => n.widgets.map((w) => w.name))"):
        assert "estimator" in names and "otcache_calibration" not in names

    publish(page, node)
    page.wait_for_panel(node, "calibration", "anchor search: 6 of 200")


def _add_calibration(page, **settings):
    """A calibration of the bundled model on two prompts; its node's id."""
    model = page.add("OTCacheDemoModel", (40, 500))
    prompts = page.add("OTCacheCalibrationPrompts", (40, 120), text="a red house\na green tree")
    positive = page.add("CLIPTextEncode", (420, 120))
    negative = page.add("CLIPTextEncode", (420, 400))
    settings = {"steps": 12, "reference_budget": 7, "anchor_budget": 4, **settings}
    calibrate = page.add("OTCacheCalibrateAnchor", (860, 60), size="custom", **settings)
    for encoder in (positive, negative):
        page.link(model, 1, encoder, "clip")
    page.link(prompts, 0, positive, "text")
    for slot, socket in ((0, "model"), (2, "vae"), (3, "latent_image")):
        page.link(model, slot, calibrate, socket)
    page.link(positive, 0, calibrate, "positive")
    page.link(negative, 0, calibrate, "negative")
    return calibrate


def test_a_real_cancel_ends_the_time_left_and_says_what_is_kept(page, artefacts):
    # Each renderer's own, for a search that goes on has little left to cancel.
    seed = len(page.renderer)
    name = f"cancelled in {page.renderer}"
    calibrate = _add_calibration(page, name=name, trials=100_000, patience=100_000, seed=seed)
    page.js("() => app.queuePrompt(0, 1)")
    panel = page.wait_for_panel(calibrate, "calibration", "2 prompts")
    panel.filter(has_text="best 0.").filter(has_text=" left").wait_for(timeout=120_000)
    page.page.get_by_role("button", name=re.compile("cancel|interrupt", re.I)).first.click()
    panel = page.wait_for(calibrate, "calibration", "Stopped at anchor search")
    page.screenshot(artefacts / f"cancelled_{page.renderer}.png")
    text = panel.inner_text()
    assert " left" not in text
    assert "queue the same workflow again and it goes on" in text
    page.page.wait_for_timeout(1000)  # nothing that was under way comes after it
    assert page.panel(calibrate, "calibration").inner_text() == text


def test_a_real_calibration_shows_itself_and_feeds_the_schedule(page, artefacts):
    # With the second renderer it is a search that has ended before, found on disk again.
    name = f"from the {page.renderer} page"
    calibrate = _add_calibration(page, name=name, trials=6, patience=3)
    predict = page.add("OTCachePredictSchedule", (1180, 160), budget=5, steps=12)
    page.link(calibrate, 0, predict, "anchor")
    page.wait_for(predict, "schedule", "Run Calibrate OT Anchor once")
    page.run()

    panel = page.wait_for_panel(calibrate, "calibration", "Calibrated")
    assert panel.locator(".otcache-computed").count() == 4
    assert panel.locator(".otcache-dots").get_attribute("d").count("M") >= 1
    page.wait_for(predict, "schedule", "5 of 12 model calls")
    page.screenshot(artefacts / f"calibrated_{page.renderer}.png")
