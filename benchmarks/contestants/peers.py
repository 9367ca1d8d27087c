"""Packs of others, given by their folders, at settings that reach the asked model calls.

A pack is loaded by the host's own loader and its node patches a model of its own, because
some packs replace parts of the model itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contestants.contestant import Bench, Configured, Contestant, refuse
from benchmarks.contestants.loading import ensure_node
from benchmarks.contestants.tuning import TOLERANCE, tune
from benchmarks.models.sampled import BATCH, STEPS


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
        prepare: What the model needs before the node gets it.
        note: What the record says of that.
    """

    title: str
    node: str
    settings: Callable[[float], dict[str, Any]]
    bounds: tuple[float, float] | None
    per_prompt: bool = True
    prepare: Callable[[Any], Any] = lambda model: model
    note: str = ""


def _with_img_slice(model: Any) -> Any:
    """A clone that tells the blocks of a FLUX where its text ends, as hosts after 0.3.75 do."""
    from comfy.patcher_extension import WrappersMP

    def tell(
        executor: Any, x: Any, timestep: Any, context: Any, y: Any, guidance: Any,
        ref_latents: Any, control: Any, transformer_options: dict[str, Any], **named: Any,
    ) -> Any:  # fmt: skip
        patch = model.model.diffusion_model.patch_size
        pixels = -(-x.shape[-1] // patch) * -(-x.shape[-2] // patch)
        words = context.shape[1]
        options = transformer_options | {"img_slice": [words, words + pixels]}
        return executor(x, timestep, context, y, guidance, ref_latents, control, options, **named)

    clone = model.clone()
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "img_slice", tell)
    return clone


def _spectrum(flex: float) -> dict[str, Any]:
    """The node's defaults with a window that grows faster or slower."""
    return {
        "w": 0.5, "M": 4, "lam": 0.1, "warmup_steps": 3, "window_size": 2.0,
        "flex_window": flex, "max_w": 0.8, "verbose": False,
    }  # fmt: skip


def _wavespeed(threshold: float) -> dict[str, Any]:
    return {
        "object_to_patch": "diffusion_model", "residual_diff_threshold": threshold,
        "start": 0.0, "end": 1.0, "max_consecutive_cache_hits": -1,
    }  # fmt: skip


def _meancache_z(skip_budget: float) -> dict[str, Any]:
    """The settings of the node's fastest preset with another share of skipped steps."""
    return {
        "preset": "Custom", "rel_l1_thresh": 0.55, "skip_budget": skip_budget, "start_step": 1,
        "end_step": -1, "enable_pssp": True, "peak_threshold": 0.45, "adaptive_k": True,
        "cache_device": "cpu", "debug": False,
    }  # fmt: skip


PEERS: dict[str, Peer] = {
    "spectrum": Peer(
        "ComfyUI-Spectrum",
        "Spectrum",
        _spectrum,
        (0.01, 4.0),
        False,
        _with_img_slice,
        "told where the text ends",
    ),
    "wavespeed": Peer(
        "WaveSpeed's first-block cache", "ApplyFBCacheOnModel", _wavespeed, (0.01, 1.0)
    ),
    "meancache-z": Peer("MeanCache-Z", "MeanCache_ZImage", _meancache_z, (0.05, 0.75)),
}
"""By the name that the command line uses: ``--peer NAME=FOLDER``."""


def peer_contestant(peer: Peer, folder: Path) -> Contestant:
    """The contestant of a pack that lies in a folder."""

    def configure(bench: Bench, setting: float) -> Configured:
        ensure_node(peer.node, folder)
        own = bench.fresh_model()
        (model,) = bench.host.run(
            peer.node, model=peer.prepare(own), **peer.settings(setting)
        ).outputs
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
        notes = [f"{shown}: {found.calls:.1f} calls on calibration prompts", peer.note]
        return Configured(made.model, batch=made.batch, note="; ".join(filter(None, notes)))

    return contestant


def peer_contestants(folders: dict[str, Path]) -> dict[str, Contestant]:
    """The contestants of packs by ``PEERS`` name and folder.

    Raises:
        ValueError: If a name is unknown or a folder is not there.
    """
    found: dict[str, Contestant] = {}
    for name, folder in folders.items():
        if name not in PEERS:
            raise ValueError(f"a peer must be one of {', '.join(PEERS)} but got {name!r}.")
        if not (folder / "__init__.py").is_file():
            raise ValueError(f"{name}'s folder must hold its __init__.py but {folder} does not.")
        found[PEERS[name].title] = peer_contestant(PEERS[name], folder)
    return found
