"""Keeps the README's measured table the same as the record it comes from.

`python -m scripts.readme` takes the last demo run's report and contact sheet into the repository's
records and pictures, and writes the table anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.records import write_record
from scripts.host import REPOSITORY
from scripts.tables import replace_table

README = REPOSITORY / "README.md"
RECORD = REPOSITORY / "benchmarks" / "records" / "demo.json"
PICTURE = REPOSITORY / "docs" / "images" / "demo.png"

NAMES = {
    "full": "all 50 steps",
    "otcache_b15": "**OTCache, budget 15**",
    "otcache_b10": "**OTCache, budget 10**",
    "otcache_b8": "**OTCache, budget 8**",
    "euler_10": "plain Euler, 10 steps",
}


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


def with_table(text: str, runs: list[dict[str, Any]]) -> str:
    """The README's text with its measured table replaced."""
    return replace_table(text, "demo", table(runs))


def main() -> int:
    """Command line."""
    demo = Path(os.environ.get("OTCACHE_DEMO", REPOSITORY / "demo_output"))
    report = json.loads((demo / "report.json").read_text(encoding="utf-8"))
    write_record("demo", "nox -s demo", report)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(demo / "contact_sheet.png", PICTURE)
    text = README.read_text(encoding="utf-8")
    README.write_text(with_table(text, report["runs"]), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
