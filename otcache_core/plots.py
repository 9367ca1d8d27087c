"""Pictures of schedules, searches and results, drawn with Pillow as `(height, width, 3)` uint8.

Series differ in line style or shape as well as in colour, and the colours are Okabe and Ito's
palette for colour-blind readers. The font is the one inside Pillow, which knows little more than
ASCII, so labels are transliterated.
"""

import bisect
import functools
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from otcache_core.errors import OTCacheError

Picture = NDArray[np.uint8]
Box = tuple[int, int, int, int]
_Colour = tuple[int, int, int]
_Points = Sequence[tuple[float, float]]

COMPUTED_COLOUR = (0, 114, 178)
SKIPPED_COLOUR = (208, 218, 227)

_WHITE = (255, 255, 255)
_INK = (31, 41, 51)
_MUTED = (97, 110, 124)
_GRID = (230, 234, 239)
_VERMILION = (213, 94, 0)
# The last curve of a plot is its subject: solid, in the colour of computed steps.
_MAIN_STYLE = (COMPUTED_COLOUR, ())
_OTHER_STYLES: tuple[tuple[_Colour, tuple[int, ...]], ...] = (
    ((204, 121, 167), (11, 6)),
    ((0, 158, 115), (2, 5)),
    ((230, 159, 0), (12, 5, 2, 5)),
    ((86, 180, 233), (5, 4)),
)
_SAMPLES = 3  # drawn this many times larger per side, then averaged
_MARGIN = 28
_GUTTER = 68  # left of a plot, for its labels
_CELL = 6  # narrowest cell of a strip before it breaks into rows
_MOST_STEPS = 10_000
_TRANSLITERATION = str.maketrans(
    {"×": "x", "→": "->", "≥": ">=", "≤": "<=", "–": "-", "—": "-", "‘": "'", "’": "'"}
    | {"“": '"', "”": '"', "ρ": "rho", "γ": "gamma", "σ": "sigma", "μ": "mu", "µ": "u", "ß": "ss"}
)


@functools.lru_cache(maxsize=16)
def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def _text_width(text: str, size: int) -> int:
    length: float = _font(size * _SAMPLES).getlength(text)
    return math.ceil(length / _SAMPLES)


def _plain(text: str) -> str:
    """Keeps what the built-in font can show; other characters become their plain form or `?`."""
    text = " ".join(text.translate(_TRANSLITERATION).split())
    letters = (c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" or c in "·…" else "?" for c in letters)


def _fit(text: str, size: int, width: float) -> str:
    if _text_width(text, size) <= width:
        return text
    lengths = range(1, len(text))
    kept = bisect.bisect_right(lengths, width, key=lambda n: _text_width(text[:n] + "…", size))
    return text[:kept].rstrip() + "…"


def _wrap(text: str, size: int, width: float, most_lines: int) -> list[str]:
    """Breaks text between words into lines of at most `width` pixels; the last one is cut."""
    words = _plain(text[:2000]).split()
    lines: list[str] = []
    while words and len(lines) < most_lines - 1:
        count = 1
        while count < len(words) and _text_width(" ".join(words[: count + 1]), size) <= width:
            count += 1
        lines.append(_fit(" ".join(words[:count]), size, width))
        words = words[count:]
    return [*lines, _fit(" ".join(words), size, width)] if words else lines


def _tint(colour: _Colour, strength: float) -> _Colour:
    red, green, blue = (round(255 - strength * (255 - part)) for part in colour)
    return red, green, blue


def _dashes(points: _Points, pattern: tuple[int, ...]) -> list[_Points]:
    """Cuts a path into the drawn pieces of a dash pattern, given in pixels on, off, on, off."""
    x, y = np.array(points, dtype=float).T
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    pieces: list[_Points] = []
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


def _ticks(low: float, high: float, count: int, whole: bool = False) -> list[float]:
    """Round values within [low, high]; `whole` ones are integers that end exactly at `high`."""
    rough = max((high - low) / count, 1e-12)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(f * unit for f in (1, 2, 5, 10) if f * unit >= rough * (1 - 1e-9))
    if not whole:
        return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    step = max(1.0, step)
    ticks = [i * step for i in range(math.floor(high / step) + 1) if high - i * step > 0.6 * step]
    return [*ticks, high]


def _log_ticks(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [f * 10.0**k for k in exponents for f in (1, 2, 5) if low <= f * 10.0**k <= high]


def _padded(values: Sequence[float], log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        return low / 1.3, high * 1.6
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 0.1
    return (max(0.0, low - margin) if low >= 0 else low - margin), high + 1.5 * margin


@dataclass(frozen=True)
class _Key:
    """One entry of a legend."""

    label: str
    shape: str  # "line", "cell", or a marker's shape
    colour: _Colour
    dash: tuple[int, ...] = ()


class _Canvas:
    """Draws in final pixels on a larger image, which `finish` averages down."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._image = Image.new("RGB", (width * _SAMPLES, height * _SAMPLES), _WHITE)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Picture:
        return np.array(self._image.reduce(_SAMPLES))

    def rectangle(self, box: Box, colour: _Colour) -> None:
        left, top, right, bottom = (edge * _SAMPLES for edge in box)
        self._draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)

    def line(
        self, points: _Points, colour: _Colour, width: float, dash: tuple[int, ...] = ()
    ) -> None:
        for part in _dashes(points, dash) if dash else [points]:
            scaled = [(x * _SAMPLES, y * _SAMPLES) for x, y in part]
            self._draw.line(scaled, fill=colour, width=round(width * _SAMPLES), joint="curve")

    def marker(self, x: float, y: float, shape: str, colour: _Colour, radius: float) -> None:
        if shape == "cross":
            self.line([(x - radius, y - radius), (x + radius, y + radius)], colour, 1.5)
            self.line([(x - radius, y + radius), (x + radius, y - radius)], colour, 1.5)
            return
        left, top, right, bottom = (
            edge * _SAMPLES for edge in (x - radius, y - radius, x + radius, y + radius)
        )
        self._draw.ellipse((left, top, right, bottom), colour, outline=_WHITE, width=_SAMPLES)

    def text(
        self, x: float, y: float, text: str, size: int, colour: _Colour, anchor: str = "la"
    ) -> None:
        at, font = (x * _SAMPLES, y * _SAMPLES), _font(size * _SAMPLES)
        # A halo keeps the text readable where a line passes behind it.
        self._draw.text(
            at, text, colour, font, anchor, stroke_width=2 * _SAMPLES, stroke_fill=_WHITE
        )

    def paragraph(
        self, x: float, y: float, lines: Sequence[str], size: int, colour: _Colour, anchor: str
    ) -> None:
        for index, line in enumerate(lines):
            self.text(x, y + index * (size + 4), line, size, colour, anchor)

    def header(self, title: str, keys: Sequence[_Key]) -> int:
        """Writes title and legend from the top, and returns where the plot may begin."""
        lines = _wrap(title, 20, self._width - 2 * _MARGIN, 2)
        for index, line in enumerate(lines):
            self.text(_MARGIN, 24 + 26 * index, line, 20, _INK)
        x, y = _MARGIN, 28 + 26 * len(lines)
        for key in keys:
            label = _fit(_plain(key.label), 14, min(280, self._width - 2 * _MARGIN - 40))
            icon = 30 if key.shape == "line" else 12
            advance = icon + 8 + _text_width(label, 14) + 24
            if x > _MARGIN and x + advance - 24 > self._width - _MARGIN:
                x, y = _MARGIN, y + 22
            self._icon(key, x, y + 9, icon)
            self.text(x + icon + 8, y + 9, label, 14, _INK, "lm")
            x += advance
        return y + 30

    def _icon(self, key: _Key, x: int, middle: int, width: int) -> None:
        if key.shape == "line":
            self.line([(x, middle), (x + width, middle)], key.colour, 2.5, key.dash)
        elif key.shape == "cell":
            self.rectangle((x, middle - 6, x + width, middle + 6), key.colour)
        else:
            self.marker(x + width / 2, middle, key.shape, key.colour, 4.5)


class _Axes:
    """Places data coordinates in a box of a canvas and draws the frame around it."""

    def __init__(
        self,
        canvas: _Canvas,
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
            self._canvas.line([(self._left, y), (self._right, y)], _GRID, 1)
            write(self._left - 10, y, f"{tick:.4g}", 12, _MUTED, "rm")
        for tick in x_ticks:
            x, _ = self.place(tick, self._y[1])
            write(x, self._bottom + 8, f"{tick:.0f}", 12, _MUTED, "ma")
        write(self._left - 10, self._bottom + 8, x_name, 12, _MUTED, "ra")
        write(self._left - 10, self.top - 26, y_name, 12, _MUTED, "ra")


def _check_size(width: int, height: int) -> None:
    if width < 480 or height < 320:
        raise OTCacheError(
            f"a picture must be at least 480x320 pixels but got {width}x{height}; enlarge it"
        )


def _check_schedule(steps: int, computed_steps: Sequence[int]) -> None:
    if not 1 <= steps <= _MOST_STEPS:
        raise OTCacheError(f"steps must be between 1 and {_MOST_STEPS} but got {steps}")
    increasing = all(a < b for a, b in zip(computed_steps, computed_steps[1:], strict=False))
    if not computed_steps or not increasing or computed_steps[0] < 0 or computed_steps[-1] >= steps:
        raise OTCacheError(
            f"computed_steps must be strictly increasing within 0..{steps - 1} "
            f"but got {list(computed_steps)}"
        )


def _check_curve(name: str, values: Sequence[float], steps: int) -> None:
    if len(values) < 2 or not all(0 <= value <= steps - 1 for value in values):
        raise OTCacheError(
            f"curve {name!r} must hold two or more positions within 0..{steps - 1} "
            f"but got {list(values)[:8]}"
        )


def _check_sheet(
    rows: Sequence[tuple[str, Sequence[Picture]]], columns: Sequence[str], scale: int
) -> None:
    if not rows or not columns:
        raise OTCacheError(
            f"a contact sheet needs rows and columns but got {len(rows)} x {len(columns)}"
        )
    if scale < 1:
        raise OTCacheError(f"scale must be 1 or more but got {scale}")
    for label, images in rows:
        if len(images) != len(columns):
            raise OTCacheError(
                f"row {label!r} must have one image for each of {len(columns)} columns "
                f"but has {len(images)}"
            )
        for image in images:
            if (
                image.ndim != 3
                or image.shape[2] != 3
                or image.dtype != np.uint8
                or 0 in image.shape
            ):
                raise OTCacheError(
                    f"images must be (H, W, 3) uint8 but row {label!r} holds {image.shape} "
                    f"{image.dtype}; scale [0, 1] by 255, round, and drop alpha"
                )


def _styles(names: Mapping[str, Any]) -> dict[str, tuple[_Colour, tuple[int, ...]]]:
    *others, main = names or [""]
    styles = {name: _OTHER_STYLES[i % len(_OTHER_STYLES)] for i, name in enumerate(others)}
    return {**styles, main: _MAIN_STYLE}


def _draw_strip(canvas: _Canvas, boxes: Sequence[Box], computed: frozenset[int]) -> None:
    for step, box in enumerate(boxes):
        canvas.rectangle(box, COMPUTED_COLOUR if step in computed else SKIPPED_COLOUR)
    starts = [step for step, box in enumerate(boxes) if box[0] == _GUTTER]
    row_height = boxes[0][3] - boxes[0][1]
    if len(starts) > 1 and row_height >= 11:
        for step in starts:
            middle = (boxes[step][1] + boxes[step][3]) / 2
            canvas.text(_GUTTER - 10, middle, str(step), 12, _MUTED, "rm")


def _draw_trials(
    canvas: _Canvas,
    axes: _Axes,
    trials: Sequence[tuple[int, float]],
    failed: Sequence[int],
    last: int,
) -> None:
    radius = 3.5 if len(trials) <= 400 else 2
    for trial, loss in trials:
        canvas.marker(*axes.place(trial, loss), "disc", _tint(COMPUTED_COLOUR, 0.5), radius)
    for trial in failed:
        x, _ = axes.place(trial, 1)
        canvas.marker(x, axes.top + 9, "cross", _INK, 4)
    if trials:
        lowest = np.minimum.accumulate([loss for _, loss in trials]).tolist()
        path = [axes.place(trials[0][0], lowest[0])]
        for (trial, _), loss in zip(trials, lowest, strict=True):
            x, y = axes.place(trial, loss)
            path += [(x, path[-1][1]), (x, y)]
        canvas.line([*path, (axes.place(last, 1)[0], path[-1][1])], COMPUTED_COLOUR, 2.5)


def strip_boxes(*, steps: int, width: int = 960, height: int = 540) -> list[Box]:
    """Returns where `render_schedule` draws each step: `(left, top, right, bottom)` in pixels.

    The right and bottom edges are exclusive. Above 100 steps or so the strip breaks into rows.
    """
    across, depth = width - _GUTTER - _MARGIN, int(0.3 * height)
    pitch = next(
        p for p in (_CELL, 5, 4, 3, 2) if p == 2 or 4 * -(-steps // (across // p)) <= depth
    )
    rows = -(-steps // (across // pitch))
    per_row = -(-steps // rows)
    row_height = 36 if rows == 1 else max(2, min(20, depth // rows))
    top = height - _MARGIN - rows * row_height
    gap_x, gap_y = (2 if across / per_row >= 8 else 1), (1 if row_height < 12 else 4)
    boxes = []
    for step in range(steps):
        row, column = divmod(step, per_row)
        left = _GUTTER + round(column * across / per_row)
        right = _GUTTER + round((column + 1) * across / per_row) - gap_x
        boxes.append((left, top + row * row_height, right, top + (row + 1) * row_height - gap_y))
    return boxes


def render_schedule(
    *,
    steps: int,
    computed_steps: Sequence[int],
    curves: Mapping[str, Sequence[float]] | None = None,
    caption: str = "",
    width: int = 960,
    height: int = 540,
) -> Picture:
    """Draws warping curves over a strip with one cell per step, computed ones solid.

    Curves and strip share the step axis as long as the strip fits into one row.

    Args:
        steps: number of sampler steps T, up to 10,000.
        computed_steps: the schedule, strictly increasing, in 0..T-1; also drawn as markers at
            uniform progress.
        curves: by name, step positions in 0..T-1 at uniform progress 0..1 (two points or more);
            the last one is drawn as the main one.
        caption: one or two lines above the plot; longer text is cut.
        width: pixels, at least 480.
        height: pixels, at least 320.

    Raises:
        OTCacheError: a value breaks one of these rules.
    """
    _check_size(width, height)
    _check_schedule(steps, computed_steps)
    curves = curves or {}
    for name, values in curves.items():
        _check_curve(name, values, steps)
    styles = _styles(curves)
    boxes = strip_boxes(steps=steps, width=width, height=height)
    canvas = _Canvas(width, height)
    top = canvas.header(
        caption,
        [_Key(name, "line", *styles[name]) for name in curves]
        + [
            _Key(f"computed ({len(computed_steps)})", "cell", COMPUTED_COLOUR),
            _Key(f"skipped ({steps - len(computed_steps)})", "cell", SKIPPED_COLOUR),
        ],
    )
    one_row = boxes[0][1] == boxes[-1][1]
    bottom = boxes[0][1] - (34 if one_row else 44)
    top = min(top + 24, bottom - 50)  # a legend of many rows may be drawn over, never a plot
    axes = _Axes(canvas, (_GUTTER, top, width - _MARGIN, bottom), (-0.5, steps - 0.5), (0.0, 1.0))
    progress = np.linspace(0, 1, len(computed_steps))
    markers = [axes.place(step, u) for step, u in zip(computed_steps, progress, strict=True)]
    if one_row:
        for x, y in markers:
            canvas.line([(x, y), (x, boxes[0][1])], _tint(COMPUTED_COLOUR, 0.3), 1)
    axes.frame("step", _ticks(0, steps - 1, 10, whole=True), "progress", [0, 0.25, 0.5, 0.75, 1])
    for name, values in curves.items():
        points = zip(values, np.linspace(0, 1, len(values)), strict=True)
        colour, dash = styles[name]
        canvas.line([axes.place(*point) for point in points], colour, 2.5, dash)
    radius = 4.5 if len(markers) <= 100 else 2
    for x, y in markers:
        canvas.marker(x, y, "disc", COMPUTED_COLOUR, radius)
    _draw_strip(canvas, boxes, frozenset(computed_steps))
    return canvas.finish()


def render_search(
    *,
    losses: Sequence[float | None],
    warm_start: float,
    best: float | None = None,
    title: str = "",
    width: int = 960,
    height: int = 540,
) -> Picture:
    """Draws the LPIPS of every trial, the best so far, and the warm start.

    Args:
        losses: one per trial, in order; None, NaN or infinity marks a failed trial, drawn as a
            cross at the top.
        warm_start: LPIPS of the schedule that the search started from.
        best: final LPIPS, named in the legend; by default the lowest of `losses`.
        title: one or two lines above the plot; longer text is cut.
        width: pixels, at least 480.
        height: pixels, at least 320.

    Raises:
        OTCacheError: the picture is too small, or `warm_start` or `best` is not finite.
    """
    _check_size(width, height)
    for name, value in (("warm_start", warm_start), ("best", best)):
        if value is not None and not math.isfinite(value):
            raise OTCacheError(f"{name} must be finite but got {value}; pass the measured LPIPS")
    trials = [(i, v) for i, v in enumerate(losses) if v is not None and math.isfinite(v)]
    failed = sorted(set(range(len(losses))) - {i for i, _ in trials})
    if best is None and trials:
        best = min(value for _, value in trials)
    canvas = _Canvas(width, height)
    keys = [_Key(f"warm start ({warm_start:.4f})", "line", _VERMILION, (9, 6))]
    if best is not None:
        keys.append(_Key(f"best so far ({best:.4f})", "line", COMPUTED_COLOUR))
    if trials:
        keys.append(_Key(f"trial ({len(trials)})", "disc", _tint(COMPUTED_COLOUR, 0.5)))
    if failed:
        keys.append(_Key(f"failed ({len(failed)})", "cross", _INK))
    top = canvas.header(title, keys)
    shown = [value for _, value in trials] + [warm_start, warm_start if best is None else best]
    # Bad trials can be a hundred times worse than good ones, which would lie flat on the axis.
    log = min(shown) > 0 and max(shown) > 10 * min(shown)
    low, high = _padded(shown, log)
    box = (_GUTTER, top + 24, width - _MARGIN, height - _MARGIN - 22)
    last = max(len(losses) - 1, 1)
    axes = _Axes(canvas, box, (-0.5, last + 0.5), (low, high), log)
    levels = _log_ticks(low, high) if log else _ticks(low, high, 6)
    axes.frame("trial", _ticks(0, last, 10, whole=True), "LPIPS", levels)
    _draw_trials(canvas, axes, trials, failed, last)
    level = axes.place(0, warm_start)[1]
    canvas.line([(box[0], level), (box[2], level)], _VERMILION, 2, (9, 6))
    return canvas.finish()


def contact_sheet(
    *,
    rows: Sequence[tuple[str, Sequence[Picture]]],
    columns: Sequence[str],
    scale: int = 2,
) -> Picture:
    """Lays small images out in a labelled grid, enlarged without smoothing.

    Args:
        rows: label and images `(H, W, 3)` uint8 of each row, one image per column; cells take the
            largest size, smaller images sit in their middle.
        columns: labels above the grid.
        scale: whole factor by which images are enlarged.

    Raises:
        OTCacheError: there is nothing to show, a row has another number of images than there are
            columns, an image has another layout, or `scale` is not positive.
    """
    _check_sheet(rows, columns, scale)
    images = [image for _, row in rows for image in row]
    cell_height = scale * max(image.shape[0] for image in images)
    cell_width = scale * max(image.shape[1] for image in images)
    label_width = min(200, max(_text_width(_plain(label), 14) for label, _ in rows))
    left, gap = _MARGIN + label_width + (16 if label_width else 0), 8
    headings = [_wrap(label, 13, cell_width, 2) for label in columns]
    top = 20 + 17 * max(len(lines) for lines in headings) + 6
    canvas = _Canvas(
        left + len(columns) * (cell_width + gap) - gap + _MARGIN,
        top + len(rows) * (cell_height + gap) - gap + _MARGIN,
    )
    for column, lines in enumerate(headings):
        x = left + column * (cell_width + gap) + cell_width / 2
        canvas.paragraph(x, top - 6 - 17 * len(lines), lines, 13, _INK, "ma")
    for row, (label, _) in enumerate(rows):
        lines = _wrap(label, 14, label_width, max(1, cell_height // 18))
        y = top + row * (cell_height + gap) + (cell_height - 18 * len(lines)) / 2
        canvas.paragraph(left - 16, y, lines, 14, _INK, "ra")
    picture = canvas.finish()
    for index, image in enumerate(images):
        row, column = divmod(index, len(columns))
        large = image.repeat(scale, axis=0).repeat(scale, axis=1)
        y = top + row * (cell_height + gap) + (cell_height - large.shape[0]) // 2
        x = left + column * (cell_width + gap) + (cell_width - large.shape[1]) // 2
        picture[y : y + large.shape[0], x : x + large.shape[1]] = large
    return picture
