"""Loads nodes into the host by its own loader: its extra ones, and packs of others."""

from __future__ import annotations

import asyncio
from pathlib import Path


def ensure_node(node_id: str, path: Path, parent: str = "custom_nodes") -> None:
    """Loads a pack or module for a node of it, unless the host has that node already.

    Raises:
        RuntimeError: If the host cannot load it, or it has no such node.
    """
    import nodes

    if node_id in nodes.NODE_CLASS_MAPPINGS:
        return
    asyncio.run(nodes.load_custom_node(str(path), module_parent=parent))
    if node_id not in nodes.NODE_CLASS_MAPPINGS:
        raise RuntimeError(f"{path.name} must give the host a node {node_id} but did not.")


def ensure_extra(node_id: str, module: str) -> None:
    """Loads a module of the host's ``comfy_extras`` for a node of it."""
    import nodes

    extras = Path(nodes.__file__).parent / "comfy_extras"
    ensure_node(node_id, extras / f"{module}.py", "comfy_extras")
