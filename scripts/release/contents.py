"""What is published, and how large it is: `python -m scripts.release.contents PACKAGE` lists it.

Refuses what nobody meant to publish: a folder that is not named here, or far more bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

PUBLISHED = (
    *("CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "__init__.py", "pyproject.toml"),
    *("requirements.txt", "demo_model", "example_workflows", "locales", "nodes", "otcache_core"),
    *("presets", "web"),
)
MOST_BYTES = 16 * 2**20
"""The bundled model's 12 MB, and a third more."""


def sizes(package: Path) -> dict[str, list[int]]:
    """Bytes of the files of a package, by file or folder at its top."""
    found: dict[str, list[int]] = {}
    for path in sorted(package.rglob("*")):
        if path.is_file():
            top = path.relative_to(package).parts[0]
            found.setdefault(top, []).append(path.stat().st_size)
    return found


def listing(found: dict[str, list[int]]) -> str:
    """The sizes as lines for a terminal, and their sum."""
    rows = [*found.items(), ("all", [size for each in found.values() for size in each])]
    return "\n".join(f"{top:<20}{len(s):>5} files{sum(s) / 1e3:>10,.0f} kB" for top, s in rows)


def mistakes(found: dict[str, list[int]]) -> list[str]:
    """What is not as it should be."""
    said = [f"{top} must not be published: name it in .comfyignore" for top in found
            if top not in PUBLISHED]  # fmt: skip
    said += [f"{top} must be published but is not there" for top in PUBLISHED if top not in found]
    total = sum(sum(each) for each in found.values())
    if total > MOST_BYTES:
        said.append(f"the package must have at most {MOST_BYTES} bytes but has {total}")
    return said


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="the unpacked package")
    found = sizes(parser.parse_args().package)
    print(listing(found))
    print(*mistakes(found), sep="\n", file=sys.stderr)
    return 1 if mistakes(found) else 0


if __name__ == "__main__":
    sys.exit(main())
