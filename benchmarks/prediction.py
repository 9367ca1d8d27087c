"""How long stage 3 takes: one prediction, for budgets over the whole range."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.instruments.record import write_record
from benchmarks.runs.predictions import measure_prediction

BUDGETS = (8, 9, 10, 12, 15, 20, 30, 49)


def main(arguments: Sequence[str]) -> None:
    """Measures, prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300)
    args = parser.parse_args(arguments)
    rows = [
        measure_prediction(b, args.repeats, cold=cold) for cold in (True, False) for b in BUDGETS
    ]
    for row in rows:
        kind = "first on an anchor" if row["cold"] else "slider moved"
        median, tail = row["median_ms"], row["p95_ms"]
        print(f"B={row['budget']:<3} {kind:20} {median:7.3f} ms (p95 {tail:.3f})")
    print("record:", write_record("prediction", "nox -s bench -- prediction", rows).name)
