"""Saved workflows into prompts, as ComfyUI's front end does it when one presses Run.

A saved workflow (LiteGraph's JSON, schema 0.4) lists nodes with their widgets' values by position,
and links. The server wants inputs by name: `{id: {"class_type", "inputs", "_meta"}}`, the API
format. Which position is which input, the host's `/object_info` tells.

Not covered: subgraphs, and widgets that a pack's own JavaScript puts between those of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Prompt = dict[str, dict[str, Any]]

ALWAYS, MUTED, BYPASSED = 0, 2, 4
"""Node modes of LiteGraph that matter here."""

_NOTES = {"Note", "MarkdownNote"}
# A PrimitiveNode has no value of its own at run time: it keeps the widgets it is linked to in step.
_WITHOUT_OUTPUT = _NOTES | {"PrimitiveNode"}
_VIRTUAL = _WITHOUT_OUTPUT | {"Reroute"}

_WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
_SEEDS = ("seed", "noise_seed")
_CONTROLS = ("fixed", "increment", "decrement", "randomize")
_UPLOADS = ("image_upload", "animated_image_upload", "video_upload", "audio_upload")


class WorkflowError(ValueError):
    """A workflow cannot be converted, or has not the node that is asked for."""


@dataclass(frozen=True)
class _Widget:
    """One value of a node: its input, its default and how many values follow that are not sent."""

    name: str
    default: Any
    control: bool
    trailing: int


def _widget(name: str, spec: list[Any]) -> _Widget | None:
    """Reads an input's definition; None if it is a socket only."""
    kind, options = spec[0], (spec[1] if len(spec) > 1 else {})
    combo = isinstance(kind, list) or kind == "COMBO"
    if not combo and kind not in _WIDGET_TYPES or options.get("forceInput"):
        return None
    choices = kind if isinstance(kind, list) else options.get("options") or []
    default = options.get("default", choices[0] if choices else None)
    # A seed gets its "control after generate" even where the node says nothing of it.
    control = options.get("control_after_generate", kind == "INT" and name in _SEEDS)
    trailing = 0
    if control:
        trailing = 2 if combo else 1  # a combo's control has a filter beside it
    elif any(options.get(upload) for upload in _UPLOADS):
        trailing = 1
    return _Widget(name, default, bool(control), trailing)


def _widgets(definition: Mapping[str, Any]) -> Iterator[_Widget]:
    """The widgets of a node class in the order in which their values are saved."""
    order = definition.get("input_order") or {}
    for section in ("required", "optional"):
        inputs = definition["input"].get(section) or {}
        for name in order.get(section) or inputs:
            widget = _widget(name, inputs[name])
            if widget is not None:
                yield widget


def _title(node: Mapping[str, Any], definition: Mapping[str, Any]) -> str:
    return str(node.get("title") or definition.get("display_name") or node["type"])


def _widget_values(node: Mapping[str, Any], definition: Mapping[str, Any]) -> dict[str, Any]:
    """A node's widget values by input name; defaults for those that the file is too old to have."""
    saved = node.get("widgets_values") or []
    if isinstance(saved, dict):
        return {w.name: saved.get(w.name, w.default) for w in _widgets(definition)}
    values, position = {}, 0
    for widget in _widgets(definition):
        present = position < len(saved)
        values[widget.name] = saved[position] if present else widget.default
        position += 1
        if widget.control and position < len(saved) and saved[position] not in _CONTROLS:
            raise WorkflowError(
                f"node {node['id']} ({node['type']}) must have one of {', '.join(_CONTROLS)} after "
                f"`{widget.name}` but has {saved[position]!r}: it was saved by another version of "
                "the node; save it again."
            )
        position += widget.trailing
    return values


class _Graph:
    """A saved workflow, looked up by node and link."""

    def __init__(self, workflow: Mapping[str, Any]) -> None:
        if not isinstance(workflow.get("nodes"), list):
            raise WorkflowError(
                "a saved workflow must have a list of `nodes` but has none: is this the API format?"
            )
        self.nodes = {node["id"]: node for node in workflow["nodes"]}
        self.links = {link[0]: (link[1], link[2]) for link in workflow.get("links") or []}

    def source(self, link: int) -> list[Any] | None:
        """Follows a link through reroutes and bypassed nodes to `[node id, output slot]`.

        Returns:
            None where it ends at a muted node, at one without an output, or nowhere.

        Raises:
            WorkflowError: The link or its node is missing, or the links go round in a circle.
        """
        next_link: int | None = link
        seen: set[int] = set()
        while next_link is not None:
            if next_link not in self.links or next_link in seen:
                fault = "lead somewhere" if next_link in seen else "be in `links`"
                raise WorkflowError(f"link {next_link} must {fault} but does not.")
            seen.add(next_link)
            origin, slot = self.links[next_link]
            if origin not in self.nodes:
                raise WorkflowError(f"link {next_link} must start at a node but {origin} is none.")
            node = self.nodes[origin]
            if node.get("mode") == MUTED or node["type"] in _WITHOUT_OUTPUT:
                return None
            if node["type"] != "Reroute" and node.get("mode") != BYPASSED:
                return [str(origin), slot]
            next_link = _link_through(node, slot)
        return None


def _link_through(node: Mapping[str, Any], slot: int) -> int | None:
    """The link that feeds a node's output when it is bypassed: same place, else same type."""
    inputs = node.get("inputs") or []
    if node["type"] == "Reroute":
        return inputs[0].get("link") if inputs else None
    wanted = node["outputs"][slot]["type"]
    for candidate in [*inputs[slot : slot + 1], *inputs]:
        if candidate["type"] in (wanted, "*"):
            link: int | None = candidate.get("link")
            return link
    return None


def _active(graph: _Graph) -> Iterator[dict[str, Any]]:
    """The nodes that run."""
    for node in graph.nodes.values():
        if node.get("mode", ALWAYS) not in (MUTED, BYPASSED) and node["type"] not in _VIRTUAL:
            yield node


def _check_classes(graph: _Graph, object_info: Mapping[str, Any]) -> None:
    missing = [
        f"{node['type']} (node {node['id']})"
        for node in _active(graph)
        if node["type"] not in object_info
    ]
    if missing:
        raise WorkflowError(
            "every node's class must be known to this ComfyUI but these are not: "
            f"{', '.join(missing)}. Install the packs they come from, or update them."
        )


def to_api(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> Prompt:
    """Converts a saved workflow to the API format.

    Muted and bypassed nodes are left out, as are notes and reroutes; links run through the latter.
    A linked input wins over its widget's value.

    Args:
        workflow: A saved workflow.
        object_info: What the host answers to `/object_info`.

    Raises:
        WorkflowError: A node's class is unknown to the host, or the file contradicts itself.
    """
    graph = _Graph(workflow)
    _check_classes(graph, object_info)
    prompt: Prompt = {}
    for node in _active(graph):
        definition = object_info[node["type"]]
        inputs = _widget_values(node, definition)
        for socket in node.get("inputs") or []:
            source = None if socket.get("link") is None else graph.source(socket["link"])
            if source is not None:
                inputs[socket["name"]] = source
        prompt[str(node["id"])] = {
            "class_type": node["type"],
            "inputs": inputs,
            "_meta": {"title": _title(node, definition)},
        }
    return prompt


def find_node(prompt: Prompt, *, title: str | None = None, class_type: str | None = None) -> str:
    """Returns the id of the one node with this title, of this class, or both.

    Raises:
        WorkflowError: There is none, or more than one.
    """
    found = [
        node_id
        for node_id, node in prompt.items()
        if title in (None, node.get("_meta", {}).get("title"))
        and class_type in (None, node["class_type"])
    ]
    if len(found) != 1:
        wanted = [f"title {title!r}"] if title is not None else []
        wanted += [f"class {class_type!r}"] if class_type is not None else []
        raise WorkflowError(f"one node must have {' and '.join(wanted)} but {len(found)} do.")
    return found[0]


def set_input(prompt: Prompt, node_id: str, name: str, value: Any) -> None:
    """Sets an input of a node, in place; a link that it had is gone.

    Raises:
        WorkflowError: The node has no such input, linked or not.
    """
    inputs = prompt[node_id]["inputs"]
    if name not in inputs:
        raise WorkflowError(
            f"node {node_id} ({prompt[node_id]['class_type']}) must have the input {name!r} "
            f"but has only {', '.join(inputs)}."
        )
    inputs[name] = value


def only_for(prompt: Prompt, *node_ids: str) -> Prompt:
    """Returns a copy of a prompt with these nodes and what they need, and no other output."""
    needed: set[str] = set()
    waiting = list(node_ids)
    while waiting:
        node_id = waiting.pop()
        if node_id not in needed:
            needed.add(node_id)
            values = prompt[node_id]["inputs"].values()
            waiting += [value[0] for value in values if isinstance(value, list)]
    return {node_id: deepcopy(node) for node_id, node in prompt.items() if node_id in needed}
