"""The changelog's words on one version: `python -m scripts.release.notes v0.1.0` prints them.

Refuses a tag that is not the version of pyproject.toml, so that a tag publishes what it says.
Needs nothing but Python: it runs where the pack is only packed.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).absolute().parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"


def project_version() -> str:
    """The version, read by the pack's own reader but without importing the pack and its torch."""
    return str(runpy.run_path(str(ROOT / "otcache_core" / "version.py"))["__version__"])


def section(changelog: str, version: str) -> str:
    """What a changelog says of a version.

    Raises:
        ValueError: If it says nothing.
    """
    found = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |^\[|\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    if found is None or not found.group(1).strip():
        raise ValueError(
            f'CHANGELOG.md must have a section "## [{version}] - YEAR-MONTH-DAY" that says '
            "something but has none: move what is under [Unreleased] there."
        )
    return found.group(1).strip()


def notes(tag: str, version: str, changelog: str) -> str:
    """The changelog's words on the version of a tag.

    Raises:
        ValueError: If the tag is of another version, or the changelog lacks it.
    """
    if tag != f"v{version}":
        raise ValueError(
            f"the tag must be v{version}, the version of pyproject.toml, but is {tag}: change "
            "either."
        )
    return section(changelog, version)


def main() -> int:
    """Command line."""
    if len(sys.argv) != 2:
        print("say which tag: python -m scripts.release.notes v0.1.0", file=sys.stderr)
        return 2
    try:
        print(notes(sys.argv[1], project_version(), CHANGELOG.read_text(encoding="utf-8")))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
