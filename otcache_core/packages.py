"""Packages that only calibration and measuring need: sampling works where they are missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import OTCacheError

REQUIREMENTS = Path(__file__).absolute().parents[1] / "requirements.txt"


def missing_packages(user: str, *names: str) -> str:
    """What to say where a package is not installed; empty where all are.

    They are looked for, not imported, so that a page or a queue can ask at any time.

    Args:
        user: What needs them, as its user knows it.
        names: The packages by the names they are imported by.
    """
    missing = [name for name in names if find_spec(name) is None]
    if not missing:
        return ""
    return (
        f"{user} needs the packages {', '.join(names)} but this Python lacks "
        f"{', '.join(missing)}: install them by\n"
        f'"{sys.executable}" -m pip install -r "{REQUIREMENTS}"\n'
        "and queue again. Sampling with an anchor needs none of them."
    )


def require_packages(user: str, *names: str) -> None:
    """Checks that packages are installed; see `missing_packages`.

    Raises:
        OTCacheError: If one is not.
    """
    message = missing_packages(user, *names)
    if message:
        raise OTCacheError(message)
