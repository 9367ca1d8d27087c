"""torchvision imports over any build of torch, once its operators are declared."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.host import torchvision_cpu

ROOT = Path(__file__).parents[3]


def test_torchvision_imports_after_the_call():
    pytest.importorskip("torch")
    program = (
        "from scripts.host.torchvision_cpu import declare_missing_operators as declare\n"
        "declare()\n"
        "assert declare() is False\n"
        "import torchvision.models, torchvision.transforms.v2\n"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_gpu_build_is_left_alone(monkeypatch):
    monkeypatch.setattr(torchvision_cpu, "is_cpu_build", lambda: False)
    assert torchvision_cpu.declare_missing_operators() is False


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("cuda = None\nhip = None", True),
        ("cuda = None", True),
        ("cuda = '13.0'\nhip = None", False),
        ("cuda = None\nhip = '7.1'", False),
        ("cuda = None\nxpu = '2026.1'", False),
    ],
)
def test_a_cpu_build_is_known_by_its_version_file(monkeypatch, tmp_path, build, expected):
    (tmp_path / "version.py").write_text(build)
    monkeypatch.setattr(torchvision_cpu, "_package_folder", lambda name: tmp_path)
    assert torchvision_cpu.is_cpu_build() is expected
