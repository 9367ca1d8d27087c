"""The surface that pictures are drawn on with Pillow: text, lines, markers, legends and axes.

Everything is drawn several times larger and averaged down. The font is the one inside Pillow, which
knows little more than ASCII, so labels are transliterated.
"""

import bisect
import functools
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

WHITE = (255, 255, 255)
INK = (31, 41, 51)
MUTED = (97, 110, 124)
GRID = (230, 234, 239)
MARGIN = 28

_SAMPLES = 3  # drawn this many times larger per side, then averaged
_TRANSLITERATION = str.maketrans(
    # Written as escapes: some linters and consoles take ASCII source only.
    {"\u00d7": "x", "\u2192": "->", "\u2265": ">=", "\u2264": "<=", "\u2013": "-", "\u2014": "-"}
    | {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00df": "ss"}
    | {"\u03c1": "rho", "\u03b3": "gamma", "\u03c3": "sigma", "\u03bc": "mu", "\u00b5": "u"}
)


@functools.lru_cache(maxsize=16)
def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def text_width(text: str, size: int) -> int:
    """Width in pixels of a line of text."""
    length: float = _font(size * _SAMPLES).getlength(text)
    return math.ceil(length / _SAMPLES)


def plain(text: str) -> str:
    """Keeps what the built-in font can show; other characters become their plain form or `?`."""
    text = " ".join(text.translate(_TRANSLITERATION).split())
    letters = (c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" or c in "·…" else "?" for c in letters)


def fit(text: str, size: int, width: float) -> str:
    """Cuts text to at most `width` pixels, an ellipsis at its end."""
    if text_width(text, size) <= width:
        return text
    lengths = range(1, len(text))
    kept = bisect.bisect_right(lengths, width, key=lambda n: text_width(text[:n] + "…", size))
    return text[:kept].rstrip() + "…"


def wrap(text: str, size: int, width: float, most_lines: int) -> list[str]:
    """Breaks text between words into lines of at most `width` pixels; the last one is cut."""
    words = plain(text[:2000]).split()
    lines: list[str] = []
    while words and len(lines) < most_lines - 1:
        count = 1
        while count < len(words) and text_width(" ".join(words[: count + 1]), size) <= width:
            count += 1
        lines.append(fit(" ".join(words[:count]), size, width))
        words = words[count:]
    return [*lines, fit(" ".join(words), size, width)] if words else lines


def tint(colour: Colour, strength: float) -> Colour:
    """Mixes a colour with white; at strength 0 nothing of it is left."""
    red, green, blue = (round(255 - strength * (255 - part)) for part in colour)
    return red, green, blue


def _dashes(points: Points, pattern: tuple[int, ...]) -> list[Points]:
    """Cuts a path into the drawn pieces of a dash pattern, given in pixels on, off, on, off."""
    x, y = np.array(points, dtype=float).T
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    pieces: list[Points] = []
    start, index = 0.0, 0
    while start < length[-1]:
        end = start + pattern[index % len(pattern)]
        if index % 2 == 0:
            inside = length[(length > start) & (length < end)]
            at = np.concatenate([[start], inside, [min(end, length[-1])]])
            xs, ys = np.interp(at, length, x).tolist(), np.interp(at, length, y).tolist()
            pieces.append(list(zip(xs, ys, strict=True)))
        start, index = end, index + 1
    return pieces


def ticks(low: float, high: float, count: int, whole: bool = False) -> list[float]:
    """Round values within [low, high]; `whole` ones are integers that end exactly at `high`."""
    rough = max((high - low) / count, 1e-12)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(f * unit for f in (1, 2, 5, 10) if f * unit >= rough * (1 - 1e-9))
    if not whole:
        return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    step = max(1.0, step)
    ticks = [i * step for i in range(math.floor(high / step) + 1) if high - i * step > 0.6 * step]
    return [*ticks, high]


def log_ticks(low: float, high: float) -> list[float]:
    """One, two and five times each power of ten within [low, high]."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [f * 10.0**k for k in exponents for f in (1, 2, 5) if low <= f * 10.0**k <= high]


def padded(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Limits of an axis that leave room around the values, more above than below."""
    low, high = min(values), max(values)
    if log:
        return low / 1.3, high * 1.6
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 0.1
    return (max(0.0, low - margin) if low >= 0 else low - margin), high + 1.5 * margin


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    label: str
    shape: str  # "line", "cell", "low cell", or a marker's shape
    colour: Colour
    dash: tuple[int, ...] = ()


class Canvas:
    """Draws in final pixels on a larger image, which `finish` averages down."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._image = Image.new("RGB", (width * _SAMPLES, height * _SAMPLES), WHITE)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Picture:
        """The picture in its final size."""
        return np.array(self._image.reduce(_SAMPLES))

    def rectangle(self, box: Box, colour: Colour) -> None:
        left, top, right, bottom = (edge * _SAMPLES for edge in box)
        self._draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)

    def line(
        self, points: Points, colour: Colour, width: float, dash: tuple[int, ...] = ()
    ) -> None:
        for part in _dashes(points, dash) if dash else [points]:
            scaled = [(x * _SAMPLES, y * _SAMPLES) for x, y in part]
            self._draw.line(scaled, fill=colour, width=round(width * _SAMPLES), joint="curve")

    def marker(self, x: float, y: float, shape: str, colour: Colour, radius: float) -> None:
        if shape == "cross":
            self.line([(x - radius, y - radius), (x + radius, y + radius)], colour, 1.5)
            self.line([(x - radius, y + radius), (x + radius, y - radius)], colour, 1.5)
            return
        left, top, right, bottom = (
            edge * _SAMPLES for edge in (x - radius, y - radius, x + radius, y + radius)
        )
        self._draw.ellipse((left, top, right, bottom), colour, outline=WHITE, width=_SAMPLES)

    def text(
        self, x: float, y: float, text: str, size: int, colour: Colour, anchor: str = "la"
    ) -> None:
        at, font = (x * _SAMPLES, y * _SAMPLES), _font(size * _SAMPLES)
        # A halo keeps the text readable where a line passes behind it.
        self._draw.text(
            at, text, colour, font, anchor, stroke_width=2 * _SAMPLES, stroke_fill=WHITE
        )

    def paragraph(
        self, x: float, y: float, lines: Sequence[str], size: int, colour: Colour, anchor: str
    ) -> None:
        for index, line in enumerate(lines):
            self.text(x, y + index * (size + 4), line, size, colour, anchor)

    def header(self, title: str, keys: Sequence[Key]) -> int:
        """Writes title and legend from the top, and returns where the plot may begin."""
        lines = wrap(title, 20, self._width - 2 * MARGIN, 2)
        for index, line in enumerate(lines):
            self.text(MARGIN, 24 + 26 * index, line, 20, INK)
        x, y = MARGIN, 28 + 26 * len(lines)
        for key in keys:
            label = fit(plain(key.label), 14, min(280, self._width - 2 * MARGIN - 40))
            icon = 30 if key.shape == "line" else 12
            advance = icon + 8 + text_width(label, 14) + 24
            if x > MARGIN and x + advance - 24 > self._width - MARGIN:
                x, y = MARGIN, y + 22
            self._icon(key, x, y + 9, icon)
            self.text(x + icon + 8, y + 9, label, 14, INK, "lm")
            x += advance
        return y + 30

    def _icon(self, key: Key, x: int, middle: int, width: int) -> None:
        if key.shape == "line":
            self.line([(x, middle), (x + width, middle)], key.colour, 2.5, key.dash)
        elif key.shape in ("cell", "low cell"):
            top = middle - 6 if key.shape == "cell" else middle + 2
            self.rectangle((x, top, x + width, middle + 6), key.colour)
        else:
            self.marker(x + width / 2, middle, key.shape, key.colour, 4.5)


class Axes:
    """Places data coordinates in a box of a canvas and draws the frame around it."""

    def __init__(
        self,
        canvas: Canvas,
        box: Box,
        x: tuple[float, float],
        y: tuple[float, float],
        log: bool = False,
    ) -> None:
        self._canvas = canvas
        self._left, self.top, self._right, self._bottom = box
        self._x, self._y, self._log = x, y, log

    def place(self, x: float, y: float) -> tuple[float, float]:
        low, level, high = (math.log10(v) if self._log else v for v in (self._y[0], y, self._y[1]))
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (level - low) / (high - low)
        return (
            self._left + across * (self._right - self._left),
            self._bottom - up * (self._bottom - self.top),
        )

    def frame(
        self, x_name: str, x_ticks: Sequence[float], y_name: str, y_ticks: Sequence[float]
    ) -> None:
        write = self._canvas.text
        for tick in y_ticks:
            _, y = self.place(0, tick)
            self._canvas.line([(self._left, y), (self._right, y)], GRID, 1)
            write(self._left - 10, y, f"{tick:.4g}", 12, MUTED, "rm")
        for tick in x_ticks:
            x, _ = self.place(tick, self._y[1])
            write(x, self._bottom + 8, f"{tick:.0f}", 12, MUTED, "ma")
        write(self._left - 10, self._bottom + 8, x_name, 12, MUTED, "ra")
        write(self._left - 10, self.top - 26, y_name, 12, MUTED, "ra")
