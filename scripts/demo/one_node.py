"""The node OTCache in its template: how far 20 plain steps, and fewer calls, are from 200 steps.

Once at the template's guidance, and once at one where fewer calls show to the eye.
"""

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

CONVERGED = f"{CONVERGED_STEPS} steps"
PLAIN = f"{OWN_STEPS} steps"
NODE = "OTCache"
HARD_CFG = 11.0
"""Guidance at which plain steps must be many."""
HARD_CALLS, HARD_PROMPTS = 11, 5


@dataclass
class Way:
    """One way of sampling, and what it gave prompt by prompt.

    Attributes:
        name: What it is called.
        branch: The part of the template that samples so, by the title of its picture.
        calls: Model calls: of the node, or the steps of a plain sampler.
        sampler: Name of the sampler.
    """

    name: str
    branch: str
    calls: int
    sampler: str = "euler"
    lpips: list[float] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)


def easy_ways() -> list[Way]:
    """A user's 20 steps, and the node in front of them."""
    cached = [Way(f"OTCache, {calls} calls", NODE, calls) for calls in (20, 11, 8)]
    return [Way(CONVERGED, CONVERGED, CONVERGED_STEPS), Way(PLAIN, PLAIN, OWN_STEPS), *cached]


def hard_ways() -> list[Way]:
    """As many calls for all: the node's, and those of two plain samplers."""
    return [
        Way(CONVERGED, CONVERGED, CONVERGED_STEPS),
        Way(f"OTCache, {HARD_CALLS} calls", NODE, HARD_CALLS),
        Way(f"euler, {HARD_CALLS} steps", PLAIN, HARD_CALLS),
        Way(f"res_multistep, {HARD_CALLS} steps", PLAIN, HARD_CALLS, "res_multistep"),
    ]


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
        branches = (CONVERGED, PLAIN, NODE)
        self.pictures = {t: find_node(self.base, title=f"Picture, {t}") for t in branches}
        for preview in self.pictures.values():
            enlarged, _ = self.base[preview]["inputs"]["images"]
            # The files get the pictures as they are, not enlarged for the eye.
            set_input(self.base, preview, "images", self.base[enlarged]["inputs"]["image"])

    def sample(self, way: Way, text: str, seed: int, cfg: float | None) -> None:
        """Samples a prompt in one way, and adds what came of it."""
        wanted = [self.pictures[way.branch]]
        if way.branch != CONVERGED:
            wanted.append(find_node(self.base, title=f"Compare {way.branch}"))
        prompt: Prompt = only_for(self.base, *wanted)
        set_input(prompt, self.prompt, "text", text)
        for sampler in set(self.samplers) & set(prompt):
            set_input(prompt, sampler, "seed", seed)
            if cfg is not None:
                set_input(prompt, sampler, "cfg", cfg)
        if way.branch == NODE:
            set_input(prompt, self.node, "calls", way.calls)
        elif way.branch == PLAIN:
            plain = find_node(prompt, title=PLAIN)
            set_input(prompt, plain, "steps", way.calls)
            set_input(prompt, plain, "sampler_name", way.sampler)
        outputs: dict[str, Any] = self.comfy.wait(self.comfy.queue(prompt), 120.0)["outputs"]
        way.pictures.append(self.comfy.fetch_image(**outputs[wanted[0]]["images"][0]))
        if way.branch != CONVERGED:
            way.lpips += outputs[wanted[1]]["otcache"][0]["lpips"]


def run_one_node(
    comfy: ComfyClient, folder: Path, prompts: Sequence[str], *, hard: bool = False
) -> list[dict[str, Any]]:
    """Samples every prompt in every way, writes a contact sheet; returns the report's lines.

    Args:
        comfy: The running ComfyUI.
        folder: Where the sheet goes, ``one_node.png`` or ``one_node_hard.png``.
        prompts: What is sampled.
        hard: Whether at ``HARD_CFG`` instead of at the template's guidance.
    """
    template = OneNode(comfy)
    ways, cfg = (hard_ways(), HARD_CFG) if hard else (easy_ways(), None)
    for index, text in enumerate(prompts):
        for way in ways:
            template.sample(way, text, index + 1, cfg)
        print(f"{index + 1} of {len(prompts)}: {text}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(way.name, way.pictures) for way in ways]
    sheet_of(rows, prompts).save(folder / f"one_node{'_hard' if hard else ''}.png")
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
    head = f"{'run':<24}{'model calls':>12}{f'LPIPS to {CONVERGED}':>22}"
    rows = [f"{ln['name']:<24}{ln['calls']:>12}{ln['lpips']:>22.4f}" for ln in lines]
    return "\n".join([head, *rows])
