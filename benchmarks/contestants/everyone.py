"""Everyone who takes part: what the modules beside this one list."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.peers import peer_contestants

FIRST = ("own", "meancache", "plain")
"""Modules whose contestants are listed first; the others follow by their names."""


def everyone() -> dict[str, Contestant]:
    """All contestants by name: each module's ``CONTESTANTS``."""
    found = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])}
    listed: dict[str, Contestant] = {}
    for name in (*FIRST, *sorted(found - {*FIRST, Path(__file__).stem})):
        module = importlib.import_module(f"benchmarks.contestants.{name}")
        listed |= getattr(module, "CONTESTANTS", {})
    return listed


def chosen(only: Sequence[str] | None, peers: Sequence[str]) -> dict[str, Contestant]:
    """Contestants whose names have one of some parts, or all of them.

    Args:
        only: The parts.
        peers: ``NAME=FOLDER`` of other packs, which take part as well.
    """
    folders = dict(place.split("=", 1) for place in peers)
    listed = everyone() | peer_contestants({name: Path(at) for name, at in folders.items()})
    return {
        name: make
        for name, make in listed.items()
        if not only or any(part.lower() in name.lower() for part in only)
    }
