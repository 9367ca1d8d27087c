"""LPIPS with its weights from the host's model folders."""

from __future__ import annotations

import comfy.model_management

from ...otcache_core.measures.perceptual import LPIPS
from .files import lpips_folders


def load_lpips(net: str = "alex") -> LPIPS:
    """LPIPS on the host's device, its trunk from the models folder where it is there."""
    device = comfy.model_management.get_torch_device()
    return LPIPS(net, trunk_directories=lpips_folders(), device=device)
