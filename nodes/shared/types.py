"""The pack's own socket types."""

from __future__ import annotations

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
