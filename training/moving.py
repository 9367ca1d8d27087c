"""Draws the short captioned scenes of the proving ground's ``video``: our own moving pictures.

One of the demo model's objects crosses one of its places in a direction that the prompt names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from training.scenes import COLOURS, OBJECTS, PLACES, Pen, _background, shade

SIZE, FRAMES, SUPERSAMPLE = 48, 9, 3
KINDS = ("house", "car", "boat", "fish", "cat", "star", "heart", "balloon")
SHADES = ("red", "yellow", "green", "blue", "purple", "white")
GROUNDS = ("night", "sunset", "meadow", "sea")
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
REACH, TRAVEL = 0.25, 0.4
"""Size of an object and length of its way, in sides of the picture."""
HELD_OUT_SHARE = 8
"""One in so many (object, colour, place, direction) combinations is never trained on."""


@dataclass(frozen=True)
class Move:
    """One thing on its way through a place."""

    kind: str
    colour: str
    place: str
    direction: str

    def prompt(self) -> str:
        """As a person would ask for it."""
        moving = f"a {self.colour} {self.kind} moving {self.direction}"
        return f"{moving} {PLACES[self.place]}"

    def held_out(self) -> bool:
        """Whether it is kept from training."""
        at = (
            3 * KINDS.index(self.kind)
            + 5 * SHADES.index(self.colour)
            + 7 * GROUNDS.index(self.place)
            + list(DIRECTIONS).index(self.direction)
        )
        return at % HELD_OUT_SHARE == 0


def vocabulary() -> list[str]:
    """Every word a prompt of these scenes can hold, in a fixed order."""
    words = ["a", "moving", *KINDS, *SHADES, *DIRECTIONS]
    return list(dict.fromkeys([*words, *(w for g in GROUNDS for w in PLACES[g].split())]))


def sample_move(rng: np.random.Generator) -> Move:
    """A random one, held out or not."""
    picks = [str(rng.choice(choices)) for choices in (KINDS, SHADES, GROUNDS, list(DIRECTIONS))]
    return Move(*picks)


def trainable(rng: np.random.Generator) -> Iterator[Move]:
    """Random ones, none held out, without end."""
    while True:
        move = sample_move(rng)
        if not move.held_out():
            yield move


def draw_move(move: Move, rng: np.random.Generator) -> np.ndarray:
    """Draws a scene.

    Returns:
        ``(FRAMES, SIZE, SIZE, 3)`` uint8.
    """
    full = SIZE * SUPERSAMPLE
    place = _background(move.place, rng)[0].resize((full, full), Image.Resampling.BILINEAR)
    dx, dy = DIRECTIONS[move.direction]
    x, y = rng.uniform(0.44, 0.56, 2)
    travel, reach = TRAVEL * rng.uniform(0.9, 1.1), REACH * full
    colour = shade(COLOURS[move.colour], rng.uniform(0.9, 1.1))
    look = rng.uniform(0, 1)
    frames = []
    for gone in np.linspace(-0.5, 0.5, FRAMES):
        image = place.copy()
        at = (full * (x + dx * travel * gone), full * (y + dy * travel * gone))
        OBJECTS[move.kind](Pen(ImageDraw.Draw(image), *at, reach), colour, look)
        frames.append(np.asarray(image.reduce(SUPERSAMPLE)))
    return np.stack(frames)
