"""Chooses the demo model's prompts: ``python -m training.prompts`` writes demo_model/prompts.json.

Calibration prompts come from scenes that training may see, held-out ones from scenes that it never
sees: there, every thing's (object, colour, place) is kept from training.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.scenes import Scene, sample_scene

TARGET = Path(__file__).resolve().parents[1] / "demo_model" / "prompts.json"
COUNTS = {"calibration": 48, "held_out": 40}
SEED = 2026
CANDIDATES = 100
"""Scenes to choose each prompt from; more make the words' counts more even."""


def _seen(scene: Scene) -> bool:
    return not scene.held_out()


def _unseen(scene: Scene) -> bool:
    return all(Scene((thing,), scene.place).held_out() for thing in scene.things)


def _distinct(scene: Scene) -> bool:
    """Whether no two things share an object or a colour, so that one can tell them apart."""
    kinds = {thing.kind for thing in scene.things}
    colours = {thing.colour for thing in scene.things}
    return len(kinds) == len(colours) == len(scene.things)


def _words(scene: Scene) -> list[str]:
    """What should be spread evenly: objects, colours, sizes, the place, the number of things."""
    words = [scene.place, f"{len(scene.things)} things"]
    for thing in scene.things:
        words += [thing.kind, thing.colour, thing.size or "plain"]
    return words


def choose_prompts(
    count: int, allowed: Callable[[Scene], bool], rng: np.random.Generator
) -> list[str]:
    """Draws different scenes whose words all appear about equally often.

    Args:
        count: Number of prompts.
        allowed: Tells which scenes may be used.
        rng: Fixes the choice.
    """
    used: Counter[str] = Counter()
    prompts: list[str] = []
    while len(prompts) < count:
        scenes = [sample_scene(rng) for _ in range(CANDIDATES)]
        fresh = [s for s in scenes if allowed(s) and _distinct(s) and s.prompt() not in prompts]
        if fresh:
            # The mean, not the sum, or scenes of one thing would always win.
            best = min(fresh, key=lambda s: float(np.mean([used[w] for w in _words(s)])))
            prompts.append(best.prompt())
            used.update(_words(best))
    return prompts


def make_prompts() -> dict[str, list[str]]:
    """Both sets; the same on every machine."""
    rng = np.random.default_rng(SEED)
    allowed = {"calibration": _seen, "held_out": _unseen}
    return {name: choose_prompts(count, allowed[name], rng) for name, count in COUNTS.items()}


def main() -> None:
    """Writes the file."""
    text = json.dumps(make_prompts(), indent=1) + "\n"
    TARGET.write_text(text, encoding="utf-8", newline="\n")
    print(f"wrote {sum(COUNTS.values())} prompts to {TARGET}")


if __name__ == "__main__":
    main()
