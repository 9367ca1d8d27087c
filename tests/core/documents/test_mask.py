import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache_core.documents.mask import MAX_MASK, is_empty, read_mask, write_mask
from otcache_core.documents.schedule import Schedule
from otcache_core.errors import OTCacheError

STEPS = (7, (0, 1, 2, 4))  # 1110100

PASTED = [
    "1110100",
    "  1110100\n",
    "1, 1, 1, 0, 1, 0, 0",
    "[1, 1, 1, 0, 1, 0, 0]",
    "111\n0100",
    "1\r\n1\r\n1\r\n0\t1 0,0,",
]

REFUSED = [
    ("", "must have from 1 to 1000 steps but has 0: write one 0 or 1 for each step"),
    (" , ", "must have from 1 to 1000 steps but has 0"),
    ("1" * 1001, "must have from 1 to 1000 steps but has 1001"),
    ("0111", "must begin with 1 but begins with 0"),
    (
        "1120",
        "must have nothing but 0 and 1 (blanks, commas and brackets are left out) but has '2'",
    ),
    ("1, 0, True", "has 'T': write 1 for a step that runs the model, 0 for a skipped one"),
    ("1\uff11", r"has '\uff11'"),  # a digit, but of another alphabet
    ("1-0", "has '-'"),
    ("1" + " " * MAX_MASK, f"must have at most {MAX_MASK} characters but has {MAX_MASK + 1}"),
]


def test_a_mask_by_hand() -> None:
    assert read_mask("1110100") == STEPS
    assert write_mask(Schedule(*STEPS)) == "1110100"


@pytest.mark.parametrize("text", PASTED)
def test_masks_are_read_as_other_tools_write_them(text: str) -> None:
    assert read_mask(text) == STEPS


@given(st.lists(st.booleans(), max_size=999))
def test_what_is_written_is_read_back(later: list[bool]) -> None:
    computed = (0, *(step for step, runs in enumerate(later, 1) if runs))
    schedule = Schedule(len(later) + 1, computed)
    text = write_mask(schedule)

    assert len(text) == schedule.steps and text.count("1") == schedule.budget
    assert read_mask(text) == (schedule.steps, computed)


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_mask_is_refused(text: str, message: str) -> None:
    with pytest.raises(OTCacheError, match=re.escape(message)) as caught:
        read_mask(text)

    assert str(caught.value).startswith("`mask` must ")
    assert len(str(caught.value)) < 250  # whatever was typed


@pytest.mark.parametrize(
    ("text", "empty"), [("", True), (" \n", True), ("[ , ]", True), ("0", False), ("x", False)]
)
def test_a_mask_without_steps_is_empty(text: str, empty: bool) -> None:
    assert is_empty(text) is empty


def test_blanks_beyond_the_limit_are_no_empty_mask() -> None:
    assert not is_empty(" " * (MAX_MASK + 1))
