"""Where calibrations stand: sent to the page as it happens, kept for a page that comes later."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

EVENT = "otcache.calibration"
MAX_KEPT = 16
MAX_ID = 100

Place = tuple[str, str]
"""A workflow's id and a node's: node ids alone repeat from workflow to workflow."""

_latest: OrderedDict[Place, dict[str, Any]] = OrderedDict()


def workflow_id(extra_pnginfo: Any) -> str:
    """The id of the workflow that a run came from, or empty where it came from no page.

    Args:
        extra_pnginfo: What the page sent along with the run; untrusted.
    """
    workflow = extra_pnginfo.get("workflow") if isinstance(extra_pnginfo, dict) else None
    found = workflow.get("id") if isinstance(workflow, dict) else None
    return found if isinstance(found, str) and len(found) <= MAX_ID else ""


def publish(workflow: str, node_id: str | None, state: dict[str, Any]) -> None:
    """Sends one calibration's state to the page and keeps it as the node's latest.

    Args:
        workflow: The id of its workflow, or empty.
        node_id: The Calibrate node.
        state: Plain JSON values:

            - ``stage``, ``done``, ``total``: the stage's name, its units done and in all;
            - ``steps``: T; ``prompts``: prompts in all; ``metric``: name of the loss;
            - ``trials``: finished candidates in order, each ``{"computed_steps", "loss" (null
              where it failed or was given up), "phase", "prompts" (evaluated)}``;
            - ``warm_start``, ``best``: losses, or null as long as there are none;
            - ``best_steps``: computed steps of the best candidate, or empty;
            - ``model_calls``, ``calls_saved``: guided predictions made and those not needed;
            - ``seconds_left``: estimate, or null; ``finished``: whether it has ended;
            - ``text``: one line for people.
    """
    if node_id is None:
        return
    place = (workflow, node_id)
    _latest[place] = state
    _latest.move_to_end(place)
    while len(_latest) > MAX_KEPT:
        _latest.popitem(last=False)
    # Looked up, not imported: outside a running server there is nobody to tell.
    module: Any = sys.modules.get("server")
    server = getattr(getattr(module, "PromptServer", None), "instance", None)
    if server is not None:
        server.send_sync(EVENT, {"workflow": workflow, "node": node_id, **state})


def latest(workflow: str, node_id: str) -> dict[str, Any] | None:
    """The latest state of a node's calibration in this process, or ``None``."""
    return _latest.get((workflow, node_id))
