"""Keeps the README's measured tables the same as the records they come from.

`python -m benchmarks.pages.readme` takes the last demo run's report and contact sheet into the
repository's records and pictures, and writes the tables anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.instruments.record import write_record
from benchmarks.pages.tables import markdown_table, replace_table
from scripts.host.find import REPOSITORY

README = REPOSITORY / "README.md"
RECORD = REPOSITORY / "benchmarks" / "records" / "demo.json"
FIDELITY = REPOSITORY / "benchmarks" / "records" / "fidelity.json"
PICTURE = REPOSITORY / "docs" / "images" / "demo.png"

NAMES = {
    "full": "all 50 steps",
    "otcache_b15": "**OTCache, budget 15**",
    "otcache_b10": "**OTCache, budget 10**",
    "otcache_b8": "**OTCache, budget 8**",
    "euler_10": "plain Euler, 10 steps",
}


BUDGETS = (8, 10, 12, 15)
COMPARED = {
    "OTCache": "**OTCache**",
    "MeanCache: path over pairs, look-back": "MeanCache",
    "LeMiCa's path (our re-implementation)": "LeMiCa",
    "fewer steps: euler": "plain Euler, fewer steps",
    "fewer steps: dpmpp_2m": "plain DPM++ 2M, fewer steps",
    "Spectrum's Chebyshev ridge and slope, half each (our re-implementation)": (
        "Spectrum's forecast"
    ),
    "EasyCache (the host's)": "EasyCache",
}
"""Contestants of the fidelity benchmark that the README shows."""


def table(runs: list[dict[str, Any]]) -> str:
    """The runs of a demo report as a Markdown table."""
    lines = [
        "| run | model calls | seconds | speedup | LPIPS | PSNR | SSIM |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        psnr = "-" if run["psnr"] is None else f"{run['psnr']:.1f} dB"
        lines.append(
            f"| {NAMES[run['name']]} | {run['nfe']} | {run['seconds']:.2f} | {run['speedup']:.2f}x "
            f"| {run['lpips']:.4f} | {psnr} | {run['ssim']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def compare_table(results: list[dict[str, Any]]) -> str:
    """LPIPS of a few contestants of the fidelity benchmark, the smallest of each column in bold."""
    found = {(row["contestant"], row["budget"]): row for row in results}
    listed = [row for row in results if row["contestant"] in COMPARED]
    best = {row["budget"]: row["lpips"] for row in sorted(listed, key=lambda r: -r["lpips"])}

    def cell(name: str, budget: int) -> str:
        row = found.get((name, budget))
        if row is None:
            return "-"
        text = f"{row['lpips']:.4f}"
        text = f"**{text}**" if row["lpips"] == best[budget] else text
        more = row["calls"] - budget
        return text if abs(more) < 0.5 else f"{text} ({row['calls']:.1f} calls)"

    columns = ("LPIPS at", *(f"{budget} calls:" for budget in BUDGETS))
    return markdown_table(
        columns, [(shown, *(cell(name, b) for b in BUDGETS)) for name, shown in COMPARED.items()]
    )


def with_tables(text: str, runs: list[dict[str, Any]], fidelity: list[dict[str, Any]]) -> str:
    """The README's text with its measured tables replaced."""
    text = replace_table(text, "demo", table(runs))
    return replace_table(text, "compare", compare_table(fidelity))


def main() -> int:
    """Command line."""
    fidelity = json.loads(FIDELITY.read_text(encoding="utf-8"))["results"]
    demo = Path(os.environ.get("OTCACHE_DEMO", REPOSITORY / "demo_output"))
    report = json.loads((demo / "report.json").read_text(encoding="utf-8"))
    write_record("demo", "nox -s demo", report)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(demo / "contact_sheet.png", PICTURE)
    text = README.read_text(encoding="utf-8")
    README.write_text(with_tables(text, report["runs"], fidelity), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
