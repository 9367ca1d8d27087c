"""Draws the captioned scenes the demo model learns from: our own pictures, so no data licence.

A scene is one or two objects, each with a size and a colour, in a place. Everything is drawn with
Pillow at four times the final size, with jitter in position, proportion and shade.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64
SUPERSAMPLE = 4
HELD_OUT_SHARE = 8
"""One in so many (object, colour, place) combinations is never trained on."""

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

COLOURS: dict[str, Colour] = {
    "red": (214, 40, 40),
    "orange": (244, 140, 6),
    "yellow": (250, 212, 40),
    "green": (56, 158, 62),
    "blue": (36, 92, 214),
    "purple": (128, 52, 172),
    "pink": (246, 132, 178),
    "white": (244, 244, 240),
}
SIZES = {"small": 0.72, "": 1.0, "big": 1.32}
PLACES = {
    "night": "at night",
    "sunset": "at sunset",
    "snow": "in the snow",
    "meadow": "in the meadow",
    "sea": "by the sea",
    "desert": "in the desert",
    "rain": "in the rain",
    "studio": "in the studio",
}
DARK = (44, 38, 46)
BROWN = (120, 78, 44)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour scaled towards black (factor < 1) or white (factor > 1)."""
    if factor <= 1:
        return tuple(int(c * factor) for c in colour)  # type: ignore[return-value]
    return tuple(int(255 - (255 - c) / factor) for c in colour)  # type: ignore[return-value]


class Pen:
    """Draws in an object's own frame: centre (0, 0), reach 1, y downwards."""

    def __init__(self, draw: ImageDraw.ImageDraw, x: float, y: float, reach: float) -> None:
        self.draw, self.x, self.y, self.reach = draw, x, y, reach

    def _at(self, points: Sequence[tuple[float, float]]) -> Points:
        return [(self.x + px * self.reach, self.y + py * self.reach) for px, py in points]

    def polygon(self, fill: Colour, *points: tuple[float, float]) -> None:
        self.draw.polygon(self._at(points), fill=fill)

    def ellipse(self, fill: Colour, x0: float, y0: float, x1: float, y1: float) -> None:
        self.draw.ellipse(self._at([(x0, y0), (x1, y1)]), fill=fill)  # type: ignore[arg-type]

    def box(self, fill: Colour, x0: float, y0: float, x1: float, y1: float) -> None:
        self.draw.rectangle(self._at([(x0, y0), (x1, y1)]), fill=fill)  # type: ignore[arg-type]

    def pie(self, fill: Colour, box: tuple[float, float, float, float], a: float, b: float) -> None:
        x0, y0, x1, y1 = box
        self.draw.pieslice(self._at([(x0, y0), (x1, y1)]), a, b, fill=fill)  # type: ignore[arg-type]

    def line(self, fill: Colour, width: float, *points: tuple[float, float]) -> None:
        self.draw.line(self._at(points), fill=fill, width=max(1, int(width * self.reach)))


def _house(p: Pen, c: Colour, j: float) -> None:
    p.box(c, -0.75, -0.2, 0.75, 0.9)
    p.polygon(shade(c, 0.6), (-0.95, -0.2), (0, -0.95 - 0.1 * j), (0.95, -0.2))
    p.box(BROWN, -0.2, 0.3, 0.2, 0.9)
    for x in (-0.58, 0.32):
        p.box((255, 236, 160), x, 0.02, x + 0.26, 0.28)


def _tree(p: Pen, c: Colour, j: float) -> None:
    p.box(BROWN, -0.14, 0.3, 0.14, 0.95)
    p.ellipse(shade(c, 0.85), -0.75, -0.4, 0.1, 0.45)
    p.ellipse(shade(c, 0.85), -0.1, -0.4, 0.75, 0.45)
    p.ellipse(c, -0.55, -0.95 - 0.1 * j, 0.55, 0.2)


def _car(p: Pen, c: Colour, j: float) -> None:
    p.polygon(shade(c, 0.8), (-0.55, 0.1), (-0.35, -0.4), (0.35, -0.4), (0.65, 0.1))
    p.polygon((190, 226, 244), (-0.38, 0.05), (-0.25, -0.28), (0.27, -0.28), (0.46, 0.05))
    p.box(c, -0.95, 0.05, 0.95, 0.5)
    for x in (-0.55, 0.55):
        p.ellipse(DARK, x - 0.26, 0.28, x + 0.26, 0.8)
        p.ellipse((180, 180, 184), x - 0.11, 0.43, x + 0.11, 0.65)


def _boat(p: Pen, c: Colour, j: float) -> None:
    p.line(BROWN, 0.09, (0, 0.4), (0, -0.95))
    p.polygon((250, 246, 232), (0.08, -0.9), (0.08, 0.2), (0.75, 0.2))
    p.polygon((226, 220, 200), (-0.08, -0.7), (-0.08, 0.2), (-0.55, 0.2))
    p.polygon(c, (-0.95, 0.3), (0.95, 0.3), (0.6, 0.85), (-0.6, 0.85))


def _fish(p: Pen, c: Colour, j: float) -> None:
    p.polygon(shade(c, 0.7), (0.35, 0), (0.95, -0.5), (0.95, 0.5))
    p.polygon(shade(c, 0.7), (-0.2, -0.3), (0.25, -0.75), (0.3, -0.2))
    p.ellipse(c, -0.9, -0.48, 0.6, 0.48)
    p.ellipse((255, 255, 255), -0.68, -0.26, -0.38, 0.04)
    p.ellipse(DARK, -0.62, -0.2, -0.46, -0.04)


def _cat(p: Pen, c: Colour, j: float) -> None:
    for side in (-1, 1):
        p.polygon(c, (side * 0.75, -0.95), (side * 0.1, -0.5), (side * 0.7, -0.1))
    p.ellipse(c, -0.8, -0.65, 0.8, 0.75)
    for side in (-1, 1):
        p.ellipse((210, 240, 120), side * 0.34 - 0.17, -0.22, side * 0.34 + 0.17, 0.14)
        p.ellipse(DARK, side * 0.34 - 0.07, -0.2, side * 0.34 + 0.07, 0.12)
        p.line(DARK, 0.05, (side * 0.25, 0.35), (side * 0.95, 0.25))
    p.polygon((240, 120, 140), (-0.12, 0.22), (0.12, 0.22), (0, 0.38))


def _flower(p: Pen, c: Colour, j: float) -> None:
    p.line((52, 128, 56), 0.12, (0, 0), (0, 0.95))
    p.ellipse((52, 128, 56), 0, 0.5, 0.5, 0.75)
    for k in range(6):
        a = k * math.pi / 3 + j
        x, y = 0.42 * math.cos(a), -0.3 + 0.42 * math.sin(a)
        p.ellipse(c, x - 0.27, y - 0.27, x + 0.27, y + 0.27)
    p.ellipse((130, 84, 30), -0.24, -0.54, 0.24, -0.06)


def _star(p: Pen, c: Colour, j: float) -> None:
    turn = -math.pi / 2 + 0.3 * j
    points = [
        (r * math.cos(turn + k * math.pi / 5), r * math.sin(turn + k * math.pi / 5))
        for k, r in enumerate([0.98, 0.42] * 5)
    ]
    p.polygon(c, *points)


def _heart(p: Pen, c: Colour, j: float) -> None:
    p.ellipse(c, -0.9, -0.75, 0.06, 0.2)
    p.ellipse(c, -0.06, -0.75, 0.9, 0.2)
    p.polygon(c, (-0.82, -0.02), (0.82, -0.02), (0, 0.95))


def _mushroom(p: Pen, c: Colour, j: float) -> None:
    p.box((244, 232, 208), -0.28, 0.0, 0.28, 0.9)
    p.pie(c, (-0.95, -0.85, 0.95, 0.95), 180, 360)
    for x, y, r in ((-0.5, -0.25, 0.14), (0.05, -0.5, 0.17), (0.5, -0.2, 0.13)):
        p.ellipse((255, 250, 240), x - r, y - r, x + r, y + r)


def _rocket(p: Pen, c: Colour, j: float) -> None:
    p.polygon((252, 170, 30), (-0.22, 0.55), (0.22, 0.55), (0, 0.98))
    p.polygon(shade(c, 0.6), (-0.65, 0.6), (-0.3, 0.0), (0.3, 0.0), (0.65, 0.6))
    p.ellipse(c, -0.36, -0.98, 0.36, 0.7)
    p.ellipse((190, 226, 244), -0.18, -0.42, 0.18, -0.06)


def _apple(p: Pen, c: Colour, j: float) -> None:
    p.ellipse(c, -0.85, -0.5, 0.2, 0.85)
    p.ellipse(c, -0.2, -0.5, 0.85, 0.85)
    p.line(BROWN, 0.12, (0, -0.35), (0.12, -0.9))
    p.ellipse((70, 160, 60), 0.12, -0.85, 0.6, -0.55)


def _balloon(p: Pen, c: Colour, j: float) -> None:
    p.line((230, 230, 230), 0.05, (0, 0.3), (0.12 * j, 0.98))
    p.polygon(shade(c, 0.8), (-0.14, 0.5), (0.14, 0.5), (0, 0.3))
    p.ellipse(c, -0.62, -0.95, 0.62, 0.42)
    p.ellipse(shade(c, 1.8), -0.4, -0.72, -0.1, -0.32)


def _butterfly(p: Pen, c: Colour, j: float) -> None:
    for side in (-1, 1):
        x0, x1 = sorted((side * 0.05, side * 0.95))
        p.ellipse(c, x0, -0.8, x1, 0.1)
        x0, x1 = sorted((side * 0.05, side * 0.7))
        p.ellipse(shade(c, 0.7), x0, -0.05, x1, 0.75)
        p.line(DARK, 0.05, (0, -0.5), (side * 0.25, -0.95))
    p.ellipse(DARK, -0.1, -0.6, 0.1, 0.7)


def _umbrella(p: Pen, c: Colour, j: float) -> None:
    p.line(BROWN, 0.1, (0, 0.0), (0, 0.8), (0.2, 0.92), (0.34, 0.75))
    p.pie(c, (-0.95, -0.8, 0.95, 1.0), 180, 360)
    p.pie(shade(c, 0.75), (-0.35, -0.8, 0.35, 1.0), 180, 360)


def _cup(p: Pen, c: Colour, j: float) -> None:
    p.ellipse(shade(c, 0.8), 0.3, -0.3, 0.98, 0.45)
    p.ellipse((235, 230, 222), 0.45, -0.12, 0.8, 0.28)
    p.polygon(c, (-0.75, -0.5), (0.6, -0.5), (0.45, 0.75), (-0.6, 0.75))
    p.ellipse((92, 58, 36), -0.75, -0.65, 0.6, -0.35)


OBJECTS: dict[str, Callable[[Pen, Colour, float], None]] = {
    "house": _house,
    "tree": _tree,
    "car": _car,
    "boat": _boat,
    "fish": _fish,
    "cat": _cat,
    "flower": _flower,
    "star": _star,
    "heart": _heart,
    "mushroom": _mushroom,
    "rocket": _rocket,
    "apple": _apple,
    "balloon": _balloon,
    "butterfly": _butterfly,
    "umbrella": _umbrella,
    "cup": _cup,
}

SKIES: dict[str, tuple[Colour, Colour, Colour]] = {
    # place: sky at the top, sky at the horizon, ground
    "night": ((10, 12, 48), (44, 44, 104), (22, 34, 40)),
    "sunset": ((92, 44, 120), (255, 150, 70), (70, 40, 60)),
    "snow": ((168, 200, 230), (226, 238, 246), (244, 248, 252)),
    "meadow": ((96, 174, 238), (196, 230, 250), (112, 182, 72)),
    "sea": ((130, 200, 244), (214, 240, 250), (30, 110, 170)),
    "desert": ((120, 190, 234), (250, 226, 180), (226, 178, 104)),
    "rain": ((84, 94, 108), (136, 146, 158), (74, 88, 84)),
    "studio": ((206, 206, 210), (188, 188, 194), (160, 156, 160)),
}


def _background(place: str, rng: np.random.Generator) -> tuple[Image.Image, float]:
    """A place without objects, at full drawing size, and the height of its horizon."""
    size = SIZE * SUPERSAMPLE
    top, bottom, ground = SKIES[place]
    horizon = size * rng.uniform(0.6, 0.72)
    ramp = np.clip(np.arange(size)[:, None] / horizon, 0, 1)
    rows = np.asarray(top) * (1 - ramp) + np.asarray(bottom) * ramp
    below = np.arange(size)[:, None] > horizon
    fade = 1 - 0.25 * np.clip((np.arange(size)[:, None] - horizon) / (size - horizon), 0, 1)
    rows = np.where(below, np.asarray(ground) * fade, rows) * rng.uniform(0.94, 1.04)
    pixels = np.repeat(np.clip(rows, 0, 255).astype(np.uint8)[:, None, :], size, axis=1)
    image = Image.fromarray(pixels)
    _details(ImageDraw.Draw(image), place, horizon, rng)
    return image, horizon


def _details(
    draw: ImageDraw.ImageDraw, place: str, horizon: float, rng: np.random.Generator
) -> None:
    """What tells a place apart beside its colours: stars, sun, clouds, hills, waves, rain."""
    size = SIZE * SUPERSAMPLE
    corner = rng.choice([0.16, 0.84]) * size

    def disc(x: float, y: float, r: float, fill: Colour) -> None:
        draw.ellipse([x - r, y - r, x + r, y + r], fill=fill)

    if place == "night":
        for _ in range(14):
            disc(rng.uniform(0, size), rng.uniform(0, horizon * 0.8), 3, (240, 240, 220))
        disc(corner, 0.17 * size, 0.09 * size, (244, 240, 206))
    elif place == "sunset":
        draw.pieslice(
            [corner - 46, horizon - 46, corner + 46, horizon + 46], 180, 360, fill=(255, 214, 110)
        )
    elif place in ("meadow", "snow"):
        green = (88, 158, 62) if place == "meadow" else (222, 232, 242)
        x = rng.uniform(0, size)
        draw.ellipse([x - 120, horizon - 24, x + 120, horizon + 60], fill=green)
        for _ in range(3):
            cx, cy = rng.uniform(0, size), rng.uniform(16, horizon * 0.5)
            if place == "meadow":
                draw.ellipse([cx - 30, cy - 9, cx + 30, cy + 9], fill=(250, 250, 252))
        if place == "snow":
            for _ in range(24):
                disc(rng.uniform(0, size), rng.uniform(0, size), 3.5, (255, 255, 255))
    elif place == "sea":
        for k in range(4):
            y = horizon + 12 + k * 20 + rng.uniform(-3, 3)
            draw.line([0, y, size, y], fill=(86, 160, 208), width=4)
    elif place == "desert":
        x = rng.uniform(0, size)
        draw.polygon(
            [(x - 110, horizon + 1), (x, horizon - 44), (x + 110, horizon + 1)], fill=(206, 152, 84)
        )
        disc(corner, 0.15 * size, 0.08 * size, (255, 240, 150))
    elif place == "rain":
        for _ in range(26):
            x, y = rng.uniform(0, size), rng.uniform(0, size)
            draw.line([x, y, x - 7, y + 22], fill=(176, 190, 206), width=3)


@dataclass(frozen=True)
class Thing:
    """One object of a scene, by vocabulary words."""

    kind: str
    colour: str
    size: str

    def words(self) -> str:
        return " ".join(w for w in ("a", self.size, self.colour, self.kind) if w)


@dataclass(frozen=True)
class Scene:
    """One or two things in a place; the second stands to the right of the first."""

    things: tuple[Thing, ...]
    place: str

    def prompt(self) -> str:
        return " and ".join(t.words() for t in self.things) + " " + PLACES[self.place]

    def held_out(self) -> bool:
        """Whether any (object, colour, place) of the scene is kept from training."""
        kinds, colours, places = list(OBJECTS), list(COLOURS), list(PLACES)
        return any(
            (3 * kinds.index(t.kind) + 5 * colours.index(t.colour) + 7 * places.index(self.place))
            % HELD_OUT_SHARE
            == 0
            for t in self.things
        )


def vocabulary() -> list[str]:
    """Every word a prompt of these scenes can hold, in a fixed order."""
    words = [*OBJECTS, *COLOURS, *(s for s in SIZES if s)]
    words += [w for phrase in PLACES.values() for w in phrase.split()] + ["a", "and"]
    return list(dict.fromkeys(words))


def sample_scene(rng: np.random.Generator) -> Scene:
    """A random scene: two things in two of five, a plain size in half of the cases."""
    count = 2 if rng.random() < 0.4 else 1
    things = tuple(
        Thing(
            str(rng.choice(list(OBJECTS))),
            str(rng.choice(list(COLOURS))),
            str(rng.choice(list(SIZES), p=[0.25, 0.5, 0.25])),
        )
        for _ in range(count)
    )
    return Scene(things, str(rng.choice(list(PLACES))))


def draw_scene(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draws a scene.

    Returns:
        ``(SIZE, SIZE, 3)`` uint8.
    """
    image, horizon = _background(scene.place, rng)
    draw = ImageDraw.Draw(image)
    size = SIZE * SUPERSAMPLE
    centres = [0.5] if len(scene.things) == 1 else [0.27, 0.73]
    for thing, centre in zip(scene.things, centres, strict=True):
        reach = (0.30 if len(centres) == 1 else 0.20) * size * SIZES[thing.size]
        x = size * (centre + rng.uniform(-0.03, 0.03))
        y = max(min(horizon + 0.1 * size - 0.5 * reach, size - reach), reach)
        colour = shade(COLOURS[thing.colour], rng.uniform(0.9, 1.1))
        OBJECTS[thing.kind](Pen(draw, x, y, reach), colour, rng.uniform(0, 1))
    return np.asarray(image.reduce(SUPERSAMPLE))
