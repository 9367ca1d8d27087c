"""What the plots look alike in: colours, dashes, margins and the smallest size.

The panels on the nodes draw the same curves and strips alike: web/shared/otcache.css and strip.js.
"""

from __future__ import annotations

from ..errors import OTCacheError
from .canvas import Colour

COMPUTED_COLOUR: Colour = (0, 114, 178)
SKIPPED_COLOUR: Colour = (208, 218, 227)
"""Of Okabe and Ito's palette for colour-blind readers, as every colour of a series is."""

CurveStyle = tuple[Colour, tuple[int, ...]]

CURVE_STYLES: dict[str, CurveStyle] = {
    "reference": ((0, 158, 115), (2, 3)),
    "anchor": ((213, 94, 0), (7, 4)),
    "prediction": (COMPUTED_COLOUR, ()),
}
"""Colour and dash of each curve; the dash is of a line as wide as on a node."""

CURVE_WIDTH, WIDER = 1.5, 5 / 3
"""Pixels of a line on a node, and how many times wider it is in a picture, its dash included."""

SKIPPED_HEIGHT = 0.35
"""Height of a skipped step's cell, as a share of a computed one's."""

GUTTER = 68
"""Pixels left of a plot, for its labels."""


def dash_in_picture(dash: tuple[int, ...]) -> tuple[int, ...]:
    """A dash pattern as wide as a picture's lines."""
    return tuple(round(part * WIDER) for part in dash)


def check_size(width: int, height: int) -> None:
    """Raises an OTCacheError where a plot would not be readable."""
    if width < 480 or height < 320:
        raise OTCacheError(
            f"a picture must be at least 480x320 pixels but got {width}x{height}; enlarge it"
        )
