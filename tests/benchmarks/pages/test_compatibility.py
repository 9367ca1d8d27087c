"""The pages with measured tables hold what the records hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pages.compatibility import TABLES, closer_by_sigmas, with_tables


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page.stem)
def test_measured_tables_are_the_records(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert with_tables(page, text) == text


def test_samplers_that_take_large_steps_well_are_named() -> None:
    rows = [
        {"sampler": "a", "rule": "slope", "slope": 0.2, "grid": 0.1},
        {"sampler": "b", "rule": "slope", "slope": 0.1, "grid": 0.2},
        {"sampler": "c", "rule": "reuse", "reuse": None, "grid": 0.2},
        {"sampler": "d", "rule": "every step computed", "grid": None},
    ]
    assert closer_by_sigmas({"rows": rows}).endswith("than with caching: `a`, `c`.\n")
