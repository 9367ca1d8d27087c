"""What is published, and how large it is: `python -m scripts.release.contents PACKAGE` lists it.

Refuses what nobody meant to publish, far more bytes, and a package that lacks a file of a folder
that is published: patterns of what to leave out match more than one thinks.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from scripts.host.find import REPOSITORY

PUBLISHED = (
    *("CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "__init__.py", "pyproject.toml"),
    *("requirements.txt", "demo_model", "example_workflows", "locales", "nodes", "otcache_core"),
    *("presets", "subgraphs", "web"),
)
"""Files and folders at the top, each whole."""

MOST_BYTES = 16 * 2**20
"""The bundled model's 12 MB, and a third more."""


def top_of(name: str) -> str:
    """The file or folder at the top that a path is in."""
    return name.partition("/")[0]


def sizes(package: Path) -> dict[str, int]:
    """Bytes of each file of a package, by its path."""
    files = (path for path in sorted(package.rglob("*")) if path.is_file())
    return {path.relative_to(package).as_posix(): path.stat().st_size for path in files}


def tracked(checkout: Path) -> list[str]:
    """The paths of the files that git keeps."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=checkout, capture_output=True, check=True
    )
    return listed.stdout.decode().rstrip("\0").split("\0")


def listing(found: dict[str, int]) -> str:
    """The sizes as lines for a terminal, by what is at the top, and their sum."""
    rows = {top: [s for name, s in found.items() if top_of(name) == top] for top in PUBLISHED}
    rows["all"] = list(found.values())
    return "\n".join(f"{k:<20}{len(s):>5} files{sum(s) / 1e3:>10,.0f} kB" for k, s in rows.items())


def mistakes(found: dict[str, int], kept: Iterable[str]) -> list[str]:
    """What is not as it should be.

    Args:
        found: Bytes by path of what is in the package.
        kept: Paths of what is in the checkout.
    """
    said = [
        f"{name} must not be published: name it in .comfyignore"
        for name in found
        if top_of(name) not in PUBLISHED
    ]
    meant = {name for name in kept if top_of(name) in PUBLISHED}
    said += [f"{name} must be published but is left out" for name in sorted(meant - found.keys())]
    total = sum(found.values())
    if total > MOST_BYTES:
        said.append(f"the package must have at most {MOST_BYTES} bytes but has {total}")
    return said


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="the unpacked package")
    found = sizes(parser.parse_args().package)
    said = mistakes(found, tracked(REPOSITORY))
    print(listing(found))
    for line in said:
        print(line, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
