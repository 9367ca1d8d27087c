"""The picture of a search: the loss of every trial, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import OTCacheError
from .canvas import INK, MARGIN, Axes, Canvas, Key, Picture, log_ticks, padded, ticks, tint
from .style import COMPUTED_COLOUR, CURVE_STYLES, GUTTER, check_size, dash_in_picture

_WARM_START, _DASH = CURVE_STYLES["anchor"]  # as a node's panel has it


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
    check_size(width, height)
    for name, value in (("warm_start", warm_start), ("best", best)):
        if value is not None and not math.isfinite(value):
            raise OTCacheError(f"{name} must be finite but got {value}; pass the measured LPIPS")
    trials = [(i, v) for i, v in enumerate(losses) if v is not None and math.isfinite(v)]
    failed = sorted(set(range(len(losses))) - {i for i, _ in trials})
    if best is None and trials:
        best = min(value for _, value in trials)
    canvas = Canvas(width, height)
    keys = [Key(f"warm start ({warm_start:.4f})", "line", _WARM_START, dash_in_picture(_DASH))]
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
    box = (GUTTER, top + 24, width - MARGIN, height - MARGIN - 22)
    last = max(len(losses) - 1, 1)
    axes = Axes(canvas, box, (-0.5, last + 0.5), (low, high), log)
    levels = log_ticks(low, high) if log else ticks(low, high, 6)
    axes.frame("trial", ticks(0, last, 10, whole=True), "LPIPS", levels)
    _draw_trials(canvas, axes, trials, failed, last)
    level = axes.place(0, warm_start)[1]
    canvas.line([(box[0], level), (box[2], level)], _WARM_START, 2, dash_in_picture(_DASH))
    return canvas.finish()
