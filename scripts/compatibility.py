"""Keeps the measured tables of `docs/compatibility.md` the same as the records they come from.

`python -m scripts.compatibility` writes them anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.records import RECORDS
from scripts.host import REPOSITORY
from scripts.tables import markdown_table, replace_table

PAGE = REPOSITORY / "docs" / "compatibility.md"
TICKS = {True: "yes", False: "**no**"}


def architectures_table(rows: Sequence[dict[str, Any]]) -> str:
    """What `benchmarks/architectures.py` found."""
    columns = ("architecture", "class in ComfyUI", "latent", "model calls:", "full run", "sizes",
               "freed")  # fmt: skip
    cells = []
    for row in rows:
        if row["state"] == "absent":
            cells.append((row["architecture"], f"no `{row['family']}` there", *["-"] * 5))
            continue
        cells.append((
            row["architecture"], f"`{row['class']}`", " x ".join(map(str, row["latent"][1:])),
            f"{row['predictions']} of {row['steps']}", TICKS[row["bit_identical"]],
            TICKS[row["sizes_apart"]], TICKS[row["freed"]],
        ))  # fmt: skip
    return markdown_table(columns, cells)


def _architectures(results: dict[str, Any]) -> str:
    return architectures_table(results["rows"])


TABLES: dict[str, Callable[[Any], str]] = {"architectures": _architectures}
"""A table's name, which is its record's too, and what writes it."""


def with_tables(text: str) -> str:
    """The page's text with every table as its record has it."""
    for name, table in TABLES.items():
        record = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
        text = replace_table(text, name, table(record["results"]))
    return text


def main() -> int:
    """Command line."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(text), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
