"""Pictures of schedules, searches and results, drawn with Pillow as `(height, width, 3)` uint8.

Series differ in line style or shape as well as in colour, and the colours are Okabe and Ito's
palette for colour-blind readers.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import OTCacheError
from .canvas import (
    INK,
    MARGIN,
    MUTED,
    Axes,
    Box,
    Canvas,
    Colour,
    Key,
    Picture,
    log_ticks,
    padded,
    plain,
    text_width,
    ticks,
    tint,
    wrap,
)

__all__ = [
    "COMPUTED_COLOUR",
    "SKIPPED_COLOUR",
    "Box",
    "Picture",
    "contact_sheet",
    "render_schedule",
    "render_search",
    "strip_boxes",
]

COMPUTED_COLOUR = (0, 114, 178)
SKIPPED_COLOUR = (208, 218, 227)

_VERMILION = (213, 94, 0)
# The last curve of a plot is its subject: solid, in the colour of computed steps.
_MAIN_STYLE = (COMPUTED_COLOUR, ())
_OTHER_STYLES: tuple[tuple[Colour, tuple[int, ...]], ...] = (
    ((204, 121, 167), (11, 6)),
    ((0, 158, 115), (2, 5)),
    ((230, 159, 0), (12, 5, 2, 5)),
    ((86, 180, 233), (5, 4)),
)
_GUTTER = 68  # left of a plot, for its labels
_CELL = 6  # narrowest cell of a strip before it breaks into rows
_MOST_STEPS = 10_000


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


def _styles(names: Mapping[str, Any]) -> dict[str, tuple[Colour, tuple[int, ...]]]:
    *others, main = names or [""]
    styles = {name: _OTHER_STYLES[i % len(_OTHER_STYLES)] for i, name in enumerate(others)}
    return {**styles, main: _MAIN_STYLE}


def _draw_strip(canvas: Canvas, boxes: Sequence[Box], computed: frozenset[int]) -> None:
    for step, box in enumerate(boxes):
        canvas.rectangle(box, COMPUTED_COLOUR if step in computed else SKIPPED_COLOUR)
    starts = [step for step, box in enumerate(boxes) if box[0] == _GUTTER]
    row_height = boxes[0][3] - boxes[0][1]
    if len(starts) > 1 and row_height >= 11:
        for step in starts:
            middle = (boxes[step][1] + boxes[step][3]) / 2
            canvas.text(_GUTTER - 10, middle, str(step), 12, MUTED, "rm")


def _draw_trials(
    canvas: Canvas,
    axes: Axes,
    trials: Sequence[tuple[int, float]],
    failed: Sequence[int],
    last: int,
) -> None:
    radius = 3.5 if len(trials) <= 400 else 2
    for trial, loss in trials:
        canvas.marker(*axes.place(trial, loss), "disc", tint(COMPUTED_COLOUR, 0.5), radius)
    for trial in failed:
        x, _ = axes.place(trial, 1)
        canvas.marker(x, axes.top + 9, "cross", INK, 4)
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
    across, depth = width - _GUTTER - MARGIN, int(0.3 * height)
    pitch = next(
        p for p in (_CELL, 5, 4, 3, 2) if p == 2 or 4 * -(-steps // (across // p)) <= depth
    )
    rows = -(-steps // (across // pitch))
    per_row = -(-steps // rows)
    row_height = 36 if rows == 1 else max(2, min(20, depth // rows))
    top = height - MARGIN - rows * row_height
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
    canvas = Canvas(width, height)
    top = canvas.header(
        caption,
        [Key(name, "line", *styles[name]) for name in curves]
        + [
            Key(f"computed ({len(computed_steps)})", "cell", COMPUTED_COLOUR),
            Key(f"skipped ({steps - len(computed_steps)})", "cell", SKIPPED_COLOUR),
        ],
    )
    one_row = boxes[0][1] == boxes[-1][1]
    bottom = boxes[0][1] - (34 if one_row else 44)
    top = min(top + 24, bottom - 50)  # a legend of many rows may be drawn over, never a plot
    axes = Axes(canvas, (_GUTTER, top, width - MARGIN, bottom), (-0.5, steps - 0.5), (0.0, 1.0))
    progress = np.linspace(0, 1, len(computed_steps))
    markers = [axes.place(step, u) for step, u in zip(computed_steps, progress, strict=True)]
    if one_row:
        for x, y in markers:
            canvas.line([(x, y), (x, boxes[0][1])], tint(COMPUTED_COLOUR, 0.3), 1)
    axes.frame("step", ticks(0, steps - 1, 10, whole=True), "progress", [0, 0.25, 0.5, 0.75, 1])
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
    canvas = Canvas(width, height)
    keys = [Key(f"warm start ({warm_start:.4f})", "line", _VERMILION, (9, 6))]
    if best is not None:
        keys.append(Key(f"best so far ({best:.4f})", "line", COMPUTED_COLOUR))
    if trials:
        keys.append(Key(f"trial ({len(trials)})", "disc", tint(COMPUTED_COLOUR, 0.5)))
    if failed:
        keys.append(Key(f"failed ({len(failed)})", "cross", INK))
    top = canvas.header(title, keys)
    shown = [value for _, value in trials] + [warm_start, warm_start if best is None else best]
    # Bad trials can be a hundred times worse than good ones, which would lie flat on the axis.
    log = min(shown) > 0 and max(shown) > 10 * min(shown)
    low, high = padded(shown, log)
    box = (_GUTTER, top + 24, width - MARGIN, height - MARGIN - 22)
    last = max(len(losses) - 1, 1)
    axes = Axes(canvas, box, (-0.5, last + 0.5), (low, high), log)
    levels = log_ticks(low, high) if log else ticks(low, high, 6)
    axes.frame("trial", ticks(0, last, 10, whole=True), "LPIPS", levels)
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
    label_width = min(200, max(text_width(plain(label), 14) for label, _ in rows))
    left, gap = MARGIN + label_width + (16 if label_width else 0), 8
    headings = [wrap(label, 13, cell_width, 2) for label in columns]
    top = 20 + 17 * max(len(lines) for lines in headings) + 6
    canvas = Canvas(
        left + len(columns) * (cell_width + gap) - gap + MARGIN,
        top + len(rows) * (cell_height + gap) - gap + MARGIN,
    )
    for column, lines in enumerate(headings):
        x = left + column * (cell_width + gap) + cell_width / 2
        canvas.paragraph(x, top - 6 - 17 * len(lines), lines, 13, INK, "ma")
    for row, (label, _) in enumerate(rows):
        lines = wrap(label, 14, label_width, max(1, cell_height // 18))
        y = top + row * (cell_height + gap) + (cell_height - 18 * len(lines)) / 2
        canvas.paragraph(left - 16, y, lines, 14, INK, "ra")
    picture = canvas.finish()
    for index, image in enumerate(images):
        row, column = divmod(index, len(columns))
        large = image.repeat(scale, axis=0).repeat(scale, axis=1)
        y = top + row * (cell_height + gap) + (cell_height - large.shape[0]) // 2
        x = left + column * (cell_width + gap) + (cell_width - large.shape[1]) // 2
        picture[y : y + large.shape[0], x : x + large.shape[1]] = large
    return picture
