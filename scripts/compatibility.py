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
from scripts.tables import markdown_table, replace_table, rewrite

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


def _number(value: float | None, best: float | None) -> str:
    if value is None:
        return "-"
    return f"**{value:.4f}**" if value == best else f"{value:.4f}"


def _errors(row: dict[str, Any], ways: Sequence[str]) -> list[str]:
    """A row's errors, the smallest one set off."""
    known = [row[way] for way in ways if row[way] is not None]
    return [_number(row[way], min(known, default=None)) for way in ways]


def samplers_table(results: dict[str, Any]) -> str:
    """What `benchmarks/samplers.py` found."""
    ways = ("reuse", "slope", "denoised", "grid", "fewer")
    columns = ("sampler", "calls a step:", "adds noise", "rule", *(f"{way}:" for way in ways))
    cells = []
    for row in results["rows"]:
        calls = "-" if row["calls_a_step"] is None else f"{row['calls_a_step']:g}"
        noise = "yes" if row["stochastic"] else ""
        cells.append((f"`{row['sampler']}`", calls, noise, row["rule"], *_errors(row, ways)))
    return markdown_table(columns, cells)


def transfer_table(results: dict[str, Any]) -> str:
    """What `benchmarks/transfer.py` found."""
    ways = ("progress", "level", "fewer")
    columns = ("run", "kept by progress:", "kept by noise level:", "plain fewer steps:")
    return markdown_table(columns, [(row["case"], *_errors(row, ways)) for row in results["rows"]])


def presets_table(results: dict[str, Any]) -> str:
    """What `benchmarks/presets.py` found."""
    columns = ("preset", *(f"{budget} calls:" for budget in results["budgets"]))
    best = [
        min(row["errors"][i] for row in results["rows"] if row["errors"][i] is not None)
        for i in range(len(results["budgets"]))
    ]
    return markdown_table(columns, [
        (row["preset"], *map(_number, row["errors"], best)) for row in results["rows"]
    ])  # fmt: skip


def _architectures(results: dict[str, Any]) -> str:
    return architectures_table(results["rows"])


TABLES: dict[str, Callable[[Any], str]] = {
    "architectures": _architectures,
    "samplers": samplers_table,
    "transfer": transfer_table,
    "presets": presets_table,
}
"""A table's name, which is its record's too, and what writes it."""


def with_tables(text: str) -> str:
    """The page's text with every table as its record has it."""
    for name, table in TABLES.items():
        record = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
        text = replace_table(text, name, table(record["results"]))
    return text


if __name__ == "__main__":
    sys.exit(rewrite(PAGE, with_tables))
