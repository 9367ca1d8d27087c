"""The queue of a real server: prompts that are edited, cancelled and interrupted as others run."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.host.client import PromptError
from scripts.host.server import ComfyServer

pytestmark = [pytest.mark.host, pytest.mark.slow]

SLOW, FAST = 60, 12  # model calls
PICTURES = 2


@pytest.fixture(scope="module")
def comfy() -> Iterator[ComfyServer]:
    """A ComfyUI with the pack."""
    with ComfyServer(device="cpu") as server:
        yield server


def _prompt(budget: int, steps: int) -> dict[str, Any]:
    """The bundled model by its anchor; a number of steps of its own tells a test's log lines."""
    nodes = {
        "model": ("OTCacheDemoModel", {"batch_size": PICTURES}),
        "positive": ("CLIPTextEncode", {"clip": ["model", 1], "text": "a big red house"}),
        "negative": ("CLIPTextEncode", {"clip": ["model", 1], "text": ""}),
        "load": ("OTCacheLoadAnchor", {"anchor_name": "preset: otcache-demo"}),
        "predict": (
            "OTCachePredictSchedule",
            {"anchor": ["load", 0], "budget": budget, "rho": 1.3, "anchor_rho": True,
             "steps": steps, "target_lpips": 0.0},
        ),
        "sampler": (
            "OTCacheSampler",
            {"model": ["model", 0], "seed": 5, "steps": steps, "cfg": 2.5, "denoise": 1.0,
             "sampler_name": "euler", "scheduler": "simple", "positive": ["positive", 0],
             "negative": ["negative", 0], "latent_image": ["model", 3],
             "schedule": ["predict", 0]},
        ),
        "decode": ("VAEDecode", {"samples": ["sampler", 0], "vae": ["model", 2]}),
        "save": ("SaveImage", {"images": ["decode", 0], "filename_prefix": "queue"}),
    }  # fmt: skip
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def _wait_until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def _start(comfy: ComfyServer, steps: int) -> str:
    """Queues a slow prompt and waits until it samples."""
    queued = comfy.queue(_prompt(SLOW, steps))
    _wait_until(lambda: f"/{steps} [" in comfy.log_text())
    assert comfy.history(queued) is None  # it goes on
    return queued


def _pictures(comfy: ComfyServer, entry: dict[str, Any]) -> np.ndarray:
    files = [comfy.fetch_image(image["filename"]) for image in entry["outputs"]["save"]["images"]]
    assert len(files) == PICTURES
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])


def _computed(entry: dict[str, Any]) -> int:
    (done,) = entry["outputs"]["sampler"]["otcache"]
    return done["computed"]


def _alone(comfy: ComfyServer, budget: int, steps: int) -> np.ndarray:
    """The pictures of a prompt that nothing ran before: models and results are made anew."""
    comfy.forget()
    time.sleep(1.0)  # the server forgets when it is idle
    entry = comfy.wait(comfy.queue(_prompt(budget, steps)))
    (cached,) = [
        m["nodes"] for kind, m in entry["status"]["messages"] if kind == "execution_cached"
    ]
    assert cached == []
    assert _computed(entry) == budget
    return _pictures(comfy, entry)


def test_a_workflow_edited_while_it_runs(comfy):
    first = _start(comfy, steps=200)
    second = comfy.queue(_prompt(FAST, steps=200))  # the same nodes with another budget
    before, after = comfy.wait(first), comfy.wait(second)

    assert (_computed(before), _computed(after)) == (SLOW, FAST)
    pictures = _pictures(comfy, after)
    assert not np.array_equal(_pictures(comfy, before), pictures)
    assert np.array_equal(pictures, _alone(comfy, FAST, steps=200))


def test_a_cancelled_and_an_interrupted_prompt_leave_the_next_one_right(comfy):
    running = _start(comfy, steps=201)
    cancelled, last = comfy.queue(_prompt(30, steps=201)), comfy.queue(_prompt(FAST, steps=201))
    comfy.cancel(cancelled)
    comfy.interrupt()

    with pytest.raises(PromptError, match=r"interrupted at node sampler \(OTCacheSampler\)"):
        comfy.wait(running)
    entry = comfy.wait(last)
    assert comfy.history(cancelled) is None
    assert _computed(entry) == FAST
    assert np.array_equal(_pictures(comfy, entry), _alone(comfy, FAST, steps=201))
