"""The table of the node OTCache at other scales of guidance, and behind another scheduler."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.tables import markdown_table

FEW = (8, 11)
SOLVERS = ("euler", "res_multistep")
BEHIND = (16, 20, 30, 40)
ON_MORE = "*"
"""Marks a ratio of more pictures."""


def schedulers_table(results: dict[str, Any]) -> str:
    """The node's LPIPS over plain steps': as many as calls, then all that its default replaces."""
    rows = []
    for setting in results["settings"]:
        ways, more = _lpips(setting["ways"]), _lpips(setting["on_more_pictures"])
        few = (_ratio(ways, f"OTCache, {n} calls", f"plain euler, {n} steps") for n in FEW)
        default = (_default(ways, more, steps) for steps in BEHIND)
        plain = f"{ways['plain euler, 20 steps']:.4f}"
        rows.append(
            (f"`{setting['model']}`", setting["scheduler"], f"{setting['cfg']:g}", plain, *few)
            + tuple(default)
        )
    columns = (
        "model", "scheduler", "guidance:", "20 plain Euler steps:", *(f"{n} calls:" for n in FEW),
        *(f"default, {steps} steps:" for steps in BEHIND),
    )  # fmt: skip
    return markdown_table(columns, rows)


def _lpips(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {row["way"]: row["lpips"] for row in rows}


def _default(ways: dict[str, float], more: dict[str, float], steps: int) -> str:
    """The default behind so many steps of each solver, on more pictures where there are."""
    ratios = []
    for sampler in SOLVERS:
        plain = f"plain {sampler}, {steps} steps"
        ours = f"OTCache, its default for {steps} {sampler} steps"
        measured, mark = (more, ON_MORE) if ours in more else (ways, "")
        ratios.append(_ratio(measured, ours, plain) + mark)
    return " / ".join(ratios)


def _ratio(ways: dict[str, float], ours: str, other: str) -> str:
    return f"{ways[ours] / ways[other]:.2f}"
