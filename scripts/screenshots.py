"""Takes the pictures of README and help pages from the page itself, so that they never go stale.

`python -m scripts.screenshots` starts a ComfyUI with the pack, opens it in the machine's Chromium,
lays out one node at a time and keeps its picture. It runs what needs a run on the bundled model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.host import REPOSITORY
from scripts.make_workflows import DEMO, FOLDER
from scripts.server import ComfyServer
from tests.web.page import ComfyPage, find_chromium, start_browser

README_PICTURES = REPOSITORY / "docs" / "images"
HELP_PICTURES = REPOSITORY / "web" / "docs" / "images"
MARGIN = 14
SMALL_CALIBRATION = {
    "steps": 20, "reference_budget": 10, "anchor_budget": 6, "trials": 12, "patience": 6,
    "size": "custom",
}  # fmt: skip


def _frame(page: ComfyPage, node: str) -> dict[str, float]:
    """Where a node is on the screen, its title and a margin included."""
    box: list[float] = page.js(
        """(id) => {
            const node = app.graph.getNodeById(Number(id));
            const { scale, offset } = app.canvas.ds;
            const own = app.canvas.canvas.getBoundingClientRect();
            return [own.left + (node.pos[0] + offset[0]) * scale,
                own.top + (node.pos[1] + offset[1] - 30) * scale,
                node.size[0] * scale, (node.size[1] + 30) * scale];
        }""",
        node,
    )
    left, top, width, height = box
    frame = {"x": left - MARGIN, "y": top - MARGIN}
    return frame | {"width": width + 2 * MARGIN, "height": height + 2 * MARGIN}


def _keep(page: ComfyPage, node: str, path: Path) -> None:
    page.js("() => { app.canvas.deselectAll(); app.canvas.setDirty(true, true); }")
    page.page.mouse.move(2, 2)
    page.page.wait_for_timeout(500)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.page.screenshot(path=str(path), clip=_frame(page, node))


def _open_demo(page: ComfyPage) -> Callable[[str], str]:
    """The demo template, run; returns how to find a node by its class or title."""
    workflow: dict[str, Any] = json.loads((FOLDER / f"{DEMO}.json").read_text(encoding="utf-8"))
    page.js("(workflow) => app.loadGraphData(workflow)", workflow)
    page.page.wait_for_timeout(800)
    page.run()
    page.page.wait_for_timeout(1500)

    def find(name: str) -> str:
        code = "(n) => String(app.graph.nodes.find((x) => [x.type, x.title].includes(n)).id)"
        return str(page.js(code, name))

    return find


def _show_alone(page: ComfyPage, node: str) -> None:
    """Puts a node where nothing lies over it, at its own size."""
    page.js(
        """(id) => {
            const node = app.graph.getNodeById(Number(id));
            app.canvas.ds.scale = 1;
            app.canvas.ds.offset = [320 - node.pos[0], 170 - node.pos[1]];
        }""",
        node,
    )


def _calibration(page: ComfyPage) -> str:
    model = page.add("OTCacheDemoModel", (-900, 500))
    text = "a red house\na green tree\na blue boat at night"
    prompts = page.add("OTCacheCalibrationPrompts", (-900, 120), text=text)
    encode = page.add("CLIPTextEncode", (-500, 120))
    calibrate = page.add("OTCacheCalibrateAnchor", (0, 100), **SMALL_CALIBRATION)
    page.link(model, 1, encode, "clip")
    page.link(prompts, 0, encode, "text")
    for slot, socket in ((0, "model"), (2, "vae"), (3, "latent_image")):
        page.link(model, slot, calibrate, socket)
    for socket in ("positive", "negative"):
        page.link(encode, 0, calibrate, socket)
    page.run(timeout=300)
    page.wait_for_panel(calibrate, "calibration", "Calibrated")
    return calibrate


def main() -> int:
    """Take them all."""
    if find_chromium() is None:
        print("screenshots must have a Chromium but there is none: install it.", file=sys.stderr)
        return 1
    size = {"width": 1300, "height": 1500}
    with ComfyServer(device="cpu") as server, start_browser() as browser:
        with ComfyPage.open(browser, server.address) as page:
            page.page.set_viewport_size(size)
            find = _open_demo(page)
            for kind in ("OTCacheLoadAnchor", "OTCachePredictSchedule", "OTCacheCompareImages"):
                _show_alone(page, find(kind))
                _keep(page, find(kind), HELP_PICTURES / f"{kind}.png")
            _show_alone(page, find("With a schedule"))
            _keep(page, find("With a schedule"), HELP_PICTURES / "OTCacheSampler.png")
            page.js("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
            page.page.set_viewport_size({"width": 2700, "height": 1250})
            page.page.wait_for_timeout(1000)
            page.js("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
            page.page.wait_for_timeout(1000)
            page.screenshot(README_PICTURES / "workflow.png")
        with ComfyPage.open(browser, server.address) as page:
            page.page.set_viewport_size(size)
            calibrate = _calibration(page)
            _show_alone(page, calibrate)
            _keep(page, calibrate, HELP_PICTURES / "OTCacheCalibrateAnchor.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
