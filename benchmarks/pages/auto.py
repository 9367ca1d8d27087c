"""The table of the node OTCache: each model's way to the converged picture, the hardest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.pages.tables import markdown_table

COLUMNS = {
    "plain euler, 20 steps": "20 plain Euler steps",
    "plain res_multistep, 20 steps": "res_multistep",
    "plain euler, 11 steps": "11 plain Euler steps",
    "OTCache fine, 8 calls": "OTCache, 8 calls",
    "OTCache fine, 11 calls": "11",
    "OTCache fine, 16 calls": "16",
    "OTCache fine, 20 calls": "20",
    "OTCache fine, taught, 16 calls": "16, taught",
    "OTCache fine, taught, 20 calls": "20, taught",
    "OTCache fine, with an anchor, 11 calls": "11, with an anchor",
    "EasyCache 0.2": "EasyCache at its default",
}

BEHIND = (16, 20, 25, 30, 40, 50)
"""Steps of samplers that the node's default was tried behind."""

OTHER = "res_multistep"
"""The sampler of higher order among them."""

CALLS = (8, 11, 15, 20)

OWN = "plain euler, 20 steps"

Row = dict[str, Any]


def auto_table(results: Row) -> str:
    """LPIPS by model; where the node is closer than the 20 Euler steps it is bold."""
    rows = [
        (f"`{name}`", *(_cell(way, ways, ways[OWN]["lpips"]) for way in COLUMNS))
        for name, ways in _by_hardness(results)
    ]
    return markdown_table(("model", *(f"{title}:" for title in COLUMNS.values())), rows)


def auto_farther_table(results: Row) -> str:
    """Where the node is farther from the converged picture than the 20 Euler steps, if anywhere."""
    rows = []
    for way, title in COLUMNS.items():
        if way.startswith("OTCache"):
            farther = [
                f"`{name}`"
                for name, ways in _by_hardness(results)
                if way in ways and ways[way]["lpips"] > ways[OWN]["lpips"]
            ]
            rows.append((title.removeprefix("OTCache, "), ", ".join(farther) or "nowhere"))
    return markdown_table(("calls", "farther than 20 Euler steps on"), rows)


def auto_steps_table(results: Row) -> str:
    """The default's calls, and its LPIPS over that of the sampler's own steps.

    Taught, too, where that changes anything.
    """
    rows = []
    for name, ways in _by_hardness(results):
        default = {steps: f"OTCache fine, its default for {steps} steps" for steps in BEHIND}
        if default[20] not in ways:  # in older rows
            default[20] = "OTCache fine, 16 calls"
        taught = {steps: f"OTCache fine, taught, its default for {steps} steps" for steps in BEHIND}
        other = {steps: f"OTCache fine, its default for {steps} {OTHER} steps" for steps in BEHIND}
        for told, ours in (("euler", default), ("euler, taught", taught), (OTHER, other)):
            solver = told.partition(",")[0]
            plain = {steps: f"plain {solver}, {steps} steps" for steps in BEHIND}
            cells = [_with_calls(ways, ours[n], plain[n]) for n in BEHIND]
            if ours is not taught or any(cell not in ("-", *rows[-1]) for cell in cells):
                rows.append((f"`{name}`", told, *cells))
    return markdown_table(("model", "sampler", *(f"{steps} steps:" for steps in BEHIND)), rows)


def auto_solvers_table(results: Row) -> str:
    """LPIPS over that of the best plain solver with as many steps, and with twice as many."""
    rows = []
    for name, ways in _by_hardness(results):
        for told in ("alone", "taught", "with an anchor", "with an anchor of 100 steps"):
            way = "OTCache fine" if told == "alone" else f"OTCache fine, {told}"
            if not any(f"{way}, {calls} calls" in ways for calls in CALLS):
                continue
            cells = []
            for calls in CALLS:
                once, twice = (_plain(ways, times * calls) for times in (1, 2))
                ours = f"{way}, {calls} calls"
                ratios = f"{_ratio(ways, ours, once)} / {_ratio(ways, ours, twice)}"
                cells.append(ratios if ours in ways else "-")
            rows.append((f"`{name}`", told, *cells))
    return markdown_table(("model", "", *(f"{calls} calls:" for calls in CALLS)), rows)


def _by_hardness(results: Row) -> list[tuple[str, dict[str, Row]]]:
    """Models with their rows by way, the hardest first."""
    models = {name: {r["way"]: r for r in rows} for name, rows in results["models"].items()}
    return sorted(models.items(), key=lambda item: -item[1][OWN]["lpips"])


def _plain(ways: dict[str, Row], steps: int) -> list[str]:
    return [way for way in ways if way.startswith("plain") and way.endswith(f", {steps} steps")]


def _with_calls(ways: dict[str, Row], way: str, other: str) -> str:
    return f"{_ratio(ways, way, (other,))} ({ways[way]['calls']:g})" if way in ways else "-"


def _ratio(ways: dict[str, Row], way: str, others: Iterable[str]) -> str:
    if way not in ways:
        return "-"
    ratio: float = ways[way]["lpips"] / min(ways[other]["lpips"] for other in others)
    return f"{ratio:.2f}" if ratio < 10.0 else f"{ratio:.0f}"


def _cell(way: str, ways: dict[str, Row], own: float) -> str:
    row = ways.get(way)
    if row is None:
        return "-"
    text = f"{row['lpips']:.4f}"
    if way.startswith("EasyCache"):
        return f"{text} ({row['calls']:g} calls)"
    return f"**{text}**" if way.startswith("OTCache") and row["lpips"] <= own else text
