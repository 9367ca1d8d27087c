"""The compatibility page holds what the records hold."""

from __future__ import annotations

import json
import re

from benchmarks.records import RECORDS
from scripts.compatibility import PAGE, with_tables
from scripts.host import REPOSITORY

HELP = REPOSITORY / "web" / "docs" / "OTCacheSigmas.md"


def test_measured_tables_are_the_records() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text


def test_the_help_of_sigmas_says_what_was_measured() -> None:
    text = HELP.read_text(encoding="utf-8")
    record = json.loads((RECORDS / "samplers.json").read_text(encoding="utf-8"))["results"]
    rows = {row["sampler"]: row for row in record["rows"]}
    shown = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    for name, *errors in shown:
        assert errors == [f"{rows[name][way]:.4f}" for way in ("grid", "reuse", "slope")]
    assert len(shown) == 5
    better = {n for n, row in rows.items() if row["grid"] and row["grid"] < row[row["rule"]]}
    sentence = text.partition("one large step.")[2].partition("came closer")[0]
    assert set(re.findall(r"`(\w+)`", sentence)) == better
