import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from otcache_core.drawing.canvas import Picture
from otcache_core.drawing.contact_sheet import contact_sheet
from otcache_core.drawing.schedule_plot import render_schedule, strip_boxes
from otcache_core.drawing.search_plot import render_search
from otcache_core.drawing.style import (
    COMPUTED_COLOUR,
    CURVE_STYLES,
    SKIPPED_COLOUR,
    SKIPPED_HEIGHT,
)
from otcache_core.errors import OTCacheError

SCHEDULE = [0, 1, 2, 4, 7, 12, 18, 27, 38, 49]
CURVES = {
    "reference (B=20)": [0.0, 10.0, 30.0, 49.0],
    "anchor (B=8)": [0.0, 5.0, 20.0, 49.0],
    "prediction (B=10)": [0.0, 7.0, 25.0, 49.0],
}


def _every(steps: int, stride: int) -> list[int]:
    return sorted({*range(0, steps, stride), steps - 1})


def _is(picture: Picture, colour: tuple[int, int, int]) -> Any:
    return (picture == np.array(colour, dtype=np.uint8)).all(axis=-1)


def _solid(value: int, height: int = 4, width: int = 6) -> Picture:
    return np.full((height, width, 3), value, dtype=np.uint8)


# Schedules


@pytest.mark.parametrize(
    ("steps", "computed_steps"),
    [
        (1, [0]),
        (2, [0, 1]),
        (8, [0, 1, 3, 7]),
        (50, SCHEDULE),
        (50, list(range(50))),
        (145, _every(145, 3)),
        (1000, _every(1000, 17)),
        (10_000, _every(10_000, 99)),
    ],
)
def test_strip_shows_exactly_the_computed_steps(steps: int, computed_steps: list[int]) -> None:
    picture = render_schedule(steps=steps, computed_steps=computed_steps)

    feet = [
        tuple(int(part) for part in picture[bottom - 1, (left + right) // 2])
        for left, _, right, bottom in strip_boxes(steps=steps)
    ]
    assert [step for step in range(steps) if feet[step] == COMPUTED_COLOUR] == computed_steps
    assert feet.count(SKIPPED_COLOUR) == steps - len(computed_steps)


def test_computed_steps_stand_high_and_skipped_ones_low() -> None:
    picture = render_schedule(steps=50, computed_steps=SCHEDULE)
    boxes = strip_boxes(steps=50)

    for step, (left, top, right, bottom) in enumerate(boxes):
        column = picture[top:bottom, (left + right) // 2]
        share = np.count_nonzero((column < 255).any(axis=1)) / (bottom - top)
        expected = 1.0 if step in SCHEDULE else SKIPPED_HEIGHT
        assert share == pytest.approx(expected, abs=0.03)


def test_strip_cells_are_separate() -> None:
    """Counted without knowing where cells are: solid runs along one line of pixels."""
    picture = render_schedule(steps=50, computed_steps=list(range(50)))
    line = _is(picture, COMPUTED_COLOUR)[picture.shape[0] - 40]

    assert np.count_nonzero(np.diff(line.astype(int)) == 1) == 50


@pytest.mark.parametrize("steps", [1, 2, 8, 50, 144, 145, 500, 1000, 10_000])
@pytest.mark.parametrize(("width", "height"), [(960, 540), (480, 320), (700, 1000)])
def test_strip_cells_lie_inside_and_do_not_overlap(steps: int, width: int, height: int) -> None:
    covered = np.zeros((height, width), dtype=int)

    boxes = strip_boxes(steps=steps, width=width, height=height)

    assert len(boxes) == steps
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width
        assert height / 2 <= top < bottom <= height
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "budget 10 of 50 · speedup 5.0×",
        "many words " * 500,
        "w" * 5000,
        "line\nline\nline",
        "プロンプト \U0001f600",
    ],
    ids=["empty", "usual", "many words", "one word", "lines", "no glyphs"],
)
@pytest.mark.parametrize(("width", "height"), [(960, 540), (480, 320)])
def test_captions_of_any_length(caption: str, width: int, height: int) -> None:
    picture = render_schedule(
        steps=50,
        computed_steps=SCHEDULE,
        curves=CURVES,
        caption=caption,
        width=width,
        height=height,
    )

    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert _is(picture[:, -10:], (255, 255, 255)).all()  # nothing runs over the right edge


def test_schedule_picture_is_deterministic() -> None:
    first, second = (
        render_schedule(steps=50, computed_steps=SCHEDULE, curves=CURVES, caption="same")
        for _ in range(2)
    )

    assert np.array_equal(first, second)


def _with_one_curve(name: str) -> Picture:
    steps = [0.0, 40.0, 49.0]
    return render_schedule(steps=50, computed_steps=[0, 49], curves={name: steps, "": [0.0, 49.0]})


def test_a_curve_is_drawn_by_its_role_wherever_it_stands() -> None:
    colours = {name: colour for name, (colour, _) in CURVE_STYLES.items()}
    for name, colour in colours.items():
        picture = _with_one_curve(f"{name} (B=8)")[100:400]
        others = {c for c in colours.values() if c not in (colour, COMPUTED_COLOUR)}
        assert _is(picture, colour).any(), name
        assert not any(_is(picture, other).any() for other in others), name
    # A dotted line has more gaps than a dashed one.
    gaps = {name: len(np.flatnonzero(np.diff(_drawn_columns(name, colours[name]).astype(int)) == 1))
            for name in ("reference", "anchor")}  # fmt: skip
    assert gaps["reference"] > 1.5 * gaps["anchor"] > 10


def _drawn_columns(name: str, colour: tuple[int, int, int]) -> Any:
    return _is(_with_one_curve(name)[100:400, 80:], colour).any(axis=0)


def test_each_curve_is_drawn() -> None:
    pictures = [
        render_schedule(
            steps=50, computed_steps=SCHEDULE, curves={**CURVES, name: [0.0, 49.0, 49.0]}
        )
        for name in [*CURVES, "one more"]
    ]

    unchanged = render_schedule(steps=50, computed_steps=SCHEDULE, curves=CURVES)
    assert not any(np.array_equal(picture, unchanged) for picture in pictures)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be between 1 and 10000 but got 0"),
        ({"steps": 10_001}, "steps must be between 1 and 10000 but got 10001"),
        ({"computed_steps": []}, r"within 0\.\.49 but got \[\]"),
        ({"computed_steps": [0, 3, 3]}, r"strictly increasing .* got \[0, 3, 3\]"),
        ({"computed_steps": [-1, 3]}, r"got \[-1, 3\]"),
        ({"computed_steps": [0, 50]}, r"got \[0, 50\]"),
        ({"curves": {"anchor": [0.0]}}, "curve 'anchor' must hold two or more"),
        ({"curves": {"anchor": [0.0, 49.5]}}, r"within 0\.\.49 but got \[0\.0, 49\.5\]"),
        ({"curves": {"anchor": [0.0, math.nan]}}, r"got \[0\.0, nan\]"),
        ({"width": 100}, "at least 480x320 pixels but got 100x540"),
    ],
)
def test_schedules_that_cannot_be_drawn(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"steps": 50, "computed_steps": SCHEDULE, **changes}

    with pytest.raises(OTCacheError, match=message):
        render_schedule(**arguments)


# Searches


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [None],
        [0.02],
        [0.0, 0.0],
        [0.02, None, math.nan, 0.01],
        [0.001, 0.9] * 500,
    ],
    ids=["none yet", "all failed", "one", "zero", "some failed", "wide range"],
)
def test_search_pictures(losses: Sequence[float | None]) -> None:
    first, second = (render_search(losses=losses, warm_start=0.015, title="x") for _ in range(2))

    assert first.shape == (540, 960, 3)
    assert np.array_equal(first, second)


def test_search_line_falls_to_the_best_trial() -> None:
    """With losses 3, 1, 2 the line is high at the left, low from trial 1 to the right edge."""
    solid = _is(render_search(losses=[3.0, 1.0, 2.0], warm_start=3.0)[100:], COMPUTED_COLOUR)
    lowest = np.flatnonzero(solid.any(axis=1))[-1]
    low = np.flatnonzero(solid[lowest - 1])

    plot_left, plot_right = 68, 932
    third = (plot_right - plot_left) / 3
    assert low[0] == pytest.approx(plot_left + 1.5 * third, abs=6)
    assert low[-1] == pytest.approx(plot_left + 2.5 * third, abs=6)


def test_failed_trials_are_marked_at_the_top() -> None:
    ink = (31, 41, 51)
    whole = render_search(losses=[0.02, 0.01, 0.02], warm_start=0.02)
    failed = render_search(losses=[0.02, None, 0.02], warm_start=0.02)

    # Under the legend and above the data; trial 1 of 3 stands in the middle of the plot.
    top, middle = slice(58, 100), slice(490, 510)
    assert not _is(whole[top, middle], ink).any()
    assert _is(failed[top, middle], ink).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warm_start": math.nan}, "warm_start must be finite but got nan"),
        ({"best": math.inf}, "best must be finite but got inf"),
        ({"height": 10}, "at least 480x320 pixels but got 960x10"),
    ],
)
def test_searches_that_cannot_be_drawn(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"losses": [0.02], "warm_start": 0.02, **changes}

    with pytest.raises(OTCacheError, match=message):
        render_search(**arguments)


# Contact sheets


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_contact_sheet_shows_every_image_enlarged(scale: int) -> None:
    """Four images of 4x6 pixels, each in a grey of its own that labels never have."""
    greys = [[10, 12], [14, 16]]
    rows = [(f"row {i}", [_solid(grey) for grey in line]) for i, line in enumerate(greys)]

    sheet = contact_sheet(rows=rows, columns=["left", "right"], scale=scale)

    positions = {}
    for grey in (10, 12, 14, 16):
        y, x = np.nonzero(_is(sheet, (grey, grey, grey)))
        assert len(y) == 4 * 6 * scale**2
        assert (int(np.ptp(y)) + 1, int(np.ptp(x)) + 1) == (4 * scale, 6 * scale)
        positions[grey] = (y.min(), x.min())
    assert positions[10][0] == positions[12][0] < positions[14][0] == positions[16][0]
    assert positions[10][1] == positions[14][1] < positions[12][1] == positions[16][1]


def test_contact_sheet_keeps_pixels_exactly() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)

    sheet = contact_sheet(rows=[("", [image])], columns=[""], scale=3)

    enlarged = np.kron(image, np.ones((3, 3, 1), dtype=np.uint8))
    windows = np.lib.stride_tricks.sliding_window_view(sheet, enlarged.shape)
    assert (windows == enlarged).all(axis=(-3, -2, -1)).sum() == 1


def test_contact_sheet_centres_smaller_images() -> None:
    rows = [("row", [_solid(10, 8, 8), _solid(12, 4, 4)])]

    sheet = contact_sheet(rows=rows, columns=["large", "small"], scale=1)

    large, small = (np.nonzero(_is(sheet, (grey, grey, grey)))[0] for grey in (10, 12))
    assert small.min() - large.min() == large.max() - small.max() == 2


@pytest.mark.parametrize("label", ["", "many words " * 100, "w" * 1000])
def test_contact_sheet_with_labels_of_any_length(label: str) -> None:
    sheet = contact_sheet(rows=[(label, [_solid(10, 64, 64)])], columns=[label])

    assert sheet.shape[0] < 300
    assert sheet.shape[1] < 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": []}, "needs rows and columns but got 0 x 1"),
        ({"columns": []}, "needs rows and columns but got 1 x 0"),
        ({"columns": ["a", "b"]}, "row 'row' must have one image for each of 2 columns but has 1"),
        ({"scale": 0}, "scale must be 1 or more but got 0"),
        ({"rows": [("row", [np.zeros((4, 4, 3))])]}, "uint8 but row 'row' holds .* float64"),
        ({"rows": [("row", [np.zeros((4, 4, 4), np.uint8)])]}, r"holds \(4, 4, 4\) uint8"),
        ({"rows": [("row", [np.zeros((0, 4, 3), np.uint8)])]}, r"holds \(0, 4, 3\) uint8"),
    ],
)
def test_contact_sheets_that_cannot_be_laid_out(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"rows": [("row", [_solid(10)])], "columns": ["column"], **changes}

    with pytest.raises(OTCacheError, match=message):
        contact_sheet(**arguments)
