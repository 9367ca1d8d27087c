"""The pages with measured tables hold what the records hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pages.compatibility import (
    TABLES,
    architectures_table,
    closer_by_sigmas,
    with_tables,
)


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


def test_an_architecture_is_as_good_as_on_the_worst_host_that_has_it() -> None:
    row = {
        "architecture": "A", "family": "F", "state": "tested", "class": "C", "latent": [1, 4, 8, 8],
        "predictions": 5, "steps": 12, "bit_identical": True, "sizes_apart": True, "freed": True,
        "one_node_exact": True, "one_node_short_untouched": True,
    }  # fmt: skip
    absent = {"architecture": "B", "family": "G", "state": "absent"}
    bad = row | {"class": "D", "one_node_exact": False}

    lines = architectures_table({"0.10.0": [bad, absent], "0.9.0": [row, absent]}).splitlines()[2:]

    assert lines == [
        "| A | `D` | 4 x 8 x 8 | 5 of 12 | yes | yes | yes | **no** | 0.9.0, 0.10.0 |",
        "| B | no `G` there | - | - | - | - | - | - | - |",
    ]
