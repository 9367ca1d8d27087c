"""Draws the registry's icon and banner: `python -m scripts.media.emblem`.

Both show a run as a clock with a mark for each of its steps, those long and bright that run the
model in the schedule of the bundled anchor.
"""

from __future__ import annotations

import math
import sys

from PIL import Image, ImageDraw, ImageFont

from otcache_core.documents.anchor import load_anchor
from otcache_core.transport import predict_schedule
from scripts.host.find import REPOSITORY

ANCHOR = REPOSITORY / "presets" / "otcache-demo.otanchor.json"
FOLDER = REPOSITORY / "docs" / "images"
ICON = FOLDER / "icon.png"
BANNER = FOLDER / "banner.png"
ICON_SIZE = (400, 400)
"""The registry takes squares of at most 400 pixels."""
BANNER_SIZE = (1260, 540)
"""The registry takes 21:9."""

BUDGET = 10
SAMPLES = 4
"""Drawn so many times larger per side, then averaged down."""

Colour = tuple[int, int, int]
GROUND = (17, 24, 39)
COMPUTED = (86, 180, 255)
SKIPPED = (71, 85, 105)
TEXT = (241, 245, 249)
QUIET = (148, 163, 184)
SLOGAN = ("A fifth of the model calls,", "placed where they matter.")


def draw_run(draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float) -> None:
    """The steps of a run around a circle, clockwise from the top."""
    schedule = predict_schedule(load_anchor(ANCHOR), BUDGET).schedule

    def mark(step: int, inner: float, width: float, colour: Colour) -> None:
        angle = 2.0 * math.pi * step / schedule.steps
        x, y = math.sin(angle), -math.cos(angle)
        ends = [(centre[0] + r * radius * x, centre[1] + r * radius * y) for r in (inner, 1.0)]
        draw.line(ends, fill=colour, width=round(width * radius))

    for step in range(schedule.steps):
        if step in schedule.computed_steps:
            mark(step, 0.52, 0.085, COMPUTED)
        else:
            mark(step, 0.8, 0.05, SKIPPED)


def _canvas(size: tuple[int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (size[0] * SAMPLES, size[1] * SAMPLES), GROUND)
    return image, ImageDraw.Draw(image)


def draw_icon() -> Image.Image:
    """The icon."""
    image, draw = _canvas(ICON_SIZE)
    middle = image.width / 2
    draw_run(draw, (middle, middle), 0.84 * middle)
    return image.resize(ICON_SIZE, Image.Resampling.LANCZOS)


def draw_banner() -> Image.Image:
    """The banner: the run, the name, and what it is good for."""
    image, draw = _canvas(BANNER_SIZE)
    height = image.height
    draw_run(draw, (0.58 * height, 0.5 * height), 0.36 * height)
    lines = (("OTCache", 0.22, 0.2, TEXT), (SLOGAN[0], 0.52, 0.075, QUIET))
    for text, top, size, colour in (*lines, (SLOGAN[1], 0.64, 0.075, QUIET)):
        font = ImageFont.load_default(size=size * height)
        draw.text((1.12 * height, top * height), text, font=font, fill=colour)
    return image.resize(BANNER_SIZE, Image.Resampling.LANCZOS)


def main() -> int:
    """Command line."""
    for path, draw in ((ICON, draw_icon), (BANNER, draw_banner)):
        draw().quantize(64).save(path, optimize=True)
        print(f"wrote {path.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
