"""The table of the node OTCache behind another scheduler."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.tables import markdown_table

FEW = (8, 11)
BEHIND = tuple((sampler, steps) for sampler in ("euler", "res_multistep") for steps in (16, 20))


def schedulers_table(results: dict[str, Any]) -> str:
    """The node's LPIPS over plain steps': as many as calls, then all that its default replaces."""
    rows = []
    for setting in results["settings"]:
        ways = {row["way"]: row["lpips"] for row in setting["ways"]}
        pairs = [(f"OTCache, {n} calls", f"plain euler, {n} steps") for n in FEW]
        pairs += [
            (f"OTCache, its default for {steps} {sampler} steps", f"plain {sampler}, {steps} steps")
            for sampler, steps in BEHIND
        ]
        plain = f"{ways['plain euler, 20 steps']:.4f}"
        ratios = (f"{ways[ours] / ways[other]:.2f}" for ours, other in pairs)
        rows.append((f"`{setting['model']}`", f"{setting['cfg']:g}", plain, *ratios))
    columns = (
        "model", "guidance:", "20 plain Euler steps:", *(f"{n} calls:" for n in FEW),
        *(f"default, {steps} {sampler} steps:" for sampler, steps in BEHIND),
    )  # fmt: skip
    return markdown_table(columns, rows)
