"""A ComfyUI in this process, the pack loaded into it by the host's own loader.

The loaded pack has its own copy of ``otcache_core``: take core classes from there, by
``host.core("documents.schedule")``, and never import ``otcache_core`` beside it.
"""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from scripts.host.find import REPOSITORY, ensure_host
from scripts.host.lpips_trunk import ensure_trunk
from scripts.host.torchvision_cpu import declare_missing_operators

FOLDERS = ("models/lpips", "models/otcache", "custom_nodes", "input", "output", "user")


@dataclass(frozen=True)
class Result:
    """What a node returned: its outputs, and what it shows on itself."""

    outputs: tuple[Any, ...]
    ui: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """A ComfyUI with the pack in it.

    Attributes:
        pack: The module name that the loader gave the pack.
        base: ComfyUI's base folder: models, outputs, user files.
    """

    pack: str
    base: Path

    def module(self, name: str) -> Any:
        """A module of the loaded pack, such as `nodes.sampling.host`."""
        return importlib.import_module(f"{self.pack}.{name}")

    def core(self, name: str) -> Any:
        """A module of the loaded pack's own `otcache_core`."""
        return self.module(f"otcache_core.{name}")

    def node(self, node_id: str) -> Any:
        """A node's class, the pack's or the host's own."""
        return importlib.import_module("nodes").NODE_CLASS_MAPPINGS[node_id]

    def run(self, node_id: str, **inputs: Any) -> Result:
        """Runs one node as the host does: on a copy of its class, without autograd."""
        cls = self.node(node_id)
        with torch.inference_mode():
            if not hasattr(cls, "PREPARE_CLASS_CLONE"):  # the host's older nodes
                return Result(tuple(getattr(cls(), cls.FUNCTION)(**inputs)))
            output = cls.PREPARE_CLASS_CLONE(None).execute(**inputs)
        return Result(tuple(output.args), output.ui or {})


def start_host(
    base: Path,
    extra_nodes: tuple[str, ...] = (),
    *,
    lpips: bool = True,
    pack: Path = REPOSITORY,
) -> Host:
    """Imports the host and loads the pack into it; once per process.

    Args:
        base: ComfyUI's base folder, made where it is missing.
        extra_nodes: Modules of ``comfy_extras`` to load beside it.
        lpips: Whether to bring the weights of LPIPS.
        pack: The pack's folder, or a copy of it.
    """
    for folder in FOLDERS:
        (base / folder).mkdir(parents=True, exist_ok=True)
    if lpips:
        shutil.copyfile(ensure_trunk(), base / "models" / "lpips" / "alexnet.safetensors")
    declare_missing_operators()
    path = ensure_host()
    # The host comes first: its `nodes.py` must not be shadowed by the pack's `nodes/`.
    sys.path.insert(0, str(path))
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    args.base_directory = str(base)
    import comfy.utils

    import nodes

    comfy.utils.PROGRESS_BAR_ENABLED = False
    extras = [path / "comfy_extras" / f"{name}.py" for name in extra_nodes]
    for source, parent in [(pack, "custom_nodes"), *((e, "comfy_extras") for e in extras)]:
        if not asyncio.run(nodes.load_custom_node(str(source), module_parent=parent)):
            raise RuntimeError(f"the host must load {source.name} but did not: see the log.")
    return Host(nodes.NODE_CLASS_MAPPINGS["OTCacheSampler"].__module__.split(".nodes.")[0], base)
