"""An anchor that comes to be after the node OTCache has run, on a server that keeps results."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scripts.host.find import REPOSITORY
from scripts.host.server import ComfyServer

pytestmark = [pytest.mark.host, pytest.mark.slow]

CFG = 4.0
"""No anchor that comes with the pack is for this guidance."""


def _prompt(seed: int, anchor: str = "") -> dict[str, Any]:
    """A stock graph of the bundled model with the one node in it; by a named anchor or none."""
    otcache = {"model": ["model", 0], "calls": 11, "grid": "fine", "learn": "never"}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "model": ("OTCacheDemoModel", {"batch_size": 1}),
        "text": ("CLIPTextEncode", {"clip": ["model", 1], "text": "a red house"}),
        "sampler": (
            "KSampler",
            {"model": ["otcache", 0], "seed": seed, "steps": 20, "cfg": CFG, "denoise": 1.0,
             "sampler_name": "euler", "scheduler": "simple", "positive": ["text", 0],
             "negative": ["text", 0], "latent_image": ["model", 3]},
        ),
        "decode": ("VAEDecode", {"samples": ["sampler", 0], "vae": ["model", 2]}),
        "save": ("SaveImage", {"images": ["decode", 0], "filename_prefix": "own"}),
    }  # fmt: skip
    if anchor:
        nodes["anchor"] = ("OTCacheLoadAnchor", {"anchor_name": anchor})
        otcache["anchor"] = ["anchor", 0]
    nodes["otcache"] = ("OTCacheAuto", otcache)
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def _install(base: Path, name: str) -> None:
    """Puts an anchor of the bundled model for this guidance among the user's."""
    text = (REPOSITORY / "presets" / "otcache-demo.otanchor.json").read_text(encoding="utf-8")
    document = json.loads(text)
    document["name"] = name
    document["sampling"]["cfg"] = CFG
    path = base / "models" / "otcache" / f"{name}.otanchor.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def _run(server: ComfyServer, prompt: dict[str, Any]) -> tuple[bytes, list[str]]:
    """The picture of a run, and the nodes that the server did not run anew."""
    entry = server.wait(server.queue(prompt))
    (kept,) = [m["nodes"] for kind, m in entry["status"]["messages"] if kind == "execution_cached"]
    (image,) = entry["outputs"]["save"]["images"]
    with Image.open(io.BytesIO(server.fetch_image(image["filename"]))) as picture:
        return picture.tobytes(), kept


def test_an_anchor_that_is_there_since_is_used_by_the_next_run(tmp_path):
    with ComfyServer(base=tmp_path, device="cpu") as server:
        _run(server, _prompt(1))
        before, kept = _run(server, _prompt(2))
        assert "otcache" in kept  # nothing has changed for it

        _install(tmp_path, "mine")
        found, _ = _run(server, _prompt(2))
        connected, _ = _run(server, _prompt(2, "mine.otanchor.json"))
        assert found == connected != before


def test_with_an_anchor_connected_others_change_nothing(tmp_path):
    with ComfyServer(base=tmp_path, device="cpu") as server:
        _run(server, _prompt(1, "preset: otcache-demo"))
        _install(tmp_path, "mine")
        _, kept = _run(server, _prompt(2, "preset: otcache-demo"))
        assert "otcache" in kept
