"""Losses by prompt beside a record's rows: what is measured later can be compared with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.instruments.record import RECORDS

FOLDER = RECORDS / "losses"
DIGITS = 4
"""Significant ones: a ratio's own are no more."""

Losses = dict[str, list[float]]
"""By ``"contestant @ budget"`` or the like: one prompt's mean loss each."""


def read_losses(name: str) -> Losses:
    """The losses beside a record, none where it has none."""
    path = FOLDER / f"{name}.json"
    found: Losses = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def write_losses(name: str, losses: Mapping[str, Sequence[float]]) -> Path:
    """Writes ``records/losses/NAME.json``, a line for each key, and returns its path."""
    lines = (
        f"{json.dumps(key)}: {json.dumps([float(f'{value:.{DIGITS}g}') for value in values])}"
        for key, values in sorted(losses.items())
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return path
