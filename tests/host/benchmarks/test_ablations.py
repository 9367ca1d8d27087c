"""The ablations on two prompts: searches alone and together, MeanCache's estimate, going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import ablations
from benchmarks.ablations import Measured
from benchmarks.instruments import record
from benchmarks.runs.ablations import Extent
from benchmarks.runs.anchors import TINY

pytestmark = pytest.mark.host

EXTENT = Extent(pairs=2, held_out=2, trials=4, patience=4)


@pytest.fixture
def measured(host: Any, tmp_path: Path) -> Measured:
    return Measured(host, "demo-hard", tmp_path / "work", EXTENT)


def test_a_pairs_search_is_of_that_pair_with_the_look_backs_of_all(measured: Measured) -> None:
    bench = measured.bench
    start = bench.start("MeanCache", 0)
    schedule = bench.stage_1.schedule(start)

    alone = [bench.search_pair("MeanCache", pair) for pair in range(2)]
    together = bench.search_anchor(8)

    assert schedule.estimator == "meancache" and max(schedule.look_back) > 1
    assert together["start"] == pytest.approx(sum(of["start"] for of in alone) / 2)
    assert all(of["losses"][0] == of["start"] and len(of["losses"]) > 1 for of in alone)


def test_the_paper_predicts_by_rounding_with_its_estimate(measured: Measured) -> None:
    bench = measured.bench
    anchor = bench.paper_anchor([0, 2, 9, 20, 31, 39, 45, 49])

    schedule = bench.predicted(anchor, 10, 1.3, paper=True)
    judged = ablations.judged(bench, schedule)

    assert schedule.estimator == "meancache" and schedule.budget == 10
    assert set(schedule.slope_gain) == {1.0}
    assert len(judged["lpips"]) == len(judged["psnr"]) == len(judged["ssim"]) == 2
    assert all(0.0 < x < 1.0 for x in judged["lpips"])


@pytest.mark.slow
def test_the_packs_anchors_of_other_budgets_are_calibrated_once(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablations, "STANDARD", TINY)

    measured.anchors()
    lines = dict(measured.kept.lines)
    monkeypatch.setattr(ablations, "calibrated", None)  # what is there is not made again
    measured.anchors()

    assert list(lines) == ["standard 10 from 6", "standard 10 from 4"]
    assert all(len(line["computed_steps"]) == 10 for line in lines.values())
    assert measured.kept.lines == lines


@pytest.mark.slow
def test_the_record_is_written_and_what_is_kept_is_not_made_again(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RECORDS", tmp_path)
    monkeypatch.setattr(ablations, "RECORDS", tmp_path)
    monkeypatch.setattr(ablations, "start_host", lambda folder: host)
    command = ["--model", "demo-hard", "--part", "paper", "--work", str(tmp_path / "work")]

    ablations.main(command, EXTENT)
    first = record.read_results("ablations")
    made = first["models"]["demo-hard"]
    record.write_record("ablations", "", first | {"models": {"other": made, "demo-hard": {}}})
    monkeypatch.setattr(ablations.AblationBench, "search_pair", None)
    monkeypatch.setattr(ablations, "judged", None)
    ablations.main(command, EXTENT)

    assert record.read_results("ablations")["models"] == {"other": made, "demo-hard": made}
    assert (tmp_path / "ablations.png").is_file()
    assert (made["pairs"], len(made["paper_rho"]), len(made["paper_anchor"])) == (2, 8, 3)
