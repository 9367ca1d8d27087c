"""Measurements on disk as soon as they are made, so that a run that was cut short goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Kept:
    """Lines by key in one JSON file. A reader sees a whole file; one process at a time writes.

    Args:
        path: The file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: dict[str, Any] = (
            json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        )

    def put(self, key: str, line: Any) -> None:
        """Keeps one line."""
        self.lines[key] = line
        partial = self._path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(self.lines), encoding="utf-8")
        partial.replace(self._path)
