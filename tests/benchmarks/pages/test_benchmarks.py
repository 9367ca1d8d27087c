"""The page of the benchmarks holds what the records hold, and names every benchmark."""

from __future__ import annotations

from benchmarks.__main__ import BENCHMARKS
from benchmarks.pages.benchmarks import PAGE, with_tables
from benchmarks.pages.gpu import NO_RECORD, gpu_node_table, gpu_table


def test_measured_tables_are_the_records() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text


def test_every_benchmark_has_a_line() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in BENCHMARKS if f"\n| `{name}` |" not in text] == []


def test_the_gpu_table_says_that_nothing_was_measured_or_shows_it() -> None:
    assert gpu_table({}) == gpu_node_table({}) == NO_RECORD
    row = {
        "budget": 10, "seconds": 2.5, "speedup": 4.9, "share_of_ideal": 0.98,
        "whole_speedup": 4.6, "paper_whole_speedup": 4.5, "added_ms": 1.0,
    }  # fmt: skip
    saved = {
        "about": {"model": "FLUX.1 dev"}, "plain": {"seconds": 12.25}, "table": [row],
        "steps": {"skipped_device_ms": 0.05}, "memory": {"extra": 2 * 2**20},
        "waits": {"computed": [0, 2], "skipped": [0, 0], "after": 1},
        "easycache": {"skipped_device_ms": 2.5},
        "one node": {
            "plain_seconds": 4.0, "node_seconds": 0.02, "first_seconds": 3.3, "seconds": 3.2,
            "computed": 16, "extra": 5 * 2**20,
        },
    }  # fmt: skip

    lines = gpu_table({"flux": saved}).splitlines()

    assert "| FLUX.1 dev | 50 | 12.25 |" in lines[2]
    assert "| 10 | 2.50 | 4.90x | 0.980 | 4.60x | 4.50x | 0.050 ms | 2.500 ms |" in lines[3]
    assert lines[3].endswith("| 2 computed, 0 skipped, 1 a run | 2.0 MiB |")

    node = gpu_node_table({"flux": saved}).splitlines()[2]
    assert node == "| FLUX.1 dev | 4.00 s | 3.30 s | 3.20 s | 16 | 1.25x | 20 ms | 5.0 MiB |"
