import json
from collections.abc import Callable
from typing import Any

import pytest

from otcache_core.documents.fields import MAX_BYTES, MAX_ITEMS, MAX_TEXT, Fields, parse_document
from otcache_core.errors import OTCacheError

Read = Callable[[Fields], object]


def _document(**values: Any) -> Fields:
    return parse_document(json.dumps(values), "file.json")


# Parsing


@pytest.mark.parametrize("text", ['{"a": 1}', b'{"a": 1}', '{"a": 1}'.encode("utf-16")])
def test_objects_are_parsed(text: str | bytes) -> None:
    assert parse_document(text, "file.json").integer("a", 0, 9) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file.json must be valid JSON but is damaged"),
        ('{"a": 1', "file.json must be valid JSON but is damaged"),
        ('{"a": 1}}', "file.json must be valid JSON but is damaged"),
        (b"\xff\xfe\xfa", "file.json must be valid JSON but is damaged"),
        (b'{"a": "\xff"}', "file.json must be valid JSON but is damaged"),
        (b"\x89PNG\r\n\x1a\n\0\0", "file.json must be valid JSON but is damaged"),
        ("[" * 500_000, "file.json must be valid JSON but is damaged"),
        ('{"a":' * 100_000, "file.json must be valid JSON but is damaged"),
        ('{"a": ' + "9" * 500_000 + "}", "file.json must be valid JSON but is damaged"),
        ("[1]", "file.json must be a JSON object but is a list"),
        ("3", "file.json must be a JSON object but is a int"),
        ("null", "file.json must be a JSON object but is a NoneType"),
        ("NaN", "file.json must be a JSON object but is a float"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_text_that_is_no_object(text: str | bytes, message: str) -> None:
    with pytest.raises(OTCacheError, match=message):
        parse_document(text, "file.json")


@pytest.mark.parametrize("kind", [str, str.encode])
def test_size_is_bounded(kind: Callable[[str], str | bytes]) -> None:
    largest = '{"a": 1' + " " * (MAX_BYTES - 8) + "}"

    assert len(largest) == MAX_BYTES
    assert "a" in parse_document(kind(largest), "file.json")
    with pytest.raises(OTCacheError, match="file.json must be at most 1000000 bytes but has 10000"):
        parse_document(kind(largest + " "), "file.json")


# Fields


def test_values_come_back_as_they_are() -> None:
    fields = _document(
        text="τ", integer=-3, number=2, integers=[1, 2], numbers=[1, 2.5], strings=["a", ""]
    )

    assert fields.text("text") == "τ"
    assert fields.integer("integer", -3, -3) == -3
    assert fields.number("number", 0, 2) == 2.0
    assert isinstance(fields.number("number", 0, 2), float)
    assert fields.integers("integers", 1, 2) == (1, 2)
    assert fields.numbers("numbers", 1, 2.5) == (1.0, 2.5)
    assert fields.strings("strings") == ("a", "")


def test_objects_of_strings() -> None:
    assert _document(versions={"torch": "2", "numpy": "1"}).texts("versions") == {
        "torch": "2",
        "numpy": "1",
    }


def test_bounds_are_allowed_themselves() -> None:
    fields = _document(
        text="x" * MAX_TEXT, list=[0] * MAX_ITEMS, object={str(i): "" for i in range(MAX_ITEMS)}
    )

    assert len(fields.text("text")) == MAX_TEXT
    assert len(fields.integers("list", 0, 0)) == MAX_ITEMS
    assert len(fields.texts("object")) == MAX_ITEMS


def test_null_is_absent() -> None:
    fields = _document(a=None, b=0)

    assert "a" not in fields
    assert "c" not in fields
    assert "b" in fields
    assert fields.text("a", "default") == "default"


@pytest.mark.parametrize(
    ("value", "read", "rule"),
    [
        (1, lambda f: f.text("key"), "key must be a text of at most 2000 characters but got 1"),
        ("x" * (MAX_TEXT + 1), lambda f: f.text("key"), "key must be a text of at most 2000 cha"),
        (7, lambda f: f.text("key", ""), "key must be a text"),
        (None, lambda f: f.text("key"), "key must be present but is missing"),
        (True, lambda f: f.integer("key", 0, 9), "key must be an integer from 0 to 9 but got True"),
        (1.0, lambda f: f.integer("key", 0, 9), "key must be an integer from 0 to 9 but got 1.0"),
        ("1", lambda f: f.integer("key", 0, 9), "key must be an integer from 0 to 9 but got '1'"),
        (10, lambda f: f.integer("key", 0, 9), "key must be an integer from 0 to 9 but got 10"),
        (-1, lambda f: f.integer("key", 0, 9), "key must be an integer from 0 to 9 but got -1"),
        (10**400, lambda f: f.integer("key", 0, 9), "key must be an integer from 0 to 9 but got 1"),
        ("1", lambda f: f.number("key", 0, 9), "key must be a number but got '1'"),
        (False, lambda f: f.number("key", 0, 9), "key must be a number but got False"),
        ([1], lambda f: f.number("key", 0, 9), r"key must be a number but got \[1\]"),
        (9.5, lambda f: f.number("key", 0, 9), "key must be a number from 0 to 9 but got 9.5"),
        (10**400, lambda f: f.number("key", 0, 9), "key must be a number from 0 to 9 but got 1000"),
        ({}, lambda f: f.integers("key", 0, 9), "key must be a list of at most 1001 items but go"),
        ([0] * (MAX_ITEMS + 1), lambda f: f.integers("key", 0, 9), "key must be a list of at most"),
        ([0, True], lambda f: f.integers("key", 0, 9), r"key\[1\] must be an integer .* True"),
        ("12", lambda f: f.numbers("key", 0, 9), "key must be a list of at most 1001 items"),
        ([0, None], lambda f: f.numbers("key", 0, 9), r"key\[1\] must be a number but got None"),
        ([0, 10], lambda f: f.numbers("key", 0, 9), r"key\[1\] must be a number from 0 to 9 .* 10"),
        (["a", 1], lambda f: f.strings("key"), r"key\[1\] must be a text .* but got 1"),
        (["a", None], lambda f: f.strings("key"), r"key\[1\] must be a text .* but got None"),
        ([], lambda f: f.nested("key"), r"key must be an object but got \[\]"),
        ({"a": {"b": 1}}, lambda f: f.nested("key").nested("a").text("b"), "key.a.b must be a tex"),
        ({"a": 1}, lambda f: f.texts("key"), "key.a must be a text"),
        (
            {str(i): "" for i in range(MAX_ITEMS + 1)},
            lambda f: f.texts("key"),
            "key must be an object of at most 1001 items",
        ),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_refusals_name_field_rule_and_value(value: object, read: Read, rule: str) -> None:
    with pytest.raises(OTCacheError, match=rf"^file\.json\.{rule}") as caught:
        read(_document(key=value))

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_values_that_are_not_finite_are_refused_where_they_are_read(constant: str) -> None:
    fields = parse_document(f'{{"key": {constant}, "list": [0, {constant}]}}', "file.json")

    with pytest.raises(OTCacheError, match=r"file.json.key must be a number from -1 to 1 but got "):
        fields.number("key", -1, 1)
    with pytest.raises(OTCacheError, match=r"file.json.list\[1\] must be a number from -1 to 1"):
        fields.numbers("list", -1, 1)
    with pytest.raises(OTCacheError, match="file.json.key must be an integer"):
        fields.integer("key", -1, 1)


@pytest.mark.parametrize("depth", [10, 300, 900, 950, 980, 1100])
def test_nested_values_are_refused_shortly(depth: int) -> None:
    """Some are too deep for the parser; those that it lets through must not break the message."""
    text = '{"key": ' + "[" * depth + "]" * depth + "}"

    with pytest.raises(OTCacheError, match="file.json") as caught:
        parse_document(text, "file.json").text("key")

    assert len(str(caught.value)) < 200
