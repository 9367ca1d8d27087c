"""The pack's own socket types, and how a node says something on itself."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

CATEGORY = "OTCache"

AnchorType = io.Custom("OT_ANCHOR")
"""Carries an ``otcache_core.documents.anchor.Anchor``."""

ScheduleType = io.Custom("OT_SCHEDULE")
"""Carries an ``otcache_core.documents.schedule.Schedule``."""


def image_from_picture(picture: np.ndarray) -> torch.Tensor:
    """A picture of bytes, height by width by channels, as the host's IMAGE of one."""
    return torch.from_numpy(picture.astype(np.float32) / 255.0).unsqueeze(0)


def show_text(text: str, node_id: str | None, report: dict[str, Any] | None = None) -> None:
    """Shows a text and a run's statistics on a node at once; ``web/shared/node_text.js`` draws."""
    # Looked up, not imported: outside a running server there is nobody to show it to.
    module: Any = sys.modules.get("server")
    server = getattr(getattr(module, "PromptServer", None), "instance", None)
    if server is not None and node_id is not None:
        server.send_sync("otcache.text", {"node": node_id, "text": text, "report": report})
