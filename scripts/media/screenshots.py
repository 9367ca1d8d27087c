"""Takes the pictures of guide and help pages from the page itself, so that they never go stale.

`python -m scripts.media.screenshots` starts a ComfyUI with the pack, opens it in the machine's
Chromium,
lays out one node at a time and keeps its picture. It runs what needs a run on the bundled model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.host.find import REPOSITORY
from scripts.host.server import ComfyServer
from scripts.media.page import ComfyPage, find_chromium, start_browser
from scripts.workflows.demo import DEMO, ONE_NODE_CALLS, OWN_STEPS, PRESET, SIGMAS
from scripts.workflows.make import FOLDER

GUIDE_PICTURES = REPOSITORY / "docs" / "images"
HELP_PICTURES = REPOSITORY / "web" / "docs" / "images"
MARGIN = 14
CORNER = (250, 160)
"""Where a picture begins on the canvas: clear of the page's own bars."""
SIZE = {"width": 1800, "height": 1500}
SMALL_CALIBRATION = {
    "steps": 20, "reference_budget": 10, "anchor_budget": 6, "trials": 12, "patience": 6,
    "size": "custom",
}  # fmt: skip


# Left, right, top and bottom of several nodes, their titles and badges included.
_FRAME = """(ids) => {
    const nodes = ids.map((id) => app.graph.getNodeById(Number(id)));
    const sizes = nodes.map((n) => n.size);
    const ends = (axis) => nodes.map((n, i) => n.pos[axis] + sizes[i][axis]);
    return [Math.min(...nodes.map((n) => n.pos[0])), Math.max(...ends(0)),
        Math.min(...nodes.map((n) => n.pos[1])) - 55, Math.max(...ends(1))];
}"""


def _keep(page: ComfyPage, path: Path, *nodes: str) -> None:
    """Takes a picture of nodes that lie side by side, at their own size."""
    left, right, top, bottom = page.js(_FRAME, nodes)
    page.js(
        """([x, y]) => {
            app.canvas.ds.scale = 1;
            app.canvas.ds.offset = [x, y];
            app.canvas.deselectAll();
            app.canvas.setDirty(true, true);
        }""",
        [CORNER[0] + MARGIN - left, CORNER[1] - top],
    )
    page.page.mouse.move(2, 2)
    page.page.wait_for_timeout(500)
    x, y = page.js(
        "() => { const b = app.canvas.canvas.getBoundingClientRect(); return [b.left, b.top]; }"
    )
    clip = {"x": x + CORNER[0], "y": y + CORNER[1]}
    clip |= {"width": right - left + 2 * MARGIN, "height": bottom - top + MARGIN}
    path.parent.mkdir(parents=True, exist_ok=True)
    page.page.screenshot(path=str(path), clip=clip)


def _open_template(page: ComfyPage, name: str) -> Callable[[str], str]:
    """A template, run; returns how to find a node by its class or title."""
    workflow: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    page.js("(workflow) => app.loadGraphData(workflow)", workflow)
    page.page.wait_for_timeout(800)
    page.run()
    page.page.wait_for_timeout(1500)

    def find(name: str) -> str:
        code = "(n) => String(app.graph.nodes.find((x) => [x.type, x.title].includes(n)).id)"
        return str(page.js(code, name))

    return find


def _link(page: ComfyPage, *links: tuple[str, int, str, str]) -> None:
    for link in links:
        page.link(*link)


def _add_sampling(page: ComfyPage) -> dict[str, str]:
    """The bundled model from prompt to picture with ComfyUI's own nodes; their ids by class."""
    model = page.add("OTCacheDemoModel", (0, 0))
    prompt = page.add("CLIPTextEncode", (0, 190), text="a big red house at night")
    preview = page.add("PreviewImage", (0, 350))
    empty = page.add("CLIPTextEncode", (340, 350))
    settings = {"seed": 1, "steps": 50, "cfg": 2.5, "scheduler": "simple"}
    sampler = page.add("KSampler", (340, 0), control_after_generate="fixed", **settings)
    decode = page.add("VAEDecode", (680, 0))
    enlarge = page.add("ImageScaleBy", (680, 120), scale_by=4.0)
    for node, height in ((prompt, 90), (preview, 290)):  # one column, as help pages are narrow
        size = "([id, size]) => app.graph.getNodeById(Number(id)).setSize(size)"
        page.js(size, [node, [270, height]])
    _link(
        page,
        (model, 1, prompt, "clip"), (model, 1, empty, "clip"), (model, 0, sampler, "model"),
        (prompt, 0, sampler, "positive"), (empty, 0, sampler, "negative"),
        (model, 3, sampler, "latent_image"), (sampler, 0, decode, "samples"),
        (model, 2, decode, "vae"), (decode, 0, enlarge, "image"), (enlarge, 0, preview, "images"),
    )  # fmt: skip
    return {"model": model, "prompt": prompt, "preview": preview, "sampler": sampler}


def _show_demo_model(page: ComfyPage) -> None:
    """The bundled model and what it draws of a prompt."""
    nodes = _add_sampling(page)
    page.run()
    page.page.wait_for_timeout(1500)
    shown = (nodes["model"], nodes["prompt"], nodes["preview"])
    _keep(page, HELP_PICTURES / "OTCacheDemoModel.png", *shown)


def _show_apply(page: ComfyPage) -> None:
    """Apply OTCache between the bundled model and ComfyUI's own KSampler."""
    nodes = _add_sampling(page)
    load = page.add("OTCacheLoadAnchor", (340, 650), anchor_name=PRESET)
    predict = page.add("OTCachePredictSchedule", (680, 350))
    apply = page.add("OTCacheApply", (0, 720))
    _link(page, (load, 0, predict, "anchor"), (predict, 0, apply, "schedule"))
    _link(page, (nodes["model"], 0, apply, "model"), (apply, 0, nodes["sampler"], "model"))
    page.run()
    page.wait_for_panel(apply, "result", "10 computed, 40 skipped of 50 steps")
    _keep(page, HELP_PICTURES / "OTCacheApply.png", apply)


def _show_one_node(page: ComfyPage) -> None:
    """The node OTCache between the bundled model and ComfyUI's own KSampler."""
    nodes = _add_sampling(page)
    page.set_widget(nodes["sampler"], "steps", OWN_STEPS)
    auto = page.add("OTCacheAuto", (0, 720), calls=ONE_NODE_CALLS)
    _link(page, (nodes["model"], 0, auto, "model"), (auto, 0, nodes["sampler"], "model"))
    page.run()
    page.wait_for_panel(auto, "result", f"{ONE_NODE_CALLS} computed")
    _keep(page, HELP_PICTURES / "OTCacheAuto.png", auto)


def _show_saving(page: ComfyPage) -> None:
    """A preset saved under a name of one's own."""
    load = page.add("OTCacheLoadAnchor", (0, 0), anchor_name=PRESET)
    save = page.add("OTCacheSaveAnchor", (400, 0), filename="my own copy")
    page.link(load, 0, save, "anchor")
    page.run()
    page.wait_for_panel(save, "result", "my own copy")
    _keep(page, HELP_PICTURES / "OTCacheSaveAnchor.png", save)


def _show_editing(page: ComfyPage) -> None:
    """A predicted schedule with one step more."""
    load = page.add("OTCacheLoadAnchor", (0, 400), anchor_name=PRESET)
    predict = page.add("OTCachePredictSchedule", (0, 0))
    edit = page.add("OTCacheEditSchedule", (400, 0))
    _link(page, (load, 0, predict, "anchor"), (predict, 0, edit, "schedule"))
    box = page.wait_for(edit, "edit", "10 of 50").locator(".otcache-plot").bounding_box()
    page.page.mouse.click(box["x"] + 7.5 * box["width"] / 50, box["y"] + 20)
    page.wait_for(edit, "edit", "11 of 50 model calls")
    _keep(page, HELP_PICTURES / "OTCacheEditSchedule.png", edit)


def _show_sigmas(page: ComfyPage) -> None:
    """The template of OTCache Sigmas."""
    find = _open_template(page, SIGMAS)
    shown = (find("BasicScheduler"), find("OTCacheSigmas"))
    _keep(page, HELP_PICTURES / "OTCacheSigmas.png", *shown)


def _show_calibration(page: ComfyPage) -> None:
    """A calibration on three prompts."""
    model = page.add("OTCacheDemoModel", (-900, 500))
    text = "a red house\na green tree\na blue boat at night"
    prompts = page.add("OTCacheCalibrationPrompts", (-900, 120), text=text)
    encode = page.add("CLIPTextEncode", (-440, 120))
    calibrate = page.add("OTCacheCalibrateAnchor", (0, 100), **SMALL_CALIBRATION)
    _link(page, (model, 1, encode, "clip"), (prompts, 0, encode, "text"))
    for slot, socket in ((0, "model"), (2, "vae"), (3, "latent_image")):
        page.link(model, slot, calibrate, socket)
    for socket in ("positive", "negative"):
        page.link(encode, 0, calibrate, socket)
    page.run(timeout=300)
    page.wait_for_panel(calibrate, "calibration", "Calibrated")
    _keep(page, HELP_PICTURES / "OTCacheCalibrateAnchor.png", calibrate)
    _keep(page, HELP_PICTURES / "OTCacheCalibrationPrompts.png", prompts)


def _show_demo(page: ComfyPage) -> None:
    """The demo template: node by node, and as a whole for the guide."""
    find = _open_template(page, DEMO)
    for kind in ("OTCacheLoadAnchor", "OTCachePredictSchedule", "OTCacheCompareImages"):
        _keep(page, HELP_PICTURES / f"{kind}.png", find(kind))
    _keep(page, HELP_PICTURES / "OTCacheSampler.png", find("With a schedule"))
    page.page.set_viewport_size({"width": 2700, "height": 1250})
    for _ in range(2):  # the first one begins before the canvas has its new size
        page.command("Comfy.Canvas.FitView")
        page.page.wait_for_timeout(1000)
    page.screenshot(GUIDE_PICTURES / "workflow.png")


SCENES = (
    _show_one_node, _show_demo, _show_apply, _show_demo_model, _show_saving, _show_editing,
    _show_sigmas, _show_calibration,
)  # fmt: skip


def main() -> int:
    """Take them all."""
    if find_chromium() is None:
        print("screenshots must have a Chromium but there is none: install it.", file=sys.stderr)
        return 1
    with ComfyServer(device="cpu") as server, start_browser() as browser:
        for show in SCENES:
            with ComfyPage.open(browser, server.address) as page:
                page.page.set_viewport_size(SIZE)
                page.clear()  # ComfyUI opens with a workflow of its own
                show(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
