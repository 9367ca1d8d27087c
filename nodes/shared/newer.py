"""Keywords of node declarations that came after the oldest host the pack runs on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from comfy_api.latest import io


def where_taken(declare: Callable[..., Any], **keywords: Any) -> dict[str, Any]:
    """Those of the keywords that this host's ``declare`` takes; it would refuse the others."""
    taken = inspect.signature(declare).parameters
    return {name: value for name, value in keywords.items() if name in taken}


RARE = where_taken(io.Int.Input, advanced=True)
"""Of an input that few set: the page folds it away (ComfyUI 0.10; every kind of input alike)."""


def found_by(*words: str) -> dict[str, Any]:
    """Of a schema: what people who do not know the node's name type (ComfyUI 0.11)."""
    return where_taken(io.Schema, search_aliases=list(words))


FASTER = ("speed", "speed up", "faster", "accelerate", "cache", "skip steps", "OTCache")
"""What people type who want their model to run faster."""
