"""The page of today's models has the calls that the node takes, and the classes that were tried."""

from __future__ import annotations

from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.pages import models
from benchmarks.pages.models import PAGE, calls_of, stock_table, with_tables
from scripts.workflows.one_node import ONE_NODE_WORKFLOWS
from scripts.workflows.stock import FEW_STEPS, STOCK, Stock


def _stock(steps: tuple[int, ...], sampler: str = "euler") -> Stock:
    return Stock("A", "a", steps, sampler, "simple", "", "cfg 4", "Tiny A")


def test_the_tables_are_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run python -m benchmarks.pages.models"


def test_calls_count_for_each_part_of_a_run() -> None:
    assert calls_of(_stock((25,))) == (23,)
    assert calls_of(_stock((25,), "res_multistep")) == (20,)
    assert calls_of(_stock((10, 10))) == (8, 8)
    assert calls_of(_stock((20,)), steadiness=1.0) == (12,)
    assert calls_of(_stock((10, 10)), steadiness=1.0) == (8, 8)  # parts keep theirs


def test_a_sampler_that_adds_noise_makes_all_calls_unless_a_number_is_given() -> None:
    assert calls_of(_stock((20,), "euler_ancestral")) == (20,)
    assert calls_of(_stock((20,), "euler_ancestral"), 16) == (16,)


def test_a_line_says_where_the_class_was_sampled(monkeypatch) -> None:
    monkeypatch.setattr(models, "STOCK", (_stock((20,)),))
    tested = {"architecture": "Tiny A", "state": "tested"}
    absent = {"architecture": "Tiny A", "state": "absent"}

    (line,) = stock_table({"1.0": [tested], "2.0": [absent]}).splitlines()[2:]
    assert line.startswith("| A (`a`) | 20 | euler, simple | its own | cfg 4 | 16 | 20 % | 12 |")
    assert "small, on 1.0 |" in line
    (line,) = stock_table({"2.0": [absent]}).splitlines()[2:]
    assert "no: by its class's rules alone" in line


def test_every_model_has_a_small_one_of_its_class() -> None:
    assert {stock.architecture for stock in STOCK} <= {a.name for a in ARCHITECTURES}


def test_few_steps_are_fewer_than_the_node_takes_up() -> None:
    assert max(steps for _, steps in FEW_STEPS.values()) < 9


def test_the_page_names_the_models_that_have_a_template() -> None:
    words = " ".join(PAGE.read_text(encoding="utf-8").split())
    for name in ONE_NODE_WORKFLOWS:
        assert name.removeprefix("OTCache node for ") in words
