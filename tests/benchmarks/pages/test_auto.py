"""The ratios of the node's tables, by hand."""

from __future__ import annotations

import pytest

from benchmarks.pages.auto import (
    BEHIND,
    CALLS,
    auto_farther_table,
    auto_solvers_table,
    auto_steps_table,
)

LPIPS = {
    **{f"plain euler, {n} steps": 0.04 for n in (8, 11, 15, 16, 20, 22, 25, 30, 40, 50)},
    **{f"plain res_multistep, {n} steps": 0.05 for n in (8, 11, 15, 16, 20, 22, 25, 30, 40, 50)},
    "plain res_multistep, 16 steps": 0.01,
    "OTCache fine, its default for 25 steps": 0.05,
    "OTCache fine, 16 calls": 0.01,
    "OTCache fine, its default for 16 res_multistep steps": 0.02,
    "OTCache fine, its default for 20 res_multistep steps": 0.02,
    "OTCache fine, 8 calls": 0.02,
    "OTCache fine, taught, 20 calls": 0.6,
    "OTCache fine, with an anchor of 100 steps, 20 calls": 0.01,
}


@pytest.fixture
def results():
    easier = {"plain euler, 20 steps": 0.03}
    models = {"easy": LPIPS | easier, "hard": LPIPS}
    rows = {
        name: [{"way": way, "calls": 9.0, "lpips": lpips} for way, lpips in ways.items()]
        for name, ways in models.items()
    }
    rows["easy"] += [
        {"way": f"OTCache fine, {told}its default for {n} steps", "calls": calls, "lpips": 0.01}
        for n in (16, 30, 40, 50)
        for told, calls in (("", 40.0), ("taught, ", 30.0))
    ]
    return {"models": rows}


def _cells(table: str) -> list[list[str]]:
    rows = [line.strip("| ").split("|") for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows if row != [""]]


def test_the_default_is_held_against_the_steps_it_stands_behind(results):
    hard, behind_other, easy, taught, _ = _cells(auto_steps_table(results))

    assert BEHIND == (16, 20, 25, 30, 40, 50)
    assert hard == ["`hard`", "euler", "-", "0.25 (9)", "1.25 (9)", "-", "-", "-"]
    assert behind_other == ["`hard`", "res_multistep", "2.00 (9)", "0.40 (9)", "-", "-", "-", "-"]
    many = ["0.25 (40)"] * 3
    assert easy == ["`easy`", "euler", "0.25 (40)", "0.33 (9)", "1.25 (9)", *many]
    fewer = ["0.25 (30)"] * 3
    assert taught == ["`easy`", "euler, taught", "0.25 (30)", "-", "-", *fewer]


def test_the_best_solver_is_the_one_to_beat_at_once_and_twice_the_steps(results):
    alone, taught, anchor = _cells(auto_solvers_table(results))[:3]

    assert CALLS == (8, 11, 15, 20)
    assert alone == ["`hard`", "alone", "0.50 / 2.00", "-", "-", "-"]
    assert taught == ["`hard`", "taught", "-", "-", "-", "15 / 15"]
    # Without a row where nothing was measured: there is no anchor of 50 steps.
    assert anchor == ["`hard`", "with an anchor of 100 steps", "-", "-", "-", "0.25 / 0.25"]


def test_where_the_node_is_farther_than_the_samplers_own_steps(results):
    results["models"]["easy"].append({"way": "OTCache fine, 11 calls", "lpips": 0.0301})
    results["models"]["hard"].append({"way": "OTCache fine, 11 calls", "lpips": 0.04})

    by_way = dict(_cells(auto_farther_table(results)))

    assert by_way["11"] == "`easy`"  # 0.0301 over 0.03, and 0.04 is no more than 0.04
    assert by_way["8 calls"] == "nowhere"
    assert by_way["20, taught"] == "`hard`, `easy`"
    assert by_way["16, taught"] == "nowhere"  # not measured
