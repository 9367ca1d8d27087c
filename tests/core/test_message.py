"""A message is its English text, and keeps what another language needs."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from otcache_core.errors import OTCacheError
from otcache_core.message import Message, document

KEPT = Message("kept", "{kept} of {steps} steps kept", kept=3, steps=20)


def test_it_is_its_english_text_wherever_a_text_is_wanted() -> None:
    assert KEPT == "3 of 20 steps kept"
    assert f"{KEPT}." == "3 of 20 steps kept."
    assert "\n".join([KEPT, "more"]) == "3 of 20 steps kept\nmore"
    assert json.dumps([KEPT]) == '["3 of 20 steps kept"]'
    assert str(OTCacheError(KEPT)) == "3 of 20 steps kept"
    assert type(str(KEPT)) is str


def test_the_page_gets_its_words_name_and_values() -> None:
    expected = {"text": str(KEPT), "key": "kept", "values": {"kept": 3, "steps": 20}}
    assert document(KEPT) == json.loads(json.dumps(document(KEPT))) == expected
    assert document("of others") == {"text": "of others"}
    assert document(KEPT + "!") == {"text": "3 of 20 steps kept!"}


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_knows_as_much(copied) -> None:
    again = copied(KEPT)
    assert again == KEPT and document(again) == document(KEPT)


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="steps"):
        Message("kept", "{kept} of {steps} steps kept", kept=3)
