"""The node OTCache in its template: how far 20 plain steps, and fewer calls, are from 200 steps."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.demo.report import sheet_of
from scripts.host.client import ComfyClient
from scripts.workflows.demo import CONVERGED_STEPS, ONE_NODE, OWN_STEPS
from scripts.workflows.make import FOLDER
from scripts.workflows.to_prompt import Prompt, find_node, only_for, set_input, to_api

CALLS = (20, 11, 8)
CONVERGED = f"{CONVERGED_STEPS} steps"
PLAIN = f"{OWN_STEPS} steps"


@dataclass
class Way:
    """One way of sampling, and what it gave prompt by prompt."""

    name: str
    calls: int
    lpips: list[float] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)


class OneNode:
    """The template on a running ComfyUI.

    Args:
        comfy: The running ComfyUI.
    """

    def __init__(self, comfy: ComfyClient) -> None:
        self.comfy = comfy
        text = (FOLDER / f"{ONE_NODE}.json").read_text(encoding="utf-8")
        self.base = to_api(json.loads(text), comfy.object_info())
        self.prompt = find_node(self.base, title="Prompt")
        self.node = find_node(self.base, class_type="OTCacheAuto")
        self.samplers = [n for n, made in self.base.items() if made["class_type"] == "KSampler"]
        self.pictures = {
            t: find_node(self.base, title=f"Picture, {t}") for t in (CONVERGED, PLAIN, "OTCache")
        }
        for preview in self.pictures.values():
            enlarged, _ = self.base[preview]["inputs"]["images"]
            # The files get the pictures as they are, not enlarged for the eye.
            set_input(self.base, preview, "images", self.base[enlarged]["inputs"]["image"])

    def sample(self, way: Way, text: str, seed: int) -> None:
        """Samples a prompt in one way, and adds what came of it."""
        kind = "OTCache" if way.name.startswith("OTCache") else way.name
        wanted = [self.pictures[kind]]
        if kind != CONVERGED:
            wanted.append(find_node(self.base, title=f"Compare {kind}"))
        prompt: Prompt = only_for(self.base, *wanted)
        set_input(prompt, self.prompt, "text", text)
        for sampler in set(self.samplers) & set(prompt):
            set_input(prompt, sampler, "seed", seed)
        if self.node in prompt:
            set_input(prompt, self.node, "calls", way.calls)
        outputs: dict[str, Any] = self.comfy.wait(self.comfy.queue(prompt), 120.0)["outputs"]
        way.pictures.append(self.comfy.fetch_image(**outputs[wanted[0]]["images"][0]))
        if kind != CONVERGED:
            way.lpips += outputs[wanted[1]]["otcache"][0]["lpips"]


def run_one_node(comfy: ComfyClient, folder: Path, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """Samples every prompt in every way, writes a contact sheet; returns the report's lines."""
    template = OneNode(comfy)
    ways = [Way(CONVERGED, CONVERGED_STEPS), Way(PLAIN, OWN_STEPS)]
    ways += [Way(f"OTCache, {calls} calls", calls) for calls in CALLS]
    for index, text in enumerate(prompts):
        for way in ways:
            template.sample(way, text, seed=index + 1)
        print(f"{index + 1} of {len(prompts)}: {text}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(way.name, way.pictures) for way in ways]
    sheet_of(rows, prompts).save(folder / "one_node.png")
    return [
        {
            "name": way.name,
            "calls": way.calls,
            "lpips": round(statistics.mean(way.lpips), 5) if way.lpips else 0.0,
        }
        for way in ways
    ]


def as_lines(lines: Sequence[dict[str, Any]]) -> str:
    """The report's lines for a terminal."""
    head = f"{'run':<20}{'model calls':>12}{f'LPIPS to {CONVERGED}':>22}"
    rows = [f"{ln['name']:<20}{ln['calls']:>12}{ln['lpips']:>22.4f}" for ln in lines]
    return "\n".join([head, *rows])
