"""Keeps the tables of `docs/models.md`: what the node OTCache makes of ComfyUI's own templates.

`python -m benchmarks.pages.models` writes them anew. Calls follow from the templates' steps and the
node's rules; which classes were sampled here is in the record of the architectures.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.instruments.record import read_results
from benchmarks.pages.tables import markdown_table, replace_table, rewrite
from otcache_core.auto_plan import STEADY, calls_for
from scripts.host.find import REPOSITORY
from scripts.workflows.stock import FEW_STEPS, STOCK, Stock

PAGE = REPOSITORY / "docs" / "models.md"

Hosts = Mapping[str, Sequence[Mapping[str, Any]]]


def calls_of(stock: Stock, asked: int = 0, steadiness: float | None = None) -> tuple[int, ...]:
    """Model calls of each part of a run with the node OTCache in front of the sampler.

    Args:
        stock: The model as its template samples it.
        asked: The node's `calls`.
        steadiness: What pictures have shown of the model, which counts in whole runs.
    """
    if stock.adds_noise and not asked:
        return stock.steps
    pace = {"higher_order": stock.of_higher_order, "even": stock.even}
    known = steadiness if len(stock.steps) == 1 else None
    return tuple(calls_for(steps, asked, **pace, steadiness=known) for steps in stock.steps)


def _in_words(parts: Sequence[int]) -> str:
    return " + ".join(map(str, parts))


def _seen(stock: Stock, hosts: Hosts) -> str:
    """Where the small model of a class was sampled, or that it was not."""
    on = [
        version
        for version, rows in hosts.items()
        for row in rows
        if row["architecture"] == stock.architecture and row["state"] == "tested"
    ]
    return f"small, on {' and '.join(on)}" if on else "no: by its class's rules alone"


def stock_table(hosts: Hosts) -> str:
    """Models whose templates have steps to save."""
    columns = (
        "model", "steps:", "sampler, scheduler", "shift", "guidance", "calls:", "saved:",
        "straight on:", "class sampled here", "about",
    )  # fmt: skip
    cells = []
    for stock in STOCK:
        calls = calls_of(stock)
        saved = 1.0 - sum(calls) / sum(stock.steps)
        fewer = calls_of(stock, steadiness=STEADY)
        cells.append((
            f"{stock.model} (`{stock.template}`)", _in_words(stock.steps),
            f"{stock.sampler}, {stock.scheduler}", stock.shift or "its own", stock.guidance,
            _in_words(calls), f"{100 * saved:.0f} %",
            _in_words(fewer) if fewer != calls else "", _seen(stock, hosts), stock.about,
        ))  # fmt: skip
    return markdown_table(columns, cells)


def few_steps_table() -> str:
    """Models that the node leaves alone."""
    rows = [(name, f"`{template}`", str(steps)) for name, (template, steps) in FEW_STEPS.items()]
    return markdown_table(("model", "template", "steps:"), rows)


def with_tables(text: str) -> str:
    """The page's text with its tables as they should be."""
    text = replace_table(text, "stock", stock_table(read_results("architectures")["hosts"]))
    return replace_table(text, "few steps", few_steps_table())


if __name__ == "__main__":
    sys.exit(rewrite(PAGE, with_tables))
