"""Let a torchvision that was built for CUDA import over a CPU build of torch.

torchvision's usual Linux wheel is built for CUDA. Over a CPU torch its extension library cannot
load, and importing it ends in `operator torchvision::nms does not exist`. Declaring the two
operators it registers fakes for is enough; nothing here calls them.
"""

import importlib.util
import logging
import runpy
from pathlib import Path
from typing import Any

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# torch forgets the operators when the Library object is collected.
_library: Any = None

logger = logging.getLogger("otcache")


def _package_folder(name: str) -> Path | None:
    """Return where a package is installed, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def is_cpu_build() -> bool:
    """Tell whether torch is built without any GPU library, without importing torch.

    ComfyUI wants to set its allocator before torch is imported; on a GPU build this leaves it
    the chance.
    """
    folder = _package_folder("torch")
    if folder is None:
        return False
    build = runpy.run_path(str(folder / "version.py"))
    return not any(build.get(name) for name in ("cuda", "hip", "rocm", "xpu"))


def _extension_loads(folder: Path) -> bool:
    import torch

    for library in [*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]:
        try:
            torch.ops.load_library(library)
            return True
        except (ImportError, OSError):
            continue
    return False


def declare_missing_operators() -> bool:
    """Declare `torchvision::nms` and `torchvision::qnms` where torchvision cannot do it itself.

    Call it before the first import of torchvision. Does nothing on GPU builds, without
    torchvision, where torchvision's own library loads, and the second time.

    Returns:
        Whether this call declared them.
    """
    global _library
    folder = _package_folder("torchvision")
    if folder is None or not is_cpu_build():
        return False
    import torch

    if hasattr(torch.ops.torchvision, "nms") or _extension_loads(folder):
        return False
    _library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        _library.define(operator + _SIGNATURE)
    logger.debug("declared torchvision::nms and torchvision::qnms for a CPU build of torch")
    return True
