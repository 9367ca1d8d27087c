"""Keeps the measured tables of `benchmarks/README.md` the same as the records they come from.

`python -m benchmarks.pages.benchmarks` writes them anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.instruments.record import read_results
from benchmarks.pages.ablations import TABLES as ABLATIONS
from benchmarks.pages.auto import (
    auto_farther_table,
    auto_solvers_table,
    auto_steps_table,
    auto_table,
)
from benchmarks.pages.drawn import drawn_table
from benchmarks.pages.drawn import summary_table as drawn_summary_table
from benchmarks.pages.gpu import gpu_node_table, gpu_table
from benchmarks.pages.ground import (
    left_out_table,
    losses_table,
    models,
    summary_table,
    uncalibrated_table,
)
from benchmarks.pages.schedulers import schedulers_table
from benchmarks.pages.tables import markdown_table, replace_table, rewrite
from scripts.host.find import REPOSITORY

PAGE = REPOSITORY / "benchmarks" / "README.md"
MIB = 2**20

Row = dict[str, Any]


def natural_table(results: Row) -> str:
    """What stands beside the pack at each latent size."""
    columns = ("latent", "MiB:", "one copy:", "Euler's own step:", "host around a free model:",
               "EasyCache's skipped step:")  # fmt: skip
    return markdown_table(columns, [
        (
            f"{row['architecture']}, {_shape(row)}", f"{row['latent_bytes'] / MIB:.1f}",
            *(f"{row[key]:.3f} ms" for key in
              ("clone_ms", "euler_ms", "host_ms", "easycache_skipped_ms")),
        )
        for row in results["sizes"]
    ])  # fmt: skip


def sizes_table(results: Row) -> str:
    """What the pack costs at each latent size, by estimator."""
    columns = ("latent of", "estimator", "skipped step:", "of Euler's own step:",
               "of EasyCache's skipped:", "added to a computed step:", "of Euler's own step:",
               "held, latents:", "peak memory, latents:")  # fmt: skip
    cells = []
    for row in results["sizes"]:
        for name, ours in row["ours"].items():
            skipped, added = ours["skipped_ms"], ours["computed_ms"]
            cells.append((
                row["architecture"], name, f"{skipped:.3f} ms", f"{skipped / row['euler_ms']:.2f}",
                f"{skipped / row['easycache_skipped_ms']:.2f}", f"{added:.3f} ms",
                f"{added / row['euler_ms']:.2f}", f"{ours['held_latents']:g}",
                f"+{ours['extra_peak_latents']:g}",
            ))  # fmt: skip
    return markdown_table(columns, cells)


def growth_table(results: Row) -> str:
    """How the cost grows, with the slope estimator."""
    columns = ("grows", "latent", "steps:", "skipped step:", "of Euler's own step:",
               "added to a computed step:", "added to a run:", "held, latents:")  # fmt: skip
    cells = []
    for what, rows in results["growth"].items():
        for row in rows:
            ours = row["ours"]["slope"]
            cells.append((
                what, _shape(row), str(row["steps"]), f"{ours['skipped_ms']:.3f} ms",
                f"{ours['skipped_ms'] / row['euler_ms']:.2f}", f"{ours['computed_ms']:.3f} ms",
                f"{ours['run_ms']:.2f} ms", f"{ours['held_latents']:g}",
            ))  # fmt: skip
    return markdown_table(columns, cells)


def start_table(results: Row) -> str:
    """Import of the pack, and predictions of a schedule."""
    start = results["start"]
    rows = [
        ("import of the pack, first time (compiles)", f"{start['first_ms']:.0f} ms"),
        ("import of the pack, later", f"{start['median_ms']:.0f} ms"),
        ("of which the processor worked", f"{start['processor_ms']:.0f} ms"),
    ]
    for row in results["prediction"]:
        kind = "first on an anchor" if row["cold"] else "slider moved"
        rows.append((f"schedule of {row['budget']} calls, {kind}", f"{row['median_ms']:.2f} ms"))
    return markdown_table(("what", "median:"), rows)


def _shape(row: Row) -> str:
    return " x ".join(map(str, row["shape"]))


TABLES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "auto": ("auto", auto_table),
    "auto-farther": ("auto", auto_farther_table),
    "auto-steps": ("auto", auto_steps_table),
    "auto-solvers": ("auto", auto_solvers_table),
    "schedulers": ("schedulers", schedulers_table),
    "drawn-summary": ("drawn", drawn_summary_table),
    "drawn": ("drawn", drawn_table),
    "left-out": ("presets", left_out_table),
    "speed-natural": ("speed", natural_table),
    "speed-sizes": ("speed", sizes_table),
    "speed-growth": ("speed", growth_table),
    "speed-start": ("speed", start_table),
    "gpu": ("gpu", gpu_table),
    "gpu-node": ("gpu", gpu_node_table),
    **{name: ("ablations", table) for name, table in ABLATIONS.items()},
}
"""A table's name: its record, and what writes it."""

GROUND_TABLES: dict[str, Callable[[], str]] = {
    "ground-summary": summary_table,
    "ground-losses": losses_table,
    "ground-uncalibrated": uncalibrated_table,
    "ground-models": models,
}
"""Those over the records of all models of the proving ground."""


def with_tables(text: str) -> str:
    """The page's text with every table as its record has it."""
    for name, (record, table) in TABLES.items():
        text = replace_table(text, name, table(read_results(record) or {}))
    for name, over_models in GROUND_TABLES.items():
        text = replace_table(text, name, over_models())
    return text


if __name__ == "__main__":
    sys.exit(rewrite(PAGE, with_tables))
