"""Files that appear whole: a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from .errors import OTCacheError

WAITS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to replace a file that is held open."""


STALE = 3600.0
"""Seconds after which what a killed process was writing is nobody's any more."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes its place when the block ends; after an error it does not.

    Args:
        path: Where it goes. Missing folders are made.

    Raises:
        OTCacheError: If what is there already stays held open by another program.
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path.parent)
    # Not by `tempfile`, whose files only their owner may read: model folders are often shared.
    partial = path.with_name(f".{uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    """Removes what processes that were killed have left behind."""
    for partial in folder.glob(f".{'[0-9a-f]' * 32}.partial"):
        with suppress(OSError):  # another process may be as quick
            if time.time() - partial.stat().st_mtime > STALE:
                partial.unlink()


def _replace(new: Path, path: Path) -> None:
    """Puts a file in the place of another one.

    On Windows that fails while anybody has the other one open: a reader, a virus scanner, another
    worker. They soon let go, so it is tried again.
    """
    for wait in (*WAITS, None):
        try:
            os.replace(new, path)
            return
        except PermissionError as error:
            if wait is None:
                raise OTCacheError(
                    f"{path} must be replaceable but is not ({error.strerror}): close the program "
                    "that has it open, or change who may write to it, and try again."
                ) from error
            time.sleep(wait)
