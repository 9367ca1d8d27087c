"""Chooses the proving ground's prompts: ``python -m training.ground_prompts`` writes them.

Calibration prompts are of what training may see, held-out ones of what it never sees.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.models.ground_model import FOLDER
from training import emoji, latent, loop, moving, unet
from training.scenes import sample_scene

COUNTS = {"calibration": 48, "held_out": 32}
SEED = 2026


def _choose(
    draw: Callable[[], Any], seen: Callable[[Any], bool], prompt: Callable[[Any], str]
) -> dict[str, list[str]]:
    """Distinct prompts of what ``draw`` gives, shared out by what training has seen."""
    found: dict[str, list[str]] = {kind: [] for kind in COUNTS}
    while any(len(found[kind]) < COUNTS[kind] for kind in COUNTS):
        each = draw()
        kind = "calibration" if seen(each) else "held_out"
        if len(found[kind]) < COUNTS[kind] and prompt(each) not in found[kind]:
            found[kind].append(prompt(each))
    return found


def scene_prompts() -> dict[str, list[str]]:
    """Of ``unet``: scenes of one thing."""
    rng = np.random.default_rng(SEED)

    def draw() -> Any:
        while True:
            scene = sample_scene(rng)
            if len(scene.things) == 1:
                return scene

    return _choose(draw, unet.trainable, lambda scene: scene.prompt())


def move_prompts() -> dict[str, list[str]]:
    """Of ``video``: a thing, its way and a place."""
    rng = np.random.default_rng(SEED)
    return _choose(
        lambda: moving.sample_move(rng), lambda m: not m.held_out(), lambda m: m.prompt()
    )


def emoji_prompts(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Of ``latent``: an emoji and a background."""
    rng = np.random.default_rng(SEED)
    every = [*latent.pairs(len(names))[0], *latent.pairs(len(names))[1]]
    grounds = list(emoji.BACKGROUNDS)
    return _choose(
        lambda: every[rng.integers(len(every))],
        lambda pair: not emoji.held_out(*pair),
        lambda pair: emoji.prompt(names[pair[0]], grounds[pair[1]]),
    )


def main() -> None:
    """Writes the prompts of all three models."""
    named, _ = emoji.load(loop.RUNS / "emoji")
    chosen = {
        "unet": scene_prompts(),
        "latent": emoji_prompts(named.names),
        "video": move_prompts(),
    }
    for name, prompts in chosen.items():
        folder = FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prompts.json").write_text(json.dumps(prompts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
