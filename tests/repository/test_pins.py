"""What is written down in two files says the same in both."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_registry_and_pip_install_the_same_requirements():
    lines = _text("requirements.txt").splitlines()
    required = [line for line in lines if line and not line.startswith("#")]
    block = re.search(r"^dependencies = \[\n(.*?)^\]", _text("pyproject.toml"), re.M | re.S)
    assert re.findall(r'"([^"]+)"', block.group(1)) == required


def test_torch_is_never_required():
    assert not re.search(r"^torch", _text("requirements.txt"), re.MULTILINE)


def test_commits_and_ci_are_linted_by_the_same_ruff():
    pinned = set(
        re.findall(r"ruff==[\d.]+", _text("noxfile.py") + _text(".pre-commit-config.yaml"))
    )
    assert len(pinned) == 1
