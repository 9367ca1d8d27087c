"""The picture of a schedule: its curves over a strip with a cell per step.

Series differ in line style as well as in colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import OTCacheError
from .canvas import MARGIN, MUTED, Axes, Box, Canvas, Key, Picture, ticks, tint
from .style import (
    COMPUTED_COLOUR,
    CURVE_STYLES,
    CURVE_WIDTH,
    GUTTER,
    SKIPPED_COLOUR,
    SKIPPED_HEIGHT,
    WIDER,
    CurveStyle,
    check_size,
    dash_in_picture,
)

# Of curves without a role; the last curve of a plot is its subject.
_OTHER_STYLES: tuple[CurveStyle, ...] = (
    ((204, 121, 167), (6, 3)),
    ((230, 159, 0), (7, 3, 1, 3)),
    ((86, 180, 233), (3, 2)),
)
_CELL = 6  # narrowest cell of a strip before it breaks into rows
_MOST_STEPS = 10_000


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


def _styles(names: Mapping[str, Any]) -> dict[str, CurveStyle]:
    """How each curve is drawn: by its role, which its name begins with, as a node's panel does."""
    *others, main = names or [""]
    styles = {name: _OTHER_STYLES[i % len(_OTHER_STYLES)] for i, name in enumerate(others)}
    styles[main] = CURVE_STYLES["prediction"]
    roles = {name: CURVE_STYLES.get(name.partition(" ")[0], styles[name]) for name in styles}
    return {name: (colour, dash_in_picture(dash)) for name, (colour, dash) in roles.items()}


def _draw_strip(canvas: Canvas, boxes: Sequence[Box], computed: frozenset[int]) -> None:
    low = max(1, round(SKIPPED_HEIGHT * (boxes[0][3] - boxes[0][1])))
    for step, (left, top, right, bottom) in enumerate(boxes):
        if step in computed:
            canvas.rectangle((left, top, right, bottom), COMPUTED_COLOUR)
        else:
            canvas.rectangle((left, bottom - low, right, bottom), SKIPPED_COLOUR)
    starts = [step for step, box in enumerate(boxes) if box[0] == GUTTER]
    row_height = boxes[0][3] - boxes[0][1]
    if len(starts) > 1 and row_height >= 11:
        for step in starts:
            middle = (boxes[step][1] + boxes[step][3]) / 2
            canvas.text(GUTTER - 10, middle, str(step), 12, MUTED, "rm")


def strip_boxes(*, steps: int, width: int = 960, height: int = 540) -> list[Box]:
    """Returns where `render_schedule` draws each step: `(left, top, right, bottom)` in pixels.

    The right and bottom edges are exclusive. Above 100 steps or so the strip breaks into rows.
    """
    across, depth = width - GUTTER - MARGIN, int(0.3 * height)
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
        left = GUTTER + round(column * across / per_row)
        right = GUTTER + round((column + 1) * across / per_row) - gap_x
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
    """Draws warping curves over a strip with one cell per step, computed ones high, others low.

    Curves and strip share the step axis as long as the strip fits into one row.

    Args:
        steps: number of sampler steps T, up to 10,000.
        computed_steps: the schedule, strictly increasing, in 0..T-1; also drawn as markers at
            uniform progress.
        curves: by name, step positions in 0..T-1 at uniform progress 0..1 (two points or more);
            one whose name begins with a role of `CURVE_STYLES` is drawn as that, of the others
            the last as the main one.
        caption: one or two lines above the plot; longer text is cut.
        width: pixels, at least 480.
        height: pixels, at least 320.

    Raises:
        OTCacheError: a value breaks one of these rules.
    """
    check_size(width, height)
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
            Key(f"skipped ({steps - len(computed_steps)})", "low cell", SKIPPED_COLOUR),
        ],
    )
    one_row = boxes[0][1] == boxes[-1][1]
    bottom = boxes[0][1] - (34 if one_row else 44)
    top = min(top + 24, bottom - 50)  # a legend of many rows may be drawn over, never a plot
    axes = Axes(canvas, (GUTTER, top, width - MARGIN, bottom), (-0.5, steps - 0.5), (0.0, 1.0))
    progress = np.linspace(0, 1, len(computed_steps))
    markers = [axes.place(step, u) for step, u in zip(computed_steps, progress, strict=True)]
    if one_row:
        for x, y in markers:
            canvas.line([(x, y), (x, boxes[0][1])], tint(COMPUTED_COLOUR, 0.3), 1)
    axes.frame("step", ticks(0, steps - 1, 10, whole=True), "progress", [0, 0.25, 0.5, 0.75, 1])
    for name, values in curves.items():
        points = zip(values, np.linspace(0, 1, len(values)), strict=True)
        colour, dash = styles[name]
        canvas.line([axes.place(*point) for point in points], colour, CURVE_WIDTH * WIDER, dash)
    radius = 4.5 if len(markers) <= 100 else 2
    for x, y in markers:
        canvas.marker(x, y, "disc", COMPUTED_COLOUR, radius)
    _draw_strip(canvas, boxes, frozenset(computed_steps))
    return canvas.finish()
