"""Keeps the measured tables of README and results page the same as their records.

`python -m benchmarks.pages.readme` takes the last demo run's report and pictures into the
repository's records and pictures, and writes the tables anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.contestants.contestant import ON_OURS
from benchmarks.instruments.record import read_results, write_record
from benchmarks.pages.drawn import summary_table as drawn_summary
from benchmarks.pages.tables import markdown_table, replace_table, rewrite
from otcache_core.drawing.contact_sheet import contact_sheet
from scripts.host.find import REPOSITORY
from scripts.workflows.demo import PROMPTS

README = REPOSITORY / "README.md"
RESULTS = REPOSITORY / "docs" / "results.md"
FIDELITY = "ground-demo"
"""The record of the bundled model."""
PICTURE = REPOSITORY / "docs" / "images" / "demo.png"
USE = REPOSITORY / "docs" / "images" / "use.png"
HARD_PICTURE = REPOSITORY / "docs" / "images" / "hard.png"
USE_SHOWS = {"full": "every step", "otcache_b10": "OTCache"}
USE_COLUMNS = 5

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
    f"Spectrum's Chebyshev ridge and slope, half each, {ON_OURS}": "Spectrum's forecast",
    "EasyCache (the host's)": "EasyCache",
}
"""Contestants of the fidelity benchmark that the results page shows."""


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


def hard_table(runs: list[dict[str, Any]]) -> str:
    """The runs at high guidance as a Markdown table."""
    rows = [(run["name"], str(run["calls"]), f"{run['lpips']:.4f}") for run in runs]
    return markdown_table(("run", "model calls:", "LPIPS to 200 steps:"), rows)


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


def readme(text: str) -> str:
    """The README's text with its measured tables replaced."""
    demo = read_results("demo")
    text = replace_table(text, "demo", table(demo["runs"]))
    text = replace_table(text, "hard", hard_table(demo["hard"]))
    return replace_table(text, "drawn-summary", drawn_summary(read_results("drawn")))


def results(text: str) -> str:
    """The results page's text with its measured table replaced."""
    return replace_table(text, "compare", compare_table(read_results(FIDELITY)["rows"]))


def use_picture(demo: Path, runs: list[dict[str, Any]]) -> Image.Image:
    """The same pictures by every step and by ten, with their model calls and seconds."""
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))["held_out"][:USE_COLUMNS]
    rows = []
    for run in runs:
        if run["name"] in USE_SHOWS:
            shown = sorted((demo / run["name"]).glob("*.png"))[:USE_COLUMNS]
            pixels = [np.asarray(Image.open(path).convert("RGB")) for path in shown]
            label = f"{USE_SHOWS[run['name']]}: {run['nfe']} calls, {run['seconds']:.2f} s"
            rows.append((label, pixels))
    columns = [text.removeprefix("a ") for text in prompts]
    return Image.fromarray(contact_sheet(rows=rows, columns=columns, scale=3))


def main() -> int:
    """Command line."""
    demo = Path(os.environ.get("OTCACHE_DEMO", REPOSITORY / "demo_output"))
    report = json.loads((demo / "report.json").read_text(encoding="utf-8"))
    write_record("demo", "nox -s demo", report)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(demo / "contact_sheet.png", PICTURE)
    shutil.copyfile(demo / "one_node_hard.png", HARD_PICTURE)
    use_picture(demo, report["runs"]).save(USE, optimize=True)
    return rewrite(README, readme) or rewrite(RESULTS, results)


if __name__ == "__main__":
    sys.exit(main())
