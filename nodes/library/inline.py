"""Anchors that a workflow carries in Load OT Anchor, so that it runs where the file is missing."""

from __future__ import annotations

import hashlib

from ...otcache_core.documents.anchor import Anchor, load_anchor
from ...otcache_core.errors import OTCacheError
from .files import AUTOMATIC, find_anchor, fingerprint

IN_WORKFLOW = "in this workflow"
"""Instead of a name: the one that the workflow carries; as `web/anchors/anchor_source.js` says."""


def _uses_inline(name: str, inline: str) -> bool:
    """Whether the workflow's own anchor is used: where it is named, or where there is no file.

    Raises:
        OTCacheError: If there is neither a file nor an anchor in the workflow.
    """
    if name == IN_WORKFLOW:
        if not inline:
            raise OTCacheError(
                "the workflow must carry an anchor but carries none: choose an installed one."
            )
        return True
    try:
        find_anchor(name)
    except OTCacheError:
        if not inline:
            raise
        return True
    return False


def check_anchor(name: str, inline: str, *, has_model: bool) -> None:
    """Raises `OTCacheError` if there is no such anchor; does not read it."""
    if name != AUTOMATIC:
        _uses_inline(name, inline)
    elif not has_model:
        raise OTCacheError(
            "automatic must have a model to choose for but none is connected: connect the model "
            "that you sample, or choose an anchor by name."
        )


def read_anchor(name: str, inline: str) -> Anchor:
    """The named anchor, or the one that the workflow carries.

    Args:
        name: One of `library.anchor_names`, or `IN_WORKFLOW`.
        inline: The workflow's own anchor as JSON, or nothing.

    Raises:
        OTCacheError: If there is neither, or it is damaged.
    """
    if _uses_inline(name, inline):
        return Anchor.from_json(inline, "the workflow's anchor")
    return load_anchor(find_anchor(name))


def anchor_fingerprint(name: str, inline: str) -> str:
    """Changes when the anchor that will be read changes.

    Args:
        name: As for `read_anchor`, or `AUTOMATIC` for whichever it may be.
        inline: The workflow's own anchor.
    """
    if name == AUTOMATIC:
        return fingerprint(name) + _digest(inline)
    return _digest(inline) if _uses_inline(name, inline) else fingerprint(name)


def _digest(inline: str) -> str:
    return hashlib.sha256(inline.encode("utf-8", "surrogatepass")).hexdigest()
