"""What the server tells is in the page's language: of runs, anchors and refusals."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.web, pytest.mark.slow]

PRESET = "preset: otcache-demo"
NAMES = {
    "OT", "OTCache", "ComfyUI", "LPIPS", "lpips", "alex", "SSIM", "PSNR", "dB", "rho", "cfg",
    "euler", "simple", "slope", "sigma", "KiB", "MiB", "otcache", "demo", "Flux",
}  # fmt: skip
"""Latin words that Chinese keeps."""


def _english(text):
    """The words of a text that are no names."""
    return set(re.findall(r"[A-Za-z]{2,}", text)) - NAMES


@pytest.fixture
def schedule(chinese):
    """Predict Cache Schedule behind Load OT Anchor, drawn."""
    page = chinese
    load = page.add("OTCacheLoadAnchor", (40, 560), anchor_name=PRESET)
    predict = page.add("OTCachePredictSchedule", (40, 80), steps=50)
    page.link(load, 0, predict, "anchor")
    page.wait_for(predict, "schedule", "50 步中调用模型 10 次")
    return load, predict


def test_an_anchor_is_described(page, schedule):
    panel = page.wait_for(schedule[0], "anchors", "锚点 8 次调用，参考 20 次调用")
    text = panel.locator(".otcache-text").inner_text()
    assert text.endswith("由“校准OT锚点”校准（OTCache 0.1.0）")
    assert _english(text) == set()


def test_a_prediction_that_cannot_be_made_says_why(page, schedule):
    load, predict = schedule
    page.set_widget(predict, "steps", 6)
    panel = page.wait_for(predict, "schedule", "预算不能超过步数 6，当前为 10")
    assert _english(panel.inner_text()) == set()
    page.set_widget(predict, "steps", 50)
    page.set_widget(predict, "target_lpips", 0.01)
    page.wait_for(predict, "schedule", "预算由目标 0.01 决定，")
    page.set_widget(load, "anchor_name", "preset: z-image")
    panel = page.wait_for(predict, "schedule", "目标 0.01 需要带有保真度曲线的锚点")
    assert _english(panel.inner_text()) == set()


def test_a_run_tells_what_it_did(page, schedule, artefacts):
    model = page.add("OTCacheDemoModel", (400, 600))
    text = page.add("CLIPTextEncode", (400, 800), text="a red house")
    sampler = page.add("OTCacheSampler", (400, 80), steps=20, cfg=4.0)
    # Each renderer's own, for ComfyUI tells nothing of results that it has kept.
    page.set_widget(sampler, "seed", 170 + len(page.renderer))
    decode = page.add("VAEDecode", (760, 80))
    compare = page.add("OTCacheCompareImages", (1060, 80))
    for source, slot, target, name in (
        (model, 1, text, "clip"), (model, 0, sampler, "model"), (text, 0, sampler, "positive"),
        (text, 0, sampler, "negative"), (model, 3, sampler, "latent_image"),
        (schedule[1], 0, sampler, "schedule"), (sampler, 0, decode, "samples"),
        (model, 2, decode, "vae"), (decode, 0, compare, "image"), (decode, 0, compare, "reference"),
    ):  # fmt: skip
        page.link(source, slot, target, name)
    page.run()
    panel = page.wait_for(sampler, "result", "共 20 步：计算 10 步，跳过 10 步")
    text = panel.inner_text()
    page.screenshot(artefacts / f"chinese_{page.renderer}.png")
    assert "比计算全部步快约" in text and "校准时的 cfg 为 2.5，此处为 4" in text
    assert "计划为 50 步，已按此次采样的 20 步重新适配" in text
    assert _english(text) == set()
    page.wait_for_panel(compare, "result", "越低越接近")
