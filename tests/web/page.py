"""Drives ComfyUI's page: adds and links nodes, drags sliders, reads panels, listens for faults."""

from __future__ import annotations

import re
import shutil
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
    """

    def __init__(self, page: Any, address: str, renderer: str) -> None:
        self.page = page
        self.address = address
        self.renderer = renderer
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
        """A fresh profile on an empty canvas.

        Raises:
            LookupError: The front end has no such renderer.
        """
        context = browser.new_context(viewport={"width": 1500, "height": 950})
        chosen = SETTINGS | {"Comfy.VueNodes.Enabled": renderer == "nodes2"} | (settings or {})
        chosen |= {"Comfy.ColorPalette": "light" if light else "dark"}
        context.request.post(f"{address}/api/settings", data=chosen)
        opened = cls(context.new_page(), address, renderer)
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
        """Errors on the page in which the pack's scripts had a part."""
        return [text for text in self._errors if "otcache" in text.lower()]

    def load(self) -> None:
        """Opens or reloads the page, and waits until nodes can be added."""
        self.page.goto(self.address)
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
        """Empties the canvas and shows it at its own size."""
        self.js(
            "() => { app.graph.clear(); app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0]; }"
        )

    def add(self, kind: str, at: tuple[int, int] = (40, 60), **values: Any) -> str:
        """Adds a node with values in its widgets; returns its id."""
        return str(
            self.js(
                """([kind, at, values]) => {
                    const node = LiteGraph.createNode(kind);
                    node.pos = at;
                    app.graph.add(node);
                    for (const [name, value] of Object.entries(values)) {
                        node.widgets.find((w) => w.name === name).value = value;
                    }
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

    def screenshot(self, path: Path) -> None:
        """Keeps a picture of the page."""
        self.page.screenshot(path=str(path))


def count(text: str) -> int:
    """The first whole number in a text."""
    found = re.search(r"\d+", text)
    assert found, text
    return int(found.group())
