"""The report of a calibration in one picture: search, best schedules, curves, loss per prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..documents.anchor import Anchor
from ..documents.schedule import Schedule
from ..search.trials import SearchResult, Trial
from ..transport import warping_curve
from .canvas import INK, MARGIN, MUTED, Axes, Canvas, Key, Picture, padded, ticks, tint
from .schedule_plot import render_schedule
from .search_plot import render_search
from .style import COMPUTED_COLOUR, SKIPPED_COLOUR

WIDTH = 960
_LABEL = 120
_BEFORE = (213, 94, 0)


def render_report(anchor: Anchor, found: SearchResult, title: str) -> Picture:
    """Everything a calibration found, one plot below the other, ``(height, 960, 3)`` uint8.

    Args:
        anchor: What it made.
        found: Stage 2's trials.
        title: One or two lines on top.
    """
    warm = found.trials[0]
    parts = [
        search_plot(found, title),
        render_best(found.top(), anchor.steps),
        _curves(anchor),
    ]
    best = found.trial(found.best)
    if best is not None and warm.losses and best.losses:
        parts.append(render_prompts(warm.losses, best.losses))
    return np.concatenate(parts)


def search_plot(found: SearchResult, title: str = "anchor search") -> Picture:
    """Loss over trials; candidates that were given up are drawn at their estimate."""
    warm = found.best_loss if np.isnan(found.warm_start_loss) else found.warm_start_loss
    losses = [None if trial.failure else trial.loss for trial in found.trials]
    return render_search(losses=losses, warm_start=warm, best=found.best_loss, title=title)


def render_best(trials: Sequence[Trial], steps: int) -> Picture:
    """Strips of the best schedules, each with its loss; a cell's height shows the slope's gain.

    Args:
        trials: The best ones, best first.
        steps: Step count, T.
    """
    row = 34
    canvas = Canvas(WIDTH, 76 + row * max(len(trials), 1))
    keys = [
        Key("computed", "cell", COMPUTED_COLOUR),
        Key("skipped, its height the gain of the slope", "cell", SKIPPED_COLOUR),
    ]
    top = canvas.header("best schedules", keys)
    across = (WIDTH - _LABEL - MARGIN) / steps
    for i, trial in enumerate(trials):
        middle = top + row * i + row / 2
        canvas.text(_LABEL - 10, middle, f"{trial.loss:.4f}", 13, INK, "rm")
        nodes, gains = trial.candidate.computed_steps, trial.candidate.slope_gain
        edge = np.searchsorted(nodes, np.arange(steps), side="right") - 1
        for step in range(steps):
            computed = step in nodes
            gain = 2.0 if computed else gains[min(int(edge[step]), len(gains) - 1)]
            half = 2 + 5.5 * max(gain, 0.0)
            left = _LABEL + step * across
            colour = COMPUTED_COLOUR if computed else SKIPPED_COLOUR
            box = (
                round(left),
                round(middle - half),
                round(left + across - 1),
                round(middle + half),
            )
            canvas.rectangle(box, colour)
    return canvas.finish()


def _curves(anchor: Anchor) -> Picture:
    named: dict[str, Schedule] = dict(reversed(anchor.searched))
    curves = {
        f"{name} (B={schedule.budget})": (
            warping_curve(schedule.computed_steps, schedule.steps) * (schedule.steps - 1)
        ).tolist()
        for name, schedule in named.items()
    }
    return render_schedule(
        steps=anchor.steps,
        computed_steps=anchor.anchor.computed_steps,
        curves=curves,
        caption="the anchor and its reference",
    )


def render_prompts(before: dict[int, float], after: dict[int, float]) -> Picture:
    """Loss per prompt with the warm start and with the anchor.

    Args:
        before: Loss by prompt with the warm start.
        after: Loss by prompt with the anchor.
    """
    height = 320
    canvas = Canvas(WIDTH, height)
    keys = [Key("warm start", "cross", _BEFORE), Key("anchor", "disc", COMPUTED_COLOUR)]
    top = canvas.header("loss per prompt, easy ones first", keys)
    prompts = sorted(set(before) & set(after), key=lambda p: before[p])
    values = [before[p] for p in prompts] + [after[p] for p in prompts]
    low, high = padded(values, False)
    box = (68, top + 24, WIDTH - MARGIN, height - MARGIN - 22)
    axes = Axes(canvas, box, (-0.5, len(prompts) - 0.5), (min(low, 0.0), high))
    axes.frame("prompt", [], "LPIPS", ticks(0.0, high, 5))
    for i, prompt in enumerate(prompts):
        first, last = axes.place(i, before[prompt]), axes.place(i, after[prompt])
        canvas.line([first, last], tint(MUTED, 0.5), 1.5)
        canvas.marker(*first, "cross", _BEFORE, 4)
        canvas.marker(*last, "disc", COMPUTED_COLOUR, 4.5)
    return canvas.finish()
