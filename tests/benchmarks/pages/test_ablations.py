"""The tables and the picture of the ablations, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.instruments.record import read_results
from benchmarks.pages.ablations import (
    anchor_table,
    rho_table,
    search_table,
    starts_table,
    trials_table,
)
from benchmarks.pages.ablations_plot import ROW, WIDTH, distribution, draw_ablations


def _search(start: list[float], best: list[list[float]]) -> dict[str, Any]:
    return {
        "start": start, "best": best, "found_at": [[30, 10, 50, 20, 40], [6, 9, 8, 7, 5]],
        "trials": [80, 60],
    }  # fmt: skip


def _row(lpips: float, over: list[float], **what: Any) -> dict[str, Any]:
    return {
        "lpips": lpips, "lpips_low": lpips / 2, "lpips_high": lpips * 2, "psnr": 20.125,
        "ssim": 0.75, "over_papers_choice": over, **what,
    }  # fmt: skip


@pytest.fixture
def results() -> dict[str, Any]:
    best = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.1, 0.1, 0.1, 0.1]]
    section = {
        "searches": {
            "MeanCache": _search([0.4, 0.1], best),
            "uniform": _search([0.5, 0.5], [[2 * x for x in of] for of in best]),
            "random": _search([0.6, 0.6], [[x / 2 for x in of] for of in best]),
        },
        "paper_rho": [
            _row(0.2, [1.0, 1.0, 1.0], budget=15, rho=1.3),
            _row(0.1, [0.5, 0.4, 0.6], budget=15, rho=1.45),
        ],
        "standard_rho": [],
        "paper_anchor": [
            _row(0.2, [1.0, 1.0, 1.0], anchor=8),
            _row(0.3, [1.5, 1.1, 2.0], anchor=6),
            _row(0.1, [0.5, 0.4, 1.1], anchor=4),
        ],
        "standard_anchor": [_row(0.1, [1.0, 1.0, 1.0], anchor=8)],
    }
    return {"models": {"toy": section}}


def _cells(table: str) -> list[list[str]]:
    rows = [line.strip("| ").split("|") for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def test_ranks_are_means_over_pairs_with_both_gains(results: dict[str, Any]) -> None:
    rows = _cells(search_table(results))

    # (0.4 + 0.1) / 2 before, 0.1 after; shares of 3/4 and 0.
    assert rows[0] == ["`toy`", "Top-1", "0.2500", "0.1000", "60.0 %", "37.5 %"]
    assert rows[4] == ["`toy`", "Top-5", "0.2500", "0.3000", "-20.0 %", "-12.5 %"]


def test_trials_are_those_of_the_best_of_one_of_them_and_of_all(results: dict[str, Any]) -> None:
    [row] = _cells(trials_table(results))

    assert row[1:] == ["70 / 80", "18 / 30", "8 / 10", "7.5 / 10", "29.5 / 50", "29.5 / 50"]


def test_starts_stand_beside_what_they_lead_to(results: dict[str, Any]) -> None:
    [row] = _cells(starts_table(results))

    assert row[1:4] == ["0.2000 from 0.2500", "0.4000 from 0.5000", "**0.1000** from 0.6000"]
    assert row[4:] == ["0.50 (0.50 to 0.50)", "2.00 (2.00 to 2.00)"]


def test_predictions_are_marked_where_they_differ_beyond_doubt(results: dict[str, Any]) -> None:
    [rho] = _cells(rho_table(results))
    [anchor] = _cells(anchor_table(results))  # that of the pack has nothing to compare with

    assert rho[:3] == ["`toy`", "the paper's", "15"]
    assert rho[3] == "0.2000 (0.1000 to 0.4000), 20.12, 0.750"
    assert rho[4] == "**0.1000** - (0.0500 to 0.2000), 20.12, 0.750"
    assert anchor[3].startswith("0.3000 + (") and anchor[4].startswith("**0.1000** (")


def test_a_distribution_climbs_at_its_values() -> None:
    assert distribution([3, 1], 0, 4) == [
        *((0, 0.0), (1, 0.0), (1, 0.5), (3, 0.5), (3, 1.0), (4, 1.0)),
    ]


def test_the_picture_has_a_row_for_each_model(results: dict[str, Any], tmp_path: Path) -> None:
    heights = []
    for names in (["toy"], ["toy", "other"]):
        draw_ablations(dict.fromkeys(names, results["models"]["toy"]), tmp_path / "plot.png")
        with Image.open(tmp_path / "plot.png") as picture:
            assert picture.width == WIDTH
            assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 20
            heights.append(picture.height)
    assert heights[1] - heights[0] == ROW


# What the page says came out, beside its tables: a new record that says otherwise needs new words.


def test_every_pair_finds_better_than_its_start_by_more_than_the_papers_gain() -> None:
    for section in read_results("ablations")["models"].values():
        searches = section["searches"]["MeanCache"]
        pairs = list(zip(searches["start"], searches["best"], strict=True))
        assert len(pairs) == 10 and all(best[0] < start for start, best in pairs)
        assert 1 - sum(best[0] for _, best in pairs) / sum(searches["start"]) > 0.25


def test_anchors_over_all_pairs_fall_as_the_page_says() -> None:
    anchors = {n: s["anchors"]["8"] for n, s in read_results("ablations")["models"].items()}

    falls = {n: round(100 * (1 - a["calibration"] / a["start"])) for n, a in anchors.items()}

    assert falls == {"demo-hard": 23, "latent-hard": 40, "unet-hard": 19, "demo": 0}
    assert anchors["demo"]["trials"] == 51


def _surely_lower(model: str) -> set[tuple[int, float]]:
    rows = read_results("ablations")["models"][model]["paper_rho"]
    return {(r["budget"], r["rho"]) for r in rows if r["over_papers_choice"][2] < 1.0}


def test_the_papers_rho_is_beaten_where_the_page_says() -> None:
    assert _surely_lower("demo-hard") == _surely_lower("unet-hard") == {(10, 1.0), (15, 1.0)}
    assert _surely_lower("latent-hard") == {(10, 1.0), (15, 1.15)}
    assert _surely_lower("demo") == set()


def test_a_lower_anchor_is_surely_worse_in_one_place() -> None:
    worse = [
        (model, row["anchor"])
        for model, section in read_results("ablations")["models"].items()
        for row in section["paper_anchor"]
        if row["over_papers_choice"][1] > 1.0
    ]
    assert worse == [("latent-hard", 6)]
