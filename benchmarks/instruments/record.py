"""Writes a benchmark's record: results beside the versions and the command that made them."""

from __future__ import annotations

import json
import platform
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).parents[1] / "records"
PACKAGES = ("numpy", "scipy", "torch", "optuna", "lpips")


def versions() -> dict[str, str]:
    """Versions of Python and of what the method runs on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package).split("+")[0]
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def read_results(name: str) -> Any:
    """The results of a record, ``None`` where there is no such record."""
    path = RECORDS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["results"] if path.is_file() else None


def write_record(name: str, command: str, results: Any) -> Path:
    """Writes ``records/NAME.json`` and returns its path."""
    record = {
        "command": command,
        "date": date.today().isoformat(),
        "versions": versions(),
        "results": results,
    }
    path = RECORDS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path
