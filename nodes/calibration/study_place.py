"""Where a calibration keeps what it has: the full runs, and the study with its trials.

Both are in ComfyUI's user folder. Whoever runs the server may put them elsewhere by environment
variables, for several machines to share; a workflow never can.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths

from ...otcache_core.search.storage import open_storage, sqlite_place, without_secrets

STORAGE_VARIABLE = "OTCACHE_STORAGE"
"""Names an Optuna storage; see ``otcache_core.search.storage.open_storage``."""

FOLDER_VARIABLE = "OTCACHE_CALIBRATIONS"
"""Names a folder for full runs, for workers that share it."""

MAX_KEPT = 10
DAY = 24 * 3600.0


@dataclass(frozen=True)
class StudyPlace:
    """A calibration's place.

    Attributes:
        folder: Folder of its full runs.
        storage: The Optuna storage of its trials.
        described: The storage in words, without passwords.
        resumed: Whether something of it is there already.
    """

    folder: Path
    storage: Any
    described: str
    resumed: bool


def open_place(fingerprint: str) -> StudyPlace:
    """Opens the place of a calibration, making it where there is none.

    Raises:
        OTCacheError: If the storage that the server's owner chose cannot be reached.
    """
    root = _root()
    folder = root / fingerprint
    resumed = folder.is_dir() and any(folder.iterdir())
    _forget_oldest(root, folder)
    folder.mkdir(parents=True, exist_ok=True)
    place = os.environ.get(STORAGE_VARIABLE) or sqlite_place(folder / "study.sqlite3")
    return StudyPlace(folder, open_storage(place), without_secrets(place), resumed)


def first_prompt(prompts: int) -> int:
    """Where this process begins its full runs: processes that share a folder begin apart."""
    return random.randrange(prompts)


def _root() -> Path:
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(folder_paths.get_user_directory()) / "otcache" / "calibrations"


def _forget_oldest(root: Path, current: Path) -> None:
    """Removes calibrations beyond the newest few, but none of the last day."""
    if not root.is_dir():
        return
    others = [path for path in root.iterdir() if path.is_dir() and path != current]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[MAX_KEPT - 1 :]:
        if time.time() - path.stat().st_mtime > DAY:
            shutil.rmtree(path, ignore_errors=True)
