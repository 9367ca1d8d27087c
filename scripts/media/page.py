"""Drives ComfyUI's page: adds and links nodes, drags sliders, reads panels, listens for faults."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RENDERERS = ("classic", "nodes2")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "microsoft-edge")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
OWN_SCRIPT = "/extensions/otcache/"
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.WarnBlueprintOverwrite": False,
    "Comfy.Queue.QPOV2": False,
}


def find_chromium() -> str | None:
    """The machine's own Chromium, or None."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


@contextmanager
def start_browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


class ComfyPage:
    """One tab with ComfyUI in it.

    Args:
        page: Playwright's page.
        address: ComfyUI's address.
        settings: The front end's settings, the renderer's among them.
    """

    def __init__(self, page: Any, address: str, settings: dict[str, Any]) -> None:
        self.page = page
        self.address = address
        self.renderer = "nodes2" if settings["Comfy.VueNodes.Enabled"] else "classic"
        self._settings = settings
        self._marks = itertools.count()
        self._errors: list[str] = []
        self._own_requests: list[str] = []

    @classmethod
    @contextmanager
    def open(
        cls,
        browser: Any,
        address: str,
        *,
        renderer: str = "classic",
        light: bool = False,
        settings: dict[str, Any] | None = None,
    ) -> Iterator[ComfyPage]:
        """A fresh profile."""
        context = browser.new_context(viewport={"width": 1500, "height": 950})
        chosen = SETTINGS | {"Comfy.VueNodes.Enabled": renderer == "nodes2"} | (settings or {})
        chosen |= {"Comfy.ColorPalette": "light" if light else "dark"}
        opened = cls(context.new_page(), address, chosen)
        opened.page.set_default_timeout(10_000)
        opened._listen()
        opened.load()
        try:
            yield opened
        finally:
            context.close()

    def _listen(self) -> None:
        self.page.on("pageerror", lambda error: self._errors.append(str(error.stack or error)))
        self.page.on(
            "console",
            lambda message: (
                self._errors.append(f"{message.text} {message.location}")
                if message.type == "error"
                else None
            ),
        )
        devtools = self.page.context.new_cdp_session(self.page)
        devtools.send("Network.enable")
        devtools.on("Network.requestWillBeSent", self._note_request)

    def _note_request(self, event: dict[str, Any]) -> None:
        # The frames of the call that sent it, through awaits.
        if OWN_SCRIPT in str(event.get("initiator")):
            self._own_requests.append(event["request"]["url"])

    def left_the_machine(self) -> list[str]:
        """Requests by the pack's scripts to anything but this ComfyUI."""
        own = urlsplit(self.address).netloc
        return [url for url in self._own_requests if urlsplit(url).netloc != own]

    def own_requests(self) -> list[str]:
        """Every request that the pack's scripts have sent."""
        return list(self._own_requests)

    def errors(self) -> list[str]:
        """Errors on the page in which the pack's scripts had a part; refused questions are none."""
        own = [text for text in self._errors if OWN_SCRIPT in text or "OTCache:" in text]
        return [text for text in own if not text.startswith("Failed to load resource")]

    def load(self) -> None:
        """Opens or reloads the page, and waits until nodes can be added."""
        # The server keeps the settings for all its pages: another one may have changed them.
        self.page.context.request.post(f"{self.address}/api/settings", data=self._settings)
        self.page.goto("about:blank")  # the same address but for its #part would load nothing
        self.page.goto(self.address, timeout=60_000)
        self.page.wait_for_function(
            "() => Boolean(window.app?.graph && LiteGraph.registered_node_types.OTCacheSampler)",
            timeout=60_000,
        )
        self.page.wait_for_timeout(800)
        self.page.keyboard.press("Escape")

    def js(self, code: str, argument: Any = None) -> Any:
        """Runs an arrow function on the page and returns what it returns."""
        return self.page.evaluate(code, argument)

    def clear(self) -> None:
        """Opens an empty workflow, shows it at its own size, and forgets what was noted."""
        self.command("Comfy.NewBlankWorkflow")
        self._errors.clear()
        self._own_requests.clear()
        self.js("() => { app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0]; }")

    def add(self, kind: str, at: tuple[int, int] = (40, 60), **values: Any) -> str:
        """Adds a node with values in its widgets; returns its id."""
        return str(
            self.js(
                """([kind, at, values]) => {
                    const node = LiteGraph.createNode(kind);
                    node.pos = at;
                    for (const [name, value] of Object.entries(values)) {
                        node.widgets.find((w) => w.name === name).value = value;
                    }
                    app.graph.add(node);
                    return node.id;
                }""",
                [kind, list(at), values],
            )
        )

    def link(self, source: str, slot: int, target: str, name: str) -> None:
        """Connects an output to an input by its name."""
        self.js(
            """([source, slot, target, name]) => {
                const to = app.graph.getNodeById(Number(target));
                const index = to.inputs.findIndex((i) => i.name === name);
                app.graph.getNodeById(Number(source)).connect(slot, to, index);
            }""",
            [source, slot, target, name],
        )

    def widget(self, node: str, name: str) -> Any:
        """A widget's value."""
        return self.js(
            "([id, name]) => app.graph.getNodeById(Number(id)).widgets"
            ".find((w) => w.name === name)?.value",
            [node, name],
        )

    def set_widget(self, node: str, name: str, value: Any) -> None:
        """Sets a widget's value."""
        self.js(
            "([id, name, value]) => { app.graph.getNodeById(Number(id)).widgets"
            ".find((w) => w.name === name).value = value; }",
            [node, name, value],
        )

    def panel(self, node: str, kind: str) -> Any:
        """The panel of a class, such as `schedule`, on a node."""
        mark = f"panel{next(self._marks)}"
        self.js(
            """([id, kind, mark]) => {
                app.canvas.graph.getNodeById(Number(id)).widgets
                    .find((w) => w.element?.classList.contains("otcache-" + kind))
                    .element.dataset.test = mark;
            }""",
            [node, kind, mark],
        )
        return self.page.locator(f'[data-test="{mark}"]')

    def wait_for(self, node: str, kind: str, text: str) -> Any:
        """The panel, once it says something."""
        from playwright.sync_api import TimeoutError as PatienceError

        panel = self.panel(node, kind)
        try:
            panel.filter(has_text=text).wait_for(timeout=10_000)
        except PatienceError:
            said = panel.evaluate("(e) => e.innerText")
            raise AssertionError(f"{kind} must say {text!r} but says {said!r}") from None
        return panel

    def wait_for_panel(self, node: str, kind: str, text: str) -> Any:
        """The same for a panel that is added late."""
        self.page.wait_for_function(
            """([id, kind]) => app.canvas.graph.getNodeById(Number(id)).widgets
                ?.some((w) => w.element?.classList.contains("otcache-" + kind))""",
            arg=[node, kind],
        )
        return self.wait_for(node, kind, text)

    def drag_slider(self, node: str, name: str, share: float) -> None:
        """Drags a slider with the mouse to a share of its width."""
        if self.renderer == "classic":
            left, top, width = self.js(
                """([id, name]) => {
                    const node = app.canvas.graph.getNodeById(Number(id));
                    const widget = node.widgets.find((w) => w.name === name);
                    const {scale, offset} = app.canvas.ds;
                    const box = app.canvas.canvas.getBoundingClientRect();
                    return [box.left + (node.pos[0] + 15 + offset[0]) * scale,
                        box.top + (node.pos[1] + widget.y + 10 + offset[1]) * scale,
                        (node.size[0] - 30) * scale];
                }""",
                [node, name],
            )
            begin = left + 5
        else:
            index = self.js(
                "([id, name]) => app.canvas.graph.getNodeById(Number(id)).widgets"
                ".findIndex((w) => w.name === name)",
                [node, name],
            )
            thumb = self.page.locator(f'[data-node-id="{node}"] [data-slot="slider-thumb"]')
            track = self.page.locator(f'[data-node-id="{node}"] [data-slot="slider-track"]')
            box, handle = track.nth(index).bounding_box(), thumb.nth(index).bounding_box()
            left, top, width = box["x"], handle["y"] + handle["height"] / 2, box["width"]
            begin = handle["x"] + handle["width"] / 2
        self.page.mouse.move(begin, top)
        self.page.mouse.down()
        for part in (0.3, 0.7, 1.0):
            self.page.mouse.move(begin + (left + share * width - begin) * part, top)
        self.page.mouse.up()

    def drag_corner(self, node: str, right: int, down: int) -> None:
        """Drags the lower right corner of a node, where both renderers have their handle."""
        x, y = self.js(
            """(id) => {
                const node = app.graph.getNodeById(Number(id));
                const own = app.canvas.canvas.getBoundingClientRect();
                return [own.left + node.pos[0] + node.size[0],
                    own.top + node.pos[1] + node.size[1]];
            }""",
            node,
        )
        if self.renderer == "nodes2":
            outer = self.page.locator(f'[data-node-id="{node}"]').bounding_box()
            x, y = outer["x"] + outer["width"], outer["y"] + outer["height"]
        self.page.mouse.move(x - 3, y - 3)
        self.page.mouse.down()
        for part in (0.4, 1.0):
            self.page.mouse.move(x + part * right, y + part * down, steps=4)
        self.page.mouse.up()

    def workflow(self) -> str:
        """The open workflow as its file would be."""
        return str(self.js("() => JSON.stringify(app.graph.serialize())"))

    def open_workflow(self, text: str) -> None:
        """Opens a workflow's file."""
        self.js("(text) => app.loadGraphData(JSON.parse(text))", text)

    def workflow_id(self) -> str:
        """The open workflow's id, which goes with everything that is queued."""
        return str(self.js("() => app.graphToPrompt().then((p) => p.workflow.id)"))

    def command(self, name: str) -> None:
        """Runs one of the front end's commands by its id."""
        self.js("(name) => app.extensionManager.command.execute(name)", name)

    def note_state(self) -> None:
        """Has the front end note the state that undo returns to, as it does after each action."""
        self.js("() => app.extensionManager.workflow.activeWorkflow.changeTracker.checkState()")
        self.page.wait_for_timeout(150)  # newer front ends fold what changes within 50 ms into it

    def select(self, *nodes: str) -> None:
        """Selects nodes."""
        self.js(
            "(ids) => { const g = app.canvas.graph; app.canvas.deselectAll();"
            " app.canvas.selectItems(ids.map((id) => g.getNodeById(Number(id)))); }",
            list(nodes),
        )

    def run(self, timeout: float = 120.0) -> None:
        """Queues the workflow as the Run button does, and waits until the queue is empty."""
        self.js("() => app.queuePrompt(0, 1)")
        asked = "() => fetch('/api/queue').then((answer) => answer.json())"
        end = time.monotonic() + timeout
        while any(self.js(asked).values()):
            assert time.monotonic() < end, "the queue must become empty"
            self.page.wait_for_timeout(250)

    def screenshot(self, path: Path) -> None:
        """Keeps a picture of the page."""
        self.page.screenshot(path=str(path))


def count(text: str) -> int:
    """The first whole number in a text."""
    found = re.search(r"\d+", text)
    assert found, text
    return int(found.group())
