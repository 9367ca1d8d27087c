"""Intervals, ratios and the comparison with the last record, by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.instruments.numbers import by_prompt, interval, ratio_interval, row_of, worse
from benchmarks.pages.fidelity_plot import draw_pareto, lines_of


def _line(lpips: list[float]) -> dict[str, object]:
    count = len(lpips)
    return {
        "calls": [10] * count, "seconds": 0.5, "lpips": lpips, "psnr": [30.0] * count,
        "ssim": [0.9] * count, "note": "",
    }  # fmt: skip


def test_seeds_of_a_prompt_are_one_value() -> None:
    # Two prompts, all of the first seed before all of the second.
    assert by_prompt([1.0, 2.0, 3.0, 4.0], 2).tolist() == [2.0, 3.0]


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = interval(random.normal(5.0, 1.0, 30))
        hits += low <= 5.0 <= high
    assert 175 <= hits <= 199
    assert interval(np.full(8, 3.0)) == (3.0, 3.0)


def test_ratios_resample_the_same_prompts() -> None:
    """Prompts differ a hundredfold, but ours is half of theirs on each: the ratio is certain."""
    theirs = np.geomspace(0.01, 1.0, 20)

    ratio, low, high = ratio_interval(theirs / 2, theirs)

    assert (ratio, low, high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_row_says_how_ours_stands_to_it() -> None:
    lines = {"OTCache @ 10": _line([0.01, 0.02]), "other @ 10": _line([0.02, 0.04])}

    row = row_of("other", 10, lines["other @ 10"], lines, 1)

    assert (row["lpips"], row["lpips_median"], row["calls"]) == (0.03, 0.03, 10.0)
    assert row["ours_over"] == [0.5, 0.5, 0.5]
    assert "ours_over" not in row_of("OTCache", 10, lines["OTCache @ 10"], lines, 1)


def test_what_got_worse_beyond_its_interval_is_named() -> None:
    old = {"contestant": "OTCache", "budget": 10, "lpips": 0.010, "lpips_high": 0.012}
    within, beyond = old | {"lpips": 0.0119}, old | {"lpips": 0.0121}

    assert worse([old], [within]) == []
    (found,) = worse([old], [beyond])
    assert found.startswith("OTCache at 10 calls got worse: LPIPS 0.01210")
    assert worse([], [beyond]) == []


def test_the_picture_ranks_by_loss_and_shows_every_call(tmp_path: Path) -> None:
    rows = [
        row_of(name, budget, _line([factor / budget] * 4) | {"calls": [budget] * 4}, {}, 2)
        for name, factor in (
            ("bad", 0.5),
            ("good", 0.1),
            ("OTCache", 0.2),
            ("OTCache, reuse", 0.01),
        )
        for budget in (8, 10, 12)
    ]

    draw_pareto(rows, tmp_path / "plot.png")

    assert list(lines_of(rows)) == ["OTCache", "good", "bad"]
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.size == (1100, 760)
