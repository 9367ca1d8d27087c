"""Rows of what was measured."""

from __future__ import annotations

from benchmarks.contestants.measuring import key_of, rows_of
from benchmarks.models.sampled import STEPS


def test_a_cache_that_found_nothing_to_skip_has_no_row() -> None:
    line = {"seconds": 0.5, "lpips": [0.1, 0.2], "psnr": [30.0] * 2, "ssim": [0.9] * 2, "note": ""}
    lines = {
        key_of("skips", 8): line | {"calls": [9, STEPS]},
        key_of("full", 8): line | {"calls": [STEPS] * 2, "lpips": [0.0] * 2},
        key_of("left out", 8): None,
    }

    rows = rows_of(("skips", "full", "left out"), lines, (8,), seeds=1)

    assert [row["contestant"] for row in rows] == ["skips"]
