"""Which anchor suits a model, and what to say of one that may not."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ...otcache_core.documents.anchor import Anchor
from ...otcache_core.errors import OTCacheError
from ...otcache_core.message import Message
from .files import PRESET_PREFIX, calibrated_names, find_anchor, open_anchor

SAME_MODEL, PRESET, OTHER_MODEL = range(3)
"""How well an anchor of the right kind suits, the best first."""


def choose_anchor(kinds: Sequence[str], weights: str) -> str:
    """The name of the anchor to use for a model.

    First one that was made on this very model, then a preset for models like it, and only then one
    of another model of its class: a small model's steps may be wrong for a large one.

    Args:
        kinds: What the model is, the closest first; see ``origin.kinds_of``.
        weights: The hash of its weights; see ``weights.weights_fingerprint``.

    Raises:
        OTCacheError: If no anchor fits.
    """
    found: list[tuple[int, int, str]] = []
    for name in calibrated_names():
        with contextlib.suppress(OTCacheError):  # a damaged file is no candidate
            anchor = open_anchor(name)
            if anchor.architecture in kinds:
                suits = suitability(name, anchor, weights)
                found.append((suits, kinds.index(anchor.architecture), name))
    if not found:
        raise OTCacheError(
            f"no anchor is for {kinds[0]}: choose one by name, or make one with Calibrate OT "
            "Anchor."
        )
    return min(found, key=lambda one: one[:2])[2]


def own_anchors(weights: str) -> list[Anchor]:
    """The anchors that were calibrated on a model, the newest first, and presets after the user's.

    Damaged files are passed over.

    Args:
        weights: The hash of the model's weights; see ``weights.weights_fingerprint``.
    """
    found: list[tuple[bool, float, Anchor]] = []
    for name in calibrated_names() if weights else ():
        with contextlib.suppress(OTCacheError, OSError):
            anchor = open_anchor(name)
            if anchor.weights == weights:
                made = find_anchor(name).stat().st_mtime
                found.append((name.startswith(PRESET_PREFIX), -made, anchor))
    return [anchor for *_, anchor in sorted(found, key=lambda one: one[:2])]


def suitability(name: str, anchor: Anchor, weights: str) -> int:
    """``SAME_MODEL``, ``PRESET`` or ``OTHER_MODEL``; presets may be for one model only, too."""
    if anchor.weights and anchor.weights == weights:
        return SAME_MODEL
    general = name.startswith(PRESET_PREFIX) and not anchor.weights
    return PRESET if general else OTHER_MODEL


def other_model(anchor: Anchor, weights: str, kind: str, *, chosen: bool) -> str:
    """What to say where an anchor of a model's class is not known to be of that model; or nothing.

    Args:
        anchor: The anchor.
        weights: The hash of the model's weights, or empty.
        kind: What the model is.
        chosen: Whether it was chosen for the user, who then does not know of it.
    """
    known = bool(anchor.weights and weights)
    if known and anchor.weights == weights or not (known or chosen):
        return ""
    if known:
        return Message(
            "other_weights",
            "The anchor was made on another {kind} (other weights, or in another precision): its "
            "steps may not suit this model. Compare a picture with the full run, or calibrate your "
            "own.",
            kind=kind,
        )
    return Message(
        "unknown_weights",
        "The anchor does not say on which {kind} it was made: its steps may not suit this model. "
        "Compare a picture with the full run, or calibrate your own.",
        kind=kind,
    )
