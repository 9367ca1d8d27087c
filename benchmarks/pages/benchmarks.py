"""Keeps the measured tables of `benchmarks/README.md` the same as the records they come from.

`python -m benchmarks.pages.benchmarks` writes them anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.contestants.forecasters import CONTESTANTS as FORECASTERS
from benchmarks.contestants.meancache import MEANCACHE
from benchmarks.contestants.own import ORACLE
from benchmarks.instruments.numbers import OURS
from benchmarks.instruments.record import RECORDS
from benchmarks.pages.tables import markdown_table, replace_table, rewrite
from scripts.host.find import REPOSITORY

PAGE = REPOSITORY / "benchmarks" / "README.md"
MIB = 2**20
NO_RECORD = "Not measured yet: there is no `records/gpu.json`.\n"

Row = dict[str, Any]


def fidelity_table(results: list[Row]) -> str:
    """LPIPS with its interval, by contestant and model calls; the best of each column in bold."""
    budgets = sorted({row["budget"] for row in results})
    found = {(row["contestant"], row["budget"]): row for row in results}
    rivals = [row for row in results if row["contestant"] != ORACLE]
    best = {b: min(row["lpips"] for row in rivals if row["budget"] == b) for b in budgets}

    def cell(name: str, budget: int) -> str:
        row = found.get((name, budget))
        if row is None:
            return "-"
        text = f"{row['lpips']:.4f}"
        text = f"**{text}**" if row["lpips"] == best[budget] and name != ORACLE else text
        text += f" ({row['lpips_low']:.4f} to {row['lpips_high']:.4f})"
        return text if abs(row["calls"] - budget) < 0.5 else f"{text}, {row['calls']:.1f} calls"

    names = dict.fromkeys(row["contestant"] for row in results)
    columns = ("contestant", *(f"{budget} calls:" for budget in budgets))
    return markdown_table(columns, [(n, *(cell(n, b) for b in budgets)) for n in names])


def lead_table(results: list[Row]) -> str:
    """How far ours leads MeanCache, the best with steps of its own, the best forecast on ours."""
    rows = []
    for budget in sorted({row["budget"] for row in results}):
        at = [row for row in results if row["budget"] == budget and "ours_over" in row]
        own = [
            row
            for row in at
            if row["contestant"] not in (ORACLE, MEANCACHE, *FORECASTERS)
            and not row["contestant"].startswith((OURS, "uniform steps"))
            and row["calls"] < budget + 0.5
        ]
        groups = (
            [row for row in at if row["contestant"] == MEANCACHE],
            own,
            [row for row in at if row["contestant"] in FORECASTERS],
        )
        for group in filter(None, groups):
            rival = min(group, key=lambda row: row["lpips"])
            ratio, low, high = rival["ours_over"]
            rows.append(
                (str(budget), rival["contestant"], f"{ratio:.2f}", f"{low:.2f} to {high:.2f}")
            )
    return markdown_table(("calls:", "against", "OTCache's LPIPS over its:", "interval:"), rows)


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


def gpu_table(results: Row) -> str:
    """Full-size models on a GPU; says so where there is no record."""
    if not results:
        return NO_RECORD
    columns = ("model", "model calls:", "seconds:", "speedup:", "of T/B:", "with VAE decode:",
               "the paper's:", "a skipped step:", "waits added:", "extra memory:")  # fmt: skip
    cells = []
    for saved in results.values():
        added = saved["memory"]["extra"] / MIB
        waits = sum(sum(saved["waits"][kind].values()) for kind in ("skipped", "computed"))
        plain = f"{saved['plain']['seconds']:.2f}"
        cells.append((saved["about"]["model"], "50", plain, *["-"] * 7))
        for row in saved["table"]:
            paper = row["paper_whole_speedup"]
            cells.append((
                "", str(row["budget"]), f"{row['seconds']:.2f}", f"{row['speedup']:.2f}x",
                f"{row['share_of_ideal']:.3f}", f"{row['whole_speedup']:.2f}x",
                "-" if paper is None else f"{paper:.2f}x",
                f"{saved['steps']['skipped_device_ms']:.3f} ms",
                f"{waits} in {saved['waits']['steps']} steps", f"{added:.1f} MiB",
            ))  # fmt: skip
    return markdown_table(columns, cells)


def _shape(row: Row) -> str:
    return " x ".join(map(str, row["shape"]))


TABLES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "fidelity": ("fidelity", fidelity_table),
    "fidelity-lead": ("fidelity", lead_table),
    "speed-natural": ("speed", natural_table),
    "speed-sizes": ("speed", sizes_table),
    "speed-growth": ("speed", growth_table),
    "speed-start": ("speed", start_table),
    "gpu": ("gpu", gpu_table),
}
"""A table's name: its record, and what writes it."""


def with_tables(text: str) -> str:
    """The page's text with every table as its record has it."""
    for name, (record, table) in TABLES.items():
        path = RECORDS / f"{record}.json"
        results: Any = {}
        if path.is_file():
            results = json.loads(path.read_text(encoding="utf-8"))["results"]
        text = replace_table(text, name, table(results))
    return text


if __name__ == "__main__":
    sys.exit(rewrite(PAGE, with_tables))
