"""What tests of the core share: the true LPIPS trunk, fetched once per machine."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def working_torchvision() -> None:
    """Makes torchvision importable where its build is for CUDA but torch's is for CPU."""
    from scripts.host.torchvision_cpu import declare_missing_operators

    declare_missing_operators()


@pytest.fixture(scope="session")
def lpips_trunk_directory(working_torchvision: None) -> Path:
    """A folder with `alexnet.safetensors`, laid out like ComfyUI's `models/lpips`."""
    from scripts.host.lpips_trunk import ensure_trunk

    return ensure_trunk().parent
