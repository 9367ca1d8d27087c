"""Builds workflows as ComfyUI saves them: nodes, links and titled columns from left to right."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from scripts.workflows.classes import CLASSES

# The oldest versions that these workflows were written for.
_VERSIONS = {"otcache": "0.1.0", "comfy-core": "0.3.75"}

_SLOT, _WIDGET, _TEXT, TITLE_HEIGHT = 20, 24, 110, 30
"""Heights in LiteGraph's pixels; `_TEXT` is that of a text of many lines."""
_GAP, _MARGIN, _COLUMN_GAP = 40, 20, 60
_GROUP_TITLE = 50
_GROUP_COLOUR, _NOTE_COLOURS = "#3f789e", {"color": "#432", "bgcolor": "#403620"}
"""Notes are darker than the front end's own: Nodes 2.0 writes grey on them. Its inline code has a
colour of its own, which cannot be read on every ground: notes have none."""


CHINESE_TITLE = "中文说明"


@dataclass(frozen=True)
class Model:
    """A file that a loader needs: its name, where to get it, and the models folder it goes to."""

    name: str
    url: str
    directory: str


@dataclass(frozen=True)
class Output:
    """An output of a node on the canvas, to link inputs to."""

    node: dict[str, Any]
    slot: int


class Canvas:
    """Collects a workflow's nodes and lays them out, column by column."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []
        self.groups: list[dict[str, Any]] = []
        self._left, self._top, self._width = 0, 0, 0
        self._folded = ""

    @contextmanager
    def column(self, title: str, width: int) -> Iterator[None]:
        """Stacks the nodes that are added inside, within one titled group."""
        self._top, self._width = _GROUP_TITLE + TITLE_HEIGHT, width
        yield
        if self._folded:
            text, self._folded = self._folded, ""
            self.add("MarkdownNote", CHINESE_TITLE, room=200, collapsed=True, text=text)
        bounding = [self._left - _MARGIN, 0, width + 2 * _MARGIN, self._top - TITLE_HEIGHT]
        group = {"id": len(self.groups) + 1, "title": title, "bounding": bounding}
        self.groups.append(group | {"color": _GROUP_COLOUR, "font_size": 24, "flags": {}})
        self._left += width + 2 * _MARGIN + _COLUMN_GAP

    def add(
        self,
        kind: str,
        title: str = "",
        *,
        room: int = 0,
        collapsed: bool = False,
        models: Sequence[Model] = (),
        **inputs: Any,
    ) -> tuple[Output, ...]:
        """Puts a node below the last one.

        Args:
            kind: One of `CLASSES`.
            title: Shown on the node; by default its class's own name.
            room: Pixels to add to its height, for pictures and texts that it shows.
            collapsed: Show its title only.
            models: Files that it loads, for the front end to offer where they are missing.
            inputs: By name, an `Output` to link to, a widget's value, or both as a pair: a widget
                keeps its value while it is linked.

        Returns:
            Its outputs, in order.
        """
        node: dict[str, Any] = {
            "id": len(self.nodes) + 1,
            "type": kind,
            "pos": [self._left, self._top],
            "size": [self._width, _height(kind) + room],
            "flags": {"collapsed": True} if collapsed else {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": [],
            "outputs": [_output(word) for word in CLASSES[kind].outputs.split()],
        }
        node |= {"title": title} if title else {}
        node["properties"] = properties(kind)
        if models:
            node["properties"]["models"] = [asdict(model) for model in models]
        node["widgets_values"] = self._connect(node, inputs)
        node |= _NOTE_COLOURS if kind == "MarkdownNote" else {}
        self._top += (0 if collapsed else node["size"][1]) + TITLE_HEIGHT + _GAP
        self.nodes.append(node)
        return tuple(Output(node, slot) for slot in range(len(node["outputs"])))

    def note(self, text: str, chinese: str, room: int) -> None:
        """Puts a note about the workflow into a column, and the same in Chinese at its end.

        Templates have one file for all languages: the Chinese note is folded, a title for whoever
        reads it.
        """
        self.add("MarkdownNote", "About this workflow", room=room, text=text)
        self._folded = chinese

    def _connect(self, node: dict[str, Any], inputs: dict[str, Any]) -> list[Any]:
        """Adds the node's sockets and links, and returns its widgets' values."""
        values: list[Any] = []
        for word in CLASSES[node["type"]].sockets.split():
            self._link(node, word, inputs.pop(word.split(":")[0], None), is_widget=False)
        for word in CLASSES[node["type"]].widgets.split():
            name, kind = word.split(":")
            value = inputs.pop(name)
            if isinstance(value, tuple):
                self._link(node, word, value[0], is_widget=True)
                value = value[1]
            values += [value, "fixed"] if kind.endswith("!") else [value]
        if inputs:
            raise ValueError(f"{node['type']} must have the input {', '.join(inputs)} but has not.")
        return values

    def _link(self, node: dict[str, Any], word: str, source: Any, *, is_widget: bool) -> None:
        name, kind = word.rstrip("!").split(":")
        socket: dict[str, Any] = {"name": name, "type": "STRING" if kind == "TEXT" else kind}
        socket |= {"widget": {"name": name}} if is_widget else {}
        socket["link"] = None
        if source is not None:
            socket["link"] = len(self.links) + 1
            origin = source.node["outputs"][source.slot]
            origin["links"].append(socket["link"])
            ends = [source.node["id"], source.slot, node["id"], len(node["inputs"])]
            self.links.append([socket["link"], *ends, origin["type"]])
        node["inputs"].append(socket)

    def workflow(self) -> dict[str, Any]:
        """The workflow as ComfyUI saves it, schema 0.4."""
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"otcache/{self.name}")),
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {"ds": {"scale": 0.6, "offset": [80, 80]}},
            "version": 0.4,
        }


def _output(word: str) -> dict[str, Any]:
    name, kind = word.split(":")
    return {"name": name, "type": kind, "links": []}


def properties(kind: str) -> dict[str, Any]:
    """What tells a class and the pack that it comes from, as saved workflows have it."""
    if kind == "MarkdownNote":  # the front end's own
        return {}
    pack = "otcache" if kind.startswith("OTCache") else "comfy-core"
    return {"Node name for S&R": kind, "cnr_id": pack, "ver": _VERSIONS[pack]}


def _height(kind: str) -> int:
    """What LiteGraph asks for at least: slots, then widgets."""
    shape = CLASSES[kind]
    slots = max(len(shape.sockets.split()), len(shape.outputs.split()))
    words = shape.widgets.split()
    texts = sum(word.endswith(":TEXT") for word in words)
    rows = len(words) - texts + sum(word.endswith("!") for word in words)
    return slots * _SLOT + rows * _WIDGET + texts * _TEXT + 16
