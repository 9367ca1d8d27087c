"""Tables over all models of the proving ground, the hardest first."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log
from typing import Any

from benchmarks.contestants.generic import GENERIC
from benchmarks.contestants.own import ORACLE
from benchmarks.instruments.numbers import Row
from benchmarks.instruments.record import RECORDS, read_results
from benchmarks.models import grounds
from benchmarks.pages.fidelity import budgets_of, fidelity_table, lead_table, leaders
from benchmarks.pages.tables import markdown_table

PLAIN, PLAIN_CALLS = "fewer steps: euler", 15
"""Whose LPIPS says how hard a model is."""

Record = dict[str, Any]


def _plain(rows: Iterable[Row], calls: int) -> float:
    at = (r["lpips"] for r in rows if (r["contestant"], r["budget"]) == (PLAIN, calls))
    return float(next(at, 0.0))


def records() -> dict[str, Record]:
    """The records of all models, the hardest first."""
    names = [path.stem for path in RECORDS.glob("ground-*.json")]
    found = {name.removeprefix("ground-"): read_results(name) for name in sorted(names)}
    return dict(sorted(found.items(), key=lambda item: -_plain(item[1]["rows"], PLAIN_CALLS)))


def unmeasured() -> list[str]:
    """Models without a record, weights here or not."""
    return [name for name in grounds.usual() if name not in records()]


def _ratios(record: Record, budget: int) -> tuple[float | None, float | None]:
    """OTCache's mean LPIPS over MeanCache's and over the best of the rest."""
    found = leaders(record["rows"], budget)
    mean, rest = (found[who]["ours_over"][0] if who in found else None
                  for who in ("MeanCache", "rest"))  # fmt: skip
    return mean, rest


def _pair(ratios: Iterable[float | None]) -> str:
    shown = ("-" if r is None else f"**{r:.2f}**" if r > 1 else f"{r:.2f}" for r in ratios)
    return " / ".join(shown)


def summary_table() -> str:
    """OTCache over MeanCache and over the best of the rest, by model and budget."""
    found = records()
    budgets = sorted({b for record in found.values() for b in budgets_of(record["rows"])})
    cells = {b: {name: _ratios(record, b) for name, record in found.items()} for b in budgets}
    rows = []
    for name, record in found.items():
        plain = f"{_plain(record['rows'], PLAIN_CALLS):.4f}"
        rows.append((f"`{name}`", plain, *(_pair(cells[b][name]) for b in budgets)))
    columns = {b: [*zip(*cells[b].values(), strict=True)] for b in budgets}

    rows += [(f"`{name}`", "no record yet", *["-"] * len(budgets)) for name in unmeasured()]

    def over_models(title: str, of: Any) -> tuple[str, ...]:
        known = {b: [[r for r in column if r] for column in columns[b]] for b in budgets}
        return title, "", *(_pair(of(c) if c else None for c in known[b]) for b in budgets)

    rows.append(over_models("geometric mean", lambda c: exp(sum(map(log, c)) / len(c))))
    rows.append(over_models("worst", max))
    names = (f"{budget} calls:" for budget in budgets)
    return markdown_table(("model", "15 plain Euler steps:", *names), rows)


def losses_table() -> str:
    """Every place where a contestant is closer than OTCache, its own variants among them."""
    rows = []
    for name, record in records().items():
        for row in sorted(record["rows"], key=lambda r: (r["budget"], r["lpips"])):
            ratio, low, high = row.get("ours_over", (0.0, 0.0, 0.0))
            if ratio <= 1.0 or row["contestant"] == ORACLE:
                continue
            calls = f"{row['budget']}" + (
                f" ({row['calls']:.1f} made)" if abs(row["calls"] - row["budget"]) >= 0.5 else ""
            )
            sure = "yes" if low > 1 else "no"
            cells = (f"`{name}`", calls, row["contestant"], f"{ratio:.2f}")
            rows.append((*cells, f"{low:.2f} to {high:.2f}", sure))
    columns = ("model", "calls:", "who is closer", "OTCache's LPIPS over its:", "interval:",
               "beyond doubt")  # fmt: skip
    return markdown_table(columns, rows)


def uncalibrated_table() -> str:
    """A preset that was not made for the model, over plain fewer steps."""
    found = records()
    budgets = sorted({b for record in found.values() for b in budgets_of(record["rows"])})
    rows = []
    for name, record in found.items():
        by_budget = {r["budget"]: r["lpips"] for r in record["rows"] if r["contestant"] == GENERIC}
        plain = {b: _plain(record["rows"], b) for b in budgets}
        ratios = ((by_budget[b] / plain[b] if b in by_budget else None,) for b in budgets)
        rows.append((f"`{name}`", *map(_pair, ratios)))
    return markdown_table(("model", *(f"{budget} calls:" for budget in budgets)), rows)


def left_out_table(results: Any) -> str:
    """The flow preset on the model that half of it comes from, with that half and without it.

    Args:
        results: Of `benchmarks/presets.py`.
    """
    found = results["left_out"]
    rows = []
    for row in found["rows"]:
        for what, name in (("preset", "as it is"), ("left_out", "without `demo`'s steps")):
            ratios = (lost / plain for lost, plain in zip(row[what], row["fewer"], strict=True))
            rows.append((f"`{row['model']}`", name, *(_pair([ratio]) for ratio in ratios)))
    calls = (f"{budget} calls:" for budget in found["budgets"])
    return markdown_table(("model", "flow preset", *calls), rows)


def models() -> str:
    """A section for each model that has a record: what it is, all contestants, the leads."""
    parts = []
    for name, record in records().items():
        shape = " x ".join(map(str, record["latent"]))
        parts.append(
            f"\n### {name}\n\n{record['architecture']} on latents of {shape}, guidance "
            f"{record['cfg']:g}, `{record['scheduler']}` scheduler, {record['prompts']} held-out "
            f"prompts with {record['seeds']} seeds each.\n\n{fidelity_table(record['rows'])}"
            f"\n![LPIPS by model calls](records/ground-{name}.png)\n\n"
            f"{lead_table(record['rows'])}"
        )
    return "".join(parts)
