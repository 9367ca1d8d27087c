"""Tables of one model's fidelity record."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.contestants.contestant import ON_OURS
from benchmarks.contestants.meancache import MEANCACHE
from benchmarks.contestants.own import ORACLE
from benchmarks.instruments.numbers import OURS, Row
from benchmarks.pages.tables import markdown_table


def budgets_of(rows: Sequence[Row]) -> list[int]:
    """The budgets of a record, the lowest first."""
    return sorted({row["budget"] for row in rows})


def _rivals(rows: Sequence[Row], budget: int) -> list[Row]:
    """Rows at a budget that are not ours, nor ours with a part switched off, nor the oracle."""
    return [
        row
        for row in rows
        if row["budget"] == budget and row["contestant"] != ORACLE and "ours_over" in row
        and not row["contestant"].startswith(OURS)
    ]  # fmt: skip


def leaders(rows: Sequence[Row], budget: int) -> dict[str, Row]:
    """Whom OTCache is measured by at a budget: MeanCache, the best rest, the best on our steps.

    The rest has steps of its own, and makes no more calls than were asked for. Who was not
    measured is left out.
    """
    found = {}
    rivals = _rivals(rows, budget)
    groups = {
        "MeanCache": [row for row in rivals if row["contestant"] == MEANCACHE],
        "rest": [
            row
            for row in rivals
            if row["contestant"] != MEANCACHE
            and not row["contestant"].endswith(ON_OURS)
            and row["calls"] < budget + 0.5
        ],
        "on our steps": [row for row in rivals if row["contestant"].endswith(ON_OURS)],
    }
    for name, group in groups.items():
        if group:
            found[name] = min(group, key=lambda row: row["lpips"])
    return found


def fidelity_table(rows: Sequence[Row]) -> str:
    """LPIPS with its interval, by contestant and model calls; the best of each column in bold."""
    budgets = budgets_of(rows)
    found = {(row["contestant"], row["budget"]): row for row in rows}
    rivals = [row for row in rows if row["contestant"] != ORACLE]
    best = {b: min(row["lpips"] for row in rivals if row["budget"] == b) for b in budgets}

    def cell(name: str, budget: int) -> str:
        row = found.get((name, budget))
        if row is None:
            return "-"
        text = f"{row['lpips']:.4f}"
        text = f"**{text}**" if row["lpips"] == best[budget] and name != ORACLE else text
        text += f" ({row['lpips_low']:.4f} to {row['lpips_high']:.4f})"
        return text if abs(row["calls"] - budget) < 0.5 else f"{text}, {row['calls']:.1f} calls"

    names = dict.fromkeys(row["contestant"] for row in rows)
    columns = ("contestant", *(f"{budget} calls:" for budget in budgets))
    return markdown_table(columns, [(n, *(cell(n, b) for b in budgets)) for n in names])


def lead_table(rows: Sequence[Row]) -> str:
    """How far ours leads whom it is measured by."""
    cells = []
    for budget in budgets_of(rows):
        for rival in leaders(rows, budget).values():
            ratio, low, high = rival["ours_over"]
            cells.append(
                (str(budget), rival["contestant"], f"{ratio:.2f}", f"{low:.2f} to {high:.2f}")
            )
    return markdown_table(("calls:", "against", "OTCache's LPIPS over its:", "interval:"), cells)
