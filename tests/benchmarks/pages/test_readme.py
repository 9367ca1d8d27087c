"""What the README says is what the repository holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.pages.readme import (
    README,
    RESULTS,
    compare_table,
    hard_table,
    readme,
    results,
    use_picture,
)


@pytest.mark.parametrize(("page", "with_table"), [(README, readme), (RESULTS, results)])
def test_measured_tables_are_the_records(page: Path, with_table: Callable[[str], str]) -> None:
    text = page.read_text(encoding="utf-8")
    assert with_table(text) == text


def test_the_comparison_marks_the_best_and_says_other_calls() -> None:
    rows = [
        {"contestant": "OTCache", "budget": 8, "lpips": 0.005, "calls": 8.0},
        {"contestant": "EasyCache (the host's)", "budget": 8, "lpips": 0.002, "calls": 15.2},
    ]

    lines = compare_table(rows).splitlines()

    assert lines[2] == "| **OTCache** | 0.0050 | - | - | - |"
    assert "| EasyCache | **0.0020** (15.2 calls) | - | - | - |" in lines


def test_the_table_at_high_guidance_has_a_line_for_each_run() -> None:
    runs = [{"name": "OTCache, 11 calls", "calls": 11, "lpips": 0.08014}]
    assert hard_table(runs).splitlines()[-1] == "| OTCache, 11 calls | 11 | 0.0801 |"


def test_the_picture_shows_two_ways_and_their_cost(tmp_path: Path) -> None:
    for name, colour in (("full", "red"), ("otcache_b10", "blue"), ("euler_10", "green")):
        (tmp_path / name).mkdir()
        for number in range(8):
            Image.new("RGB", (64, 64), colour).save(tmp_path / name / f"{number:02}.png")
    runs = [
        {"name": "full", "nfe": 50, "seconds": 1.6},
        {"name": "otcache_b10", "nfe": 10, "seconds": 0.3},
        {"name": "euler_10", "nfe": 10, "seconds": 0.3},
    ]

    pixels = np.asarray(use_picture(tmp_path, runs))

    def area(*colour: int) -> int:
        return int((pixels == colour).all(axis=2).sum())

    shown = 5 * 192 * 192  # five pictures, each three times as wide and as high
    assert (area(255, 0, 0), area(0, 0, 255), area(0, 128, 0)) == (shown, shown, 0)
