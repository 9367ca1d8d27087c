"""What the plots look alike in: colours, margins and the smallest size."""

from __future__ import annotations

from ..errors import OTCacheError
from .canvas import Colour

COMPUTED_COLOUR: Colour = (0, 114, 178)
SKIPPED_COLOUR: Colour = (208, 218, 227)
"""Of Okabe and Ito's palette for colour-blind readers, as every colour of a series is."""

GUTTER = 68
"""Pixels left of a plot, for its labels."""


def check_size(width: int, height: int) -> None:
    """Raises an OTCacheError where a plot would not be readable."""
    if width < 480 or height < 320:
        raise OTCacheError(
            f"a picture must be at least 480x320 pixels but got {width}x{height}; enlarge it"
        )
