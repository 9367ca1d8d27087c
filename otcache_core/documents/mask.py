"""A schedule as a line of 1 and 0, a character for each step: the way tools hand masks around."""

from __future__ import annotations

import re

from ..errors import OTCacheError
from ..message import Message
from .schedule import MAX_STEPS, Schedule

MAX_MASK = 10_000
"""Most characters of a mask, with all that stands between its steps."""

_BETWEEN = r"[\s,\[\]]+"


def is_empty(mask: str) -> bool:
    """Whether a mask has no step: nothing in it, or blanks, commas and brackets alone."""
    return len(mask) <= MAX_MASK and not re.sub(_BETWEEN, "", mask)


def write_mask(schedule: Schedule) -> str:
    """The steps of a schedule as ``steps`` characters: 1 runs the model, 0 is skipped."""
    return "".join("01"[computed] for computed in schedule.mask)


def read_mask(mask: str) -> tuple[int, tuple[int, ...]]:
    """The step count of a mask and its computed steps.

    Args:
        mask: 1 for each step that runs the model, 0 for each skipped one; untrusted. Blanks, line
            breaks, commas and square brackets may stand anywhere.

    Raises:
        OTCacheError: If it has other characters, too many or no steps, or skips the first step.
    """
    digits = _digits(mask)
    if not 1 <= len(digits) <= MAX_STEPS:
        raise OTCacheError(
            Message(
                "mask_step_count",
                "`mask` must have from 1 to {most} steps but has {steps}: write one 0 or 1 for "
                "each step of the sampler.",
                most=MAX_STEPS,
                steps=len(digits),
            )
        )
    if digits[0] == "0":
        raise OTCacheError(
            Message(
                "mask_first_step",
                "`mask` must begin with 1 but begins with 0: nothing is known yet that the first "
                "step could be estimated from. If its 1 stands for skipped steps, swap 0 and 1.",
            )
        )
    return len(digits), tuple(step for step, digit in enumerate(digits) if digit == "1")


def _digits(mask: str) -> str:
    """The mask's steps, with nothing between them."""
    if len(mask) > MAX_MASK:
        raise OTCacheError(
            Message(
                "mask_too_long",
                "`mask` must have at most {most} characters but has {count}: it has one 0 or 1 for "
                "each step.",
                most=MAX_MASK,
                count=len(mask),
            )
        )
    digits = re.sub(_BETWEEN, "", mask)
    other = re.search("[^01]", digits)
    if other:
        raise OTCacheError(
            Message(
                "mask_other_character",
                "`mask` must have nothing but 0 and 1 (blanks, commas and brackets are left out) "
                "but has {character}: write 1 for a step that runs the model, 0 for a skipped one.",
                character=ascii(other[0]),
            )
        )
    return digits
