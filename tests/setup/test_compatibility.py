"""The compatibility page holds what the records hold."""

from __future__ import annotations

from scripts.compatibility import PAGE, with_tables


def test_measured_tables_are_the_records() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text
