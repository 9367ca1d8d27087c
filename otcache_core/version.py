"""The version, read from where the registry reads it: the pack is copied, never pip-installed."""

from __future__ import annotations

import re
from pathlib import Path

PYPROJECT = Path(__file__).absolute().parents[1] / "pyproject.toml"
UNKNOWN = "unknown"


def read_version(pyproject: Path = PYPROJECT) -> str:
    """The version line of a pyproject.toml; ``UNKNOWN`` where the core was copied without one."""
    # Python 3.10 has no reader of TOML, and the first such line is the project's.
    try:
        text = pyproject.read_text(encoding="utf-8")
    except OSError:
        return UNKNOWN
    found = re.search(r'^version\s*=\s*"([^"]+)"', text, re.MULTILINE)
    return found.group(1) if found else UNKNOWN


__version__ = read_version()
