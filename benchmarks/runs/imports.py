"""What the pack adds to the host's start-up: ``python -m benchmarks.runs.imports FOLDER``, once.

Measured in a process of its own in which ComfyUI has imported what it imports before it loads
custom nodes, torch included. FOLDER takes the pack's bytecode, so that the first start compiles and
later ones do not, as on a user's machine.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.host.find import REPOSITORY, ensure_host
from scripts.host.torchvision_cpu import declare_missing_operators

ROOT = Path(__file__).parents[2]
LAZY = ("optuna", "lpips", "scipy", "matplotlib")
"""Packages that must wait until they are used; the host itself may import some of them."""


def _import_host() -> None:
    """Imports what ComfyUI's `main.py` does, in its order."""
    declare_missing_operators()
    sys.path.insert(0, str(ensure_host()))
    from comfy.cli_args import args

    args.cpu = True
    for name in ("utils.extra_config", "server", "execution", "nodes", "comfy_api.latest"):
        importlib.import_module(name)


def one_start(bytecode: str) -> dict[str, Any]:
    """Loads the pack as the host does.

    Args:
        bytecode: Folder for the pack's compiled files.

    Returns:
        ``ms``: milliseconds until the list of nodes is there, and ``processor_ms``, how long the
        processor worked for it; ``packages``: what of ``LAZY`` the
        pack itself brought in; ``host_packages``: what of it the host had imported before;
        ``modules``: how many modules of its own.
    """
    _import_host()
    sys.pycache_prefix, sys.dont_write_bytecode = bytecode, False
    before = set(sys.modules)
    start, work = time.perf_counter(), time.process_time()
    spec = importlib.util.spec_from_file_location("otcache", REPOSITORY / "__init__.py")
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{REPOSITORY} must hold the pack's __init__.py but does not.")
    pack = sys.modules["otcache"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    asyncio.run(_nodes(pack))
    seconds, work = time.perf_counter() - start, time.process_time() - work
    new = set(sys.modules) - before
    brought = {name.partition(".")[0] for name in new}
    own = sum(name.partition(".")[0] == "otcache" for name in new)
    theirs = {name for name in LAZY if name in before}
    return {
        "ms": 1e3 * seconds,
        "processor_ms": 1e3 * work,
        "packages": sorted(brought & set(LAZY) - theirs),
        "host_packages": sorted(theirs),
        "modules": own,
    }


async def _nodes(pack: Any) -> Any:
    extension = await pack.comfy_entrypoint()
    await extension.on_load()
    return await extension.get_node_list()


def measure_start(repeats: int) -> dict[str, Any]:
    """Several starts, each in a fresh process.

    Returns:
        Milliseconds of the first start, which compiles, the median and the fastest of those after
        it, and the processor's own; how many modules; and which of ``LAZY`` the pack and the host
        imported.
    """
    with tempfile.TemporaryDirectory() as bytecode:
        command = [sys.executable, "-m", "benchmarks.runs.imports", bytecode]
        starts = [start_once(command) for _ in range(1 + max(1, repeats))]
    times = [start["ms"] for start in starts[1:]]
    imported = sorted({name for start in starts for name in start["packages"]})
    return {
        "first_ms": round(starts[0]["ms"], 1),
        "median_ms": round(statistics.median(times), 1),
        "fastest_ms": round(min(times), 1),
        "processor_ms": round(statistics.median(start["processor_ms"] for start in starts[1:]), 1),
        "modules": starts[0]["modules"],
        "imported": imported,
        "imported_by_host": starts[0]["host_packages"],
    }


def start_once(command: Sequence[str]) -> dict[str, Any]:
    """What a process with one start prints."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the pack must load but did not:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


if __name__ == "__main__":
    print(json.dumps(one_start(sys.argv[1])))
