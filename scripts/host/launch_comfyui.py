"""Run a ComfyUI's main.py as its own program would: `launch_comfyui.py HOST [arguments]`.

Run by path, in a process of its own, by `scripts.host.server`.
"""

import importlib.util
import os
import runpy
import sys
import threading
import time
from pathlib import Path


def _end_with_parent(parent: int) -> None:
    """End this process soon after its parent, which may have been killed without a chance to.

    Windows never tells of a new parent, so there this waits for ever.
    """
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _declare_missing_operators() -> None:
    # Loaded by file: with this folder on the path, ComfyUI's `import server` would find ours.
    source = Path(__file__).absolute().with_name("torchvision_cpu.py")
    spec = importlib.util.spec_from_file_location("otcache_torchvision_cpu", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # keeps the declared operators alive
    spec.loader.exec_module(module)
    module.declare_missing_operators()


def main() -> None:
    """Start the host named by the first argument with the arguments that follow it."""
    host = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    sys.path[0] = str(host)
    sys.argv = [str(host / "main.py"), *sys.argv[2:]]
    _declare_missing_operators()
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
