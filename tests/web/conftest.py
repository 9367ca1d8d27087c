"""ComfyUI's real page in a real Chromium, with the pack, in both of its renderers.

`OTCACHE_FRONT_END` may name the folder of another front end's static files to test with.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.host.find import REPOSITORY
from scripts.host.server import ComfyServer
from scripts.media.page import RENDERERS, ComfyPage, find_chromium, start_browser

ARTEFACTS = "web_output"

# Beside the pack, in the server's process: publishes a calibration's state as the pack itself does.
PUBLISHER = """
import sys

from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}


@PromptServer.instance.routes.post("/publish_calibration")
async def publish(request):
    names = [n for n in sys.modules if n.endswith("nodes.calibration.state")]
    state = sys.modules[names[0]]
    workflow, node, values = await request.json()
    state.publish(state.NodePlace(workflow, node), values)
    return web.json_response({})
"""

CONTRAST = """() => {
    const paint = (colour) => {
        const canvas = new OffscreenCanvas(1, 1).getContext("2d");
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const linear = (byte) => {
        const c = byte / 255;
        return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    };
    const light = (colour) => {
        const [r, g, b] = paint(colour).map(linear);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    window.contrastOf = (colour, other) => {
        const [a, b] = [light(colour), light(other)];
        return Math.max(a, b) / Math.min(a, b);
    };
}"""


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A ComfyUI with the pack, in a process of its own."""
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine: install it, as .ci/run does")
    front_end = os.environ.get("OTCACHE_FRONT_END")
    extra = ["--disable-api-nodes", *(["--front-end-root", front_end] if front_end else [])]
    base = tmp_path_factory.mktemp("face")
    (base / "custom_nodes" / "publisher").mkdir(parents=True)
    (base / "custom_nodes" / "publisher" / "__init__.py").write_text(PUBLISHER, encoding="utf-8")
    with ComfyServer(base, device="cpu", extra_arguments=extra) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, started once."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine: install it, as .ci/run does")
    with start_browser() as started:
        yield started


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots are kept."""
    folder = REPOSITORY / ARTEFACTS
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", params=RENDERERS)
def tab(request: pytest.FixtureRequest, browser: Any, comfy: ComfyServer) -> Iterator[ComfyPage]:
    """One tab for all tests with a renderer: opening ComfyUI takes seconds."""
    with ComfyPage.open(browser, comfy.address, renderer=request.param) as opened:
        yield opened


@pytest.fixture
def page(tab: ComfyPage) -> Iterator[ComfyPage]:
    """An empty canvas; afterwards, nothing of ours may have left the machine or failed."""
    tab.clear()
    yield tab
    assert tab.left_the_machine() == []
    assert tab.errors() == []


@pytest.fixture
def planned(page: ComfyPage) -> tuple[str, str]:
    """Load OT Anchor with the bundled anchor into Predict Cache Schedule, drawn."""
    load = page.add("OTCacheLoadAnchor", (180, 500), anchor_name="preset: otcache-demo")
    predict = page.add("OTCachePredictSchedule", (180, 80), steps=50)
    page.link(load, 0, predict, "anchor")
    page.wait_for(predict, "schedule", "10 of 50 model calls")
    return load, predict


@pytest.fixture
def custom_run(page: ComfyPage) -> Callable[..., list[str]]:
    """`custom_run(node, scheduler=..., sampler=...)`: a node's model in SamplerCustomAdvanced.

    The levels are of 20 steps. Returns guider, levels, sampler's choice and sampler.
    """

    def build(node: str, *, scheduler: str, sampler: str) -> list[str]:
        guider = page.add("BasicGuider", (860, 80))
        levels = page.add(scheduler, (860, 240), steps=20)
        select = page.add("KSamplerSelect", (860, 440), sampler_name=sampler)
        run = page.add("SamplerCustomAdvanced", (1180, 80))
        page.link(node, 0, guider, "model")
        for source, name in ((guider, "guider"), (levels, "sigmas"), (select, "sampler")):
            page.link(source, 0, run, name)
        return [guider, levels, select, run]

    return build


@pytest.fixture(params=["dark", "light"])
def theme(request: pytest.FixtureRequest, page: ComfyPage) -> Iterator[str]:
    """Each of the page's themes, over what the fixtures named before it have drawn."""
    use = "(theme) => app.extensionManager.setting.set('Comfy.ColorPalette', theme)"
    page.js(use, request.param)
    page.page.wait_for_timeout(500)
    yield request.param
    page.js(use, "dark")


@pytest.fixture
def contrast(page: ComfyPage) -> None:
    """Scripts in the page have `contrastOf(colour, other)`, as WCAG defines it for CSS colours."""
    page.js(CONTRAST)


@pytest.fixture
def chinese(page: ComfyPage) -> Iterator[ComfyPage]:
    """The page in Chinese, and in English again afterwards."""
    use = "(language) => app.extensionManager.setting.set('Comfy.Locale', language)"
    page.js(use, "zh")
    page.page.wait_for_timeout(2500)  # front ends since 1.49 open the workflow anew in a moment
    yield page
    page.js(use, "en")
    page.page.wait_for_timeout(500)


@pytest.fixture
def anchor_text() -> str:
    """The bundled anchor, with a fidelity curve."""
    text = (REPOSITORY / "presets" / "otcache-demo.otanchor.json").read_text(encoding="utf-8")
    document = json.loads(text)
    document["fidelity"] = [
        {"budget": 8, "mean": 0.02, "spread": 0.01},
        {"budget": 32, "mean": 0.005, "spread": 0.002},
    ]
    return json.dumps(document)


@pytest.fixture
def install_anchor(comfy: ComfyServer, anchor_text: str) -> Iterator[Callable[[str], Path]]:
    """`install_anchor(name)`: puts an anchor file where Load OT Anchor finds it."""
    folder = comfy.base / "models" / "otcache"
    folder.mkdir(parents=True, exist_ok=True)

    def install(name: str) -> Path:
        path = folder / f"{name}.otanchor.json"
        path.write_text(anchor_text, encoding="utf-8")
        return path

    yield install
    shutil.rmtree(folder)
    folder.mkdir()
