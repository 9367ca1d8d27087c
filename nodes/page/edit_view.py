"""What Edit Cache Schedule draws on itself: an edited schedule as plain JSON values."""

from __future__ import annotations

from typing import Any

from ...otcache_core.documents.fields import Fields
from ...otcache_core.documents.mask import write_mask
from ...otcache_core.documents.schedule import MAX_LOOK_BACK, MAX_STEPS, Schedule
from ...otcache_core.edit import edit_schedule
from ...otcache_core.errors import OTCacheError
from ...otcache_core.message import document
from .advice import Planned, notes_on


def _as_it_comes(fields: Fields) -> Schedule:
    """The schedule before the edit, of what a page knows; nothing learned matters to a drawing."""
    steps = fields.integer("steps", 1, MAX_STEPS)
    return Schedule(
        steps,
        fields.integers("computed_steps", 0, steps - 1),
        fields.text("estimator"),
        fields.integers("look_back", 1, MAX_LOOK_BACK),
    )


def edited_view(fields: Fields) -> dict[str, Any]:
    """Edits what the node would, from a page's request.

    Args:
        fields: ``mask`` as it was typed and, where the page knows it, the ``schedule`` as it comes:
            its ``steps``, ``computed_steps``, ``estimator`` and ``look_back``.

    Returns:
        The edited schedule; or, under ``refused``, why there is none and what to do, and under
        ``said`` the same as a message's document.

    Raises:
        OTCacheError: If there is neither mask nor schedule, or a value is of the wrong type or out
            of range.
    """
    mask = fields.document("mask")
    before = _as_it_comes(fields.nested("schedule")) if "schedule" in fields else None
    try:
        schedule = edit_schedule(before, mask)
    except OTCacheError as error:
        return {"refused": str(error), "said": document(error.args[0])}
    if schedule is None:
        raise OTCacheError("`mask` or `schedule` must hold steps but neither does: send one.")
    return {
        "mask": write_mask(schedule),
        "steps": schedule.steps,
        "budget": schedule.budget,
        "computed_steps": list(schedule.computed_steps),
        "look_back": list(schedule.look_back),
        "estimator": schedule.estimator,
        "speedup": schedule.steps / schedule.budget,
        "notes": notes_on(schedule.steps, schedule.budget, Planned(steps=schedule.steps)),
    }
