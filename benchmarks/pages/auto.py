"""The table of the node OTCache: each model's way to the converged picture, the hardest first."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.tables import markdown_table

COLUMNS = {
    "plain euler, 20 steps": "20 plain Euler steps",
    "plain res_multistep, 20 steps": "res_multistep",
    "plain euler, 11 steps": "11 plain Euler steps",
    "OTCache fine, 8 calls": "OTCache, 8 calls",
    "OTCache fine, 11 calls": "11",
    "OTCache fine, taught, 11 calls": "11, taught",
    "OTCache fine, 16 calls": "16",
    "OTCache fine, taught, 16 calls": "16, taught",
    "OTCache fine, taught, 20 calls": "20, taught",
    "OTCache fine, with an anchor, 11 calls": "11, with an anchor",
    "EasyCache 0.2": "EasyCache at its default",
}

Row = dict[str, Any]


def auto_table(results: Row) -> str:
    """LPIPS by model; where the node is closer than the 20 Euler steps it is bold."""
    models = {name: {r["way"]: r for r in rows} for name, rows in results["models"].items()}
    own = "plain euler, 20 steps"
    ordered = sorted(models.items(), key=lambda item: -item[1][own]["lpips"])
    rows = [
        (f"`{name}`", *(_cell(way, ways, ways[own]["lpips"]) for way in COLUMNS))
        for name, ways in ordered
    ]
    return markdown_table(("model", *(f"{title}:" for title in COLUMNS.values())), rows)


def _cell(way: str, ways: dict[str, Row], own: float) -> str:
    row = ways.get(way)
    if row is None:
        return "-"
    text = f"{row['lpips']:.4f}"
    if way.startswith("EasyCache"):
        return f"{text} ({row['calls']:g} calls)"
    return f"**{text}**" if way.startswith("OTCache") and row["lpips"] <= own else text
