"""Measured tables in hand-written pages: each stands between two comments that carry its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a column whose name ends with a colon is aligned to the right."""
    names = [name.removesuffix(":") for name in columns]
    rules = ["---:" if name.endswith(":") else "---" for name in columns]
    lines = ["| " + " | ".join(cells) + " |" for cells in (names, *rows)]
    lines.insert(1, "|" + "|".join(rules) + "|")
    return "\n".join(lines) + "\n"


def replace_table(text: str, name: str, table: str) -> str:
    """The page with one of its tables replaced."""
    begin, end = f"<!-- table:{name} -->\n", f"<!-- /table:{name} -->\n"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return before + begin + table + end + after


def rewrite(page: Path, with_tables: Callable[[str], str]) -> int:
    """Brings a page's tables up to date; the exit code of a command line that does just this."""
    text = page.read_text(encoding="utf-8")
    page.write_text(with_tables(text), encoding="utf-8", newline="\n")
    return 0
