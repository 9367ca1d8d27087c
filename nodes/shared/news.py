"""How a node says something on itself: at once while it runs, and as its result."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from comfy_api.latest import io

from ...otcache_core.message import document

MAX_ID = 100

HIDDEN = [io.Hidden.unique_id, io.Hidden.extra_pnginfo]
"""The hidden inputs of a node that says something: node ids alone repeat from tab to tab."""


@dataclass(frozen=True)
class NodePlace:
    """A node on the page.

    Attributes:
        workflow: The workflow's id, or empty where a run came from no page.
        node: The node's id, or ``None`` outside of a server.
    """

    workflow: str = ""
    node: str | None = None


def place_of(hidden: Any) -> NodePlace:
    """Where a node is, from its hidden inputs ``HIDDEN``."""
    if hidden is None:
        return NodePlace()
    return NodePlace(workflow_id(hidden.extra_pnginfo), hidden.unique_id)


def place_now(of: NodePlace) -> NodePlace:
    """The node's place in the workflow that is running.

    The host does not run a node again whose inputs are as they were, even for another workflow that
    has the same node: a copy in a second tab. What a node does later, while a sampler runs, belongs
    there.

    Args:
        of: Where it was when it ran.
    """
    queue = getattr(_server(), "prompt_queue", None)
    try:
        [[_, _, prompt, sent, *_]], _ = queue.get_current_queue_volatile()  # type: ignore[union-attr]
    except (AttributeError, TypeError, ValueError):
        return of  # no server, or not one that runs a single prompt
    found = workflow_id(sent.get("extra_pnginfo")) if of.node in prompt else ""
    return replace(of, workflow=found) if found else of


def workflow_id(extra_pnginfo: Any) -> str:
    """The id of the workflow that a run came from, or empty where it came from no page.

    Args:
        extra_pnginfo: What the page sent along with the run; untrusted.
    """
    workflow = extra_pnginfo.get("workflow") if isinstance(extra_pnginfo, dict) else None
    found = workflow.get("id") if isinstance(workflow, dict) else None
    return found if isinstance(found, str) and len(found) <= MAX_ID else ""


def send(event: str, news: dict[str, Any]) -> None:
    """Sends an event to the page, where there is one."""
    server = _server()
    if server is not None:
        server.send_sync(event, news)


def _server() -> Any:
    """The running server, if any."""
    # Looked up, not imported: outside of one there is nobody to tell.
    module: Any = sys.modules.get("server")
    return getattr(getattr(module, "PromptServer", None), "instance", None)


def _lines(said: str | Sequence[str]) -> list[str]:
    return [said] if isinstance(said, str) else list(said)


def show_text(
    said: str | Sequence[str], place: NodePlace, report: dict[str, Any] | None = None
) -> None:
    """Shows a text and what goes with it on a node at once; see ``web/shared/results.js``.

    Args:
        said: Lines for people; a ``Message`` is said in the page's language.
        place: The node.
        report: Plain values. The last lines are those that it has under ``notes``, if it has any.
    """
    if place.node is not None:
        lines = [document(line) for line in _lines(said)]
        news = {"workflow": place.workflow, "node": place.node, "lines": lines, "report": report}
        send("otcache.text", news)


def result(said: str | Sequence[str], place: NodePlace, *reports: dict[str, Any]) -> dict[str, Any]:
    """Shows a node's result, and returns it as the host keeps it, for the page and for scripts.

    Args:
        said: As for ``show_text``; scripts get it in English, under ``text``.
        place: The node.
        reports: Plain values; the last one is shown.
    """
    lines = _lines(said)
    show_text(lines, place, reports[-1] if reports else None)
    return {
        "text": ("\n".join(lines),),
        "otcache_lines": [document(line) for line in lines],
        "otcache_workflow": (place.workflow,),
        "otcache": list(reports),
    }
