"""Keeps the measured tables of two pages the same as the records they come from.

`python -m benchmarks.pages.compatibility` writes them anew, in `docs/compatibility.md` and in the
help page of OTCache Sigmas.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.instruments.record import RECORDS
from benchmarks.pages.tables import markdown_table, replace_table, rewrite
from scripts.host.find import REPOSITORY

PAGE = REPOSITORY / "docs" / "compatibility.md"
HELP = REPOSITORY / "web" / "docs" / "OTCacheSigmas.md"
EXAMPLES = ("euler", "dpmpp_2m", "uni_pc", "heun", "dpm_2")
"""Samplers that the help page of OTCache Sigmas shows."""
Row = dict[str, Any]
Results = dict[str, Any]
TICKS = {True: "yes", False: "**no**"}


def architectures_table(hosts: Mapping[str, Sequence[Row]]) -> str:
    """What `benchmarks/architectures.py` found.

    Args:
        hosts: The rows of each version of ComfyUI. A line shows the newest that has the class.
    """
    columns = ("architecture", "class in ComfyUI", "latent", "model calls:", "full run", "sizes",
               "freed", "one node", "seen on ComfyUI")  # fmt: skip
    newest_last = sorted(hosts, key=lambda version: tuple(map(int, version.split("."))))
    cells = []
    for index, first in enumerate(hosts[newest_last[0]]):
        by_host = {version: hosts[version][index] for version in newest_last}
        seen = {version: row for version, row in by_host.items() if row["state"] != "absent"}
        if not seen:
            cells.append((first["architecture"], f"no `{first['family']}` there", *["-"] * 7))
            continue
        row = seen[max(seen, key=newest_last.index)]
        good = {
            check: all(row[check] for row in seen.values())
            for check in row
            if row[check] is True or row[check] is False
        }
        cells.append((
            row["architecture"], f"`{row['class']}`", " x ".join(map(str, row["latent"][1:])),
            f"{row['predictions']} of {row['steps']}", TICKS[good["bit_identical"]],
            TICKS[good["sizes_apart"]], TICKS[good["freed"]],
            TICKS[good["one_node_exact"] and good["one_node_short_untouched"]], ", ".join(seen),
        ))  # fmt: skip
    return markdown_table(columns, cells)


def _number(value: float | None, best: float | None) -> str:
    if value is None:
        return "-"
    return f"**{value:.4f}**" if value == best else f"{value:.4f}"


def _errors(row: Row, ways: Sequence[str]) -> list[str]:
    """A row's errors, the smallest one set off."""
    errors = [row.get(way) for way in ways]
    best = min((error for error in errors if error is not None), default=None)
    return [_number(error, best) for error in errors]


def samplers_table(results: Results) -> str:
    """What `benchmarks/samplers.py` found."""
    ways = ("reuse", "slope", "damped slope", "adaptive", "denoised", "grid", "fewer")
    columns = (
        "sampler", "calls a step:", "adds noise", "prompts:", "rule", *(f"{way}:" for way in ways)
    )  # fmt: skip
    cells = []
    for row in results["rows"]:
        calls = "-" if row["calls_a_step"] is None else f"{row['calls_a_step']:g}"
        noise = "yes" if row["stochastic"] else ""
        about = (f"`{row['sampler']}`", calls, noise, str(row["prompts"]), row["rule"])
        cells.append((*about, *_errors(row, ways)))
    return markdown_table(columns, cells)


def sigmas_table(results: Results) -> str:
    """What a few samplers gain or lose by OTCache Sigmas."""
    rows = {row["sampler"]: row for row in results["rows"]}
    columns = ("sampler", "OTCache Sigmas:", "caching, reuse:", "caching, slope:")
    return markdown_table(
        columns,
        [(f"`{name}`", *_errors(rows[name], ("grid", "reuse", "slope"))) for name in EXAMPLES],
    )


def closer_by_sigmas(results: Results) -> str:
    """Which samplers come closer to their full run by OTCache Sigmas than by their rule."""
    closer = [
        f"`{row['sampler']}`"
        for row in results["rows"]
        if row["grid"] is not None and row["grid"] < (row.get(row["rule"]) or math.inf)
    ]
    return f"Closer to their full run with OTCache Sigmas than with caching: {', '.join(closer)}.\n"


def transfer_table(results: Results) -> str:
    """What `benchmarks/transfer.py` found of runs that an anchor was not made for."""
    ways = ("progress", "level", "fewer")
    columns = ("run", "kept by progress:", "kept by noise level:", "plain fewer steps:")
    rows = [row for row in results["rows"] if "case" in row]
    return markdown_table(columns, [(row["case"], *_errors(row, ways)) for row in rows])


def short_runs_table(results: Results) -> str:
    """What it found of short runs."""
    ways = ("slope", "reuse", "fewer")
    columns = ("steps:", "model calls:", "slope:", "reuse:", "plain fewer steps:")
    rows = [row for row in results["rows"] if "case" not in row]
    return markdown_table(
        columns, [(str(row["steps"]), str(row["budget"]), *_errors(row, ways)) for row in rows]
    )


def presets_table(results: Results) -> str:
    """What `benchmarks/presets.py` found."""
    columns = ("preset", *(f"{budget} calls:" for budget in results["budgets"]))
    best = [
        min(row["errors"][i] for row in results["rows"] if row["errors"][i] is not None)
        for i in range(len(results["budgets"]))
    ]
    return markdown_table(columns, [
        (row["preset"], *map(_number, row["errors"], best)) for row in results["rows"]
    ])  # fmt: skip


Table = tuple[str, str, Callable[[Results], str]]

TABLES: dict[Path, tuple[Table, ...]] = {
    PAGE: (
        ("architectures", "architectures", lambda results: architectures_table(results["hosts"])),
        ("samplers", "samplers", samplers_table),
        ("closer", "samplers", closer_by_sigmas),
        ("transfer", "transfer", transfer_table),
        ("short runs", "transfer", short_runs_table),
        ("presets", "presets", presets_table),
    ),
    HELP: (
        ("sigmas", "samplers", sigmas_table),
        ("closer", "samplers", closer_by_sigmas),
    ),
}
"""For each page its tables: name, record, and what writes it."""


def with_tables(page: Path, text: str) -> str:
    """A page's text with every table as its record has it."""
    for name, record, table in TABLES[page]:
        found = json.loads((RECORDS / f"{record}.json").read_text(encoding="utf-8"))
        text = replace_table(text, name, table(found["results"]))
    return text


if __name__ == "__main__":
    sys.exit(max(rewrite(page, partial(with_tables, page)) for page in TABLES))
