"""Where calibrations stand: sent to the page as it happens, kept for a page that comes later."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ..shared.news import NodePlace, send

EVENT = "otcache.calibration"
MAX_KEPT = 16

_latest: OrderedDict[NodePlace, dict[str, Any]] = OrderedDict()


def publish(place: NodePlace, state: dict[str, Any]) -> None:
    """Sends one calibration's state to the page and keeps it as the node's latest.

    Args:
        place: The Calibrate node.
        state: Plain JSON values:

            - ``stage``, ``done``, ``total``: the stage's name as a message's document, its units
              done and in all;
            - ``steps``: T; ``prompts``: prompts in all; ``metric``: name of the loss;
            - ``trials``: finished candidates in order, each ``{"computed_steps", "loss" (null
              where it failed or was given up), "phase", "prompts" (evaluated)}``;
            - ``warm_start``, ``best``: losses, or null as long as there are none;
            - ``best_steps``: computed steps of the best candidate, or empty;
            - ``model_calls``, ``calls_saved``: guided predictions made and those not needed;
            - ``seconds_left``: estimate, or null; ``finished``, ``stopped``: whether it has come
              to its end, or was ended before;
            - ``plan``: messages of whether it goes on with an earlier one, and what it will cost;
            - ``lines``: messages of how far it is, or what came of it.
    """
    if place.node is None:
        return
    _latest[place] = state
    _latest.move_to_end(place)
    while len(_latest) > MAX_KEPT:
        _latest.popitem(last=False)
    send(EVENT, {"workflow": place.workflow, "node": place.node, **state})


def latest(place: NodePlace) -> dict[str, Any] | None:
    """The latest state of a node's calibration in this process, or ``None``."""
    return _latest.get(place)
