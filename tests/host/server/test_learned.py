"""What the node OTCache learns on a real server: across the queue, and across restarts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.host.server import ComfyServer

pytestmark = [pytest.mark.host, pytest.mark.slow]

STEPS, CALLS = 20, 11
CFG = 4.0
"""No anchor of the bundled model is for this guidance."""


def _prompt(seed: int, text: str, cfg: float = CFG, sampler: str = "euler") -> dict[str, Any]:
    """A stock graph of the bundled model with the one node in it."""
    nodes = {
        "model": ("OTCacheDemoModel", {"batch_size": 1}),
        "text": ("CLIPTextEncode", {"clip": ["model", 1], "text": text}),
        "otcache": ("OTCacheAuto", {"model": ["model", 0], "calls": CALLS, "grid": "fine"}),
        "sampler": (
            "KSampler",
            {"model": ["otcache", 0], "seed": seed, "steps": STEPS, "cfg": cfg, "denoise": 1.0,
             "sampler_name": sampler, "scheduler": "simple", "positive": ["text", 0],
             "negative": ["text", 0], "latent_image": ["model", 3]},
        ),
        "decode": ("VAEDecode", {"samples": ["sampler", 0], "vae": ["model", 2]}),
        "save": ("SaveImage", {"images": ["decode", 0], "filename_prefix": "learned"}),
    }  # fmt: skip
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def _pictures_told(base: Path) -> list[int]:
    files = (base / "user" / "__otcache" / "learned").glob("*.otanchor.json")
    documents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return sorted(document["learned_in_runs"]["pictures"] for document in documents)


def test_workflows_of_one_queue_teach_together_and_a_restart_forgets_nothing(tmp_path):
    with ComfyServer(base=tmp_path, device="cpu") as server:
        queued = [server.queue(_prompt(1, "a red house")), server.queue(_prompt(2, "a blue boat"))]
        for each in queued:
            server.wait(each)
        assert len(re.findall(f"{CALLS} computed, 49 skipped of 60 steps", server.log_text())) == 2
    assert _pictures_told(tmp_path) == [2]

    with ComfyServer(base=tmp_path, device="cpu") as server:
        # Other samplers come to the same picture there, so that they learn and teach together.
        for seed, sampler in ((3, "res_multistep"), (4, "dpmpp_2m"), (5, "euler")):
            server.wait(server.queue(_prompt(seed, "a red house", sampler=sampler)))
        assert _pictures_told(tmp_path) == [4]
        server.wait(server.queue(_prompt(6, "a red house", cfg=7.0)))
    assert _pictures_told(tmp_path) == [1, 4]
