"""Packs of others, given by their folders, at settings that reach the asked model calls.

A pack is loaded by the host's own loader and its node patches a bundled model of its own, because
some packs replace parts of the model itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bundled import BATCH, STEPS
from benchmarks.configured import Bench, Configured, Contestant, refuse
from benchmarks.rivals.loading import ensure_node
from benchmarks.rivals.tuning import TOLERANCE, tune


@dataclass(frozen=True)
class Peer:
    """How a pack's node is called.

    Attributes:
        title: Name among the contestants.
        node: The node's id.
        settings: The node's inputs, less the model, at a value of the setting that is tuned.
        bounds: Least and greatest value; the greater, the fewer calls. Where there are none, the
            number of calls is the setting.
        per_prompt: Whether the pack decides by what it sees, so that prompts are sampled alone.
    """

    title: str
    node: str
    settings: Callable[[float], dict[str, Any]]
    bounds: tuple[float, float] | None
    per_prompt: bool = True


PEERS: dict[str, Peer] = {}
"""By the name that the command line uses, ``--peer NAME=FOLDER``: those seen at work."""


def peer_contestant(peer: Peer, folder: Path) -> Contestant:
    """The contestant of a pack that lies in a folder."""

    def configure(bench: Bench, setting: float) -> Configured:
        ensure_node(peer.node, folder)
        own = bench.host.run("OTCacheDemoModel", batch_size=1).outputs[0]
        (model,) = bench.host.run(peer.node, model=own, **peer.settings(setting)).outputs
        return Configured(model, batch=1 if peer.per_prompt else BATCH)

    def contestant(bench: Bench, calls: int) -> Configured | None:
        prompts = None if peer.per_prompt else [0]
        found = tune(
            bench,
            peer.title,
            calls,
            lambda setting: configure(bench, setting),
            peer.bounds or (calls, calls),
            prompts,
        )
        if found.calls >= STEPS - TOLERANCE:
            refuse(peer.title, calls, "it skips no step of this model at any setting.")
            return None
        made = configure(bench, found.setting)
        inputs = peer.settings(found.setting).items()
        shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in inputs)
        note = f"{shown}: {found.calls:.1f} calls on calibration prompts"
        return Configured(made.model, batch=made.batch, note=note)

    return contestant


def peer_contestants(folders: dict[str, Path]) -> dict[str, Contestant]:
    """The contestants of packs by ``PEERS`` name and folder.

    Raises:
        ValueError: If a name is unknown or a folder is not there.
    """
    found: dict[str, Contestant] = {}
    for name, folder in folders.items():
        if name not in PEERS:
            raise ValueError(
                f"a peer must be one of {', '.join(PEERS) or '(none yet)'} but got {name!r}."
            )
        if not (folder / "__init__.py").is_file():
            raise ValueError(f"{name}'s folder must hold its __init__.py but {folder} does not.")
        found[PEERS[name].title] = peer_contestant(PEERS[name], folder)
    return found
