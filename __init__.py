"""OTCache: training-free step caching for diffusion models in ComfyUI."""

from __future__ import annotations

import logging
from typing import Any

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint() -> Any:
    """ComfyUI's way in: the extension with all nodes of the pack."""
    try:
        from .nodes import OTCacheExtension

        return OTCacheExtension()
    except Exception:
        # The loader keeps the message and drops the traceback.
        logging.getLogger("otcache").exception("OTCache could not be loaded")
        raise
