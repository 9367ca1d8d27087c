"""The tables of the node OTCache in settings that were drawn by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.pages.tables import markdown_table

FEW = (8, 11)
PLAINLY = 0.75
"""A ratio of a quarter less."""


def summary_table(results: dict[str, Any]) -> str:
    """In how many settings the node is closer than what it is beside."""
    settings = results["settings"]
    shares = [row["calls"] / row["plain_calls"] for row in settings]
    lines = [
        ("its default, beside all steps", f"{np.mean(shares):.2f}",
         *_counts([row["default"] for row in settings]))
    ]  # fmt: skip
    for n in FEW:
        ratios = [row["few"][str(n)] for row in settings if str(n) in row["few"]]
        lines.append((f"{n} calls, beside {n} Euler steps", "1", *_counts(ratios)))
    columns = ("the node", "calls, of theirs:", "settings:", "closer:", "by a quarter or more:",
               "farther:", "farther beyond doubt:", "geometric mean:", "worst:")  # fmt: skip
    return markdown_table(columns, lines)


def _counts(ratios: Sequence[Sequence[float]]) -> list[str]:
    means, lows = (np.array([ratio[part] for ratio in ratios]) for part in (0, 1))
    counted = (means < 1, means <= PLAINLY, means > 1, lows > 1)
    geometric = float(np.exp(np.log(means).mean()))
    return [
        str(len(means)), *(str(int(part.sum())) for part in counted),
        f"{geometric:.2f}", f"{means.max():.2f}",
    ]  # fmt: skip


def drawn_table(results: dict[str, Any]) -> str:
    """Every setting, and the node's LPIPS over plain steps'."""
    columns = ("number:", "model", "guidance:", "shift:", "scheduler", "sampler", "steps:",
               "plain calls:", "plain LPIPS:", "calls:", "default:",
               *(f"{n} calls:" for n in FEW))  # fmt: skip
    return markdown_table(columns, [
        (
            str(row["number"]), f"`{row['model']}`", f"{row['cfg']:g}", _or_own(row["shift"]),
            row["scheduler"], row["sampler"], str(row["steps"]), f"{row['plain_calls']:g}",
            f"{row['plain_lpips']:.4f}", f"{row['calls']:g}", f"{row['default'][0]:.2f}",
            *(_ratio(row["few"].get(str(n))) for n in FEW),
        )
        for row in results["settings"]
    ])  # fmt: skip


def _or_own(shift: float | None) -> str:
    return "its own" if shift is None else f"{shift:g}"


def _ratio(ratio: Sequence[float] | None) -> str:
    return "-" if ratio is None else f"{ratio[0]:.2f}"
