"""Typed, bounded reads from untrusted JSON: shared anchors are somebody else's files."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from typing import Any, NoReturn

from ..errors import OTCacheError

MAX_BYTES = 1_000_000
"""Largest document read; a 1,000-step anchor is about 100 kB."""

MAX_TEXT = 2_000
MAX_ITEMS = 1_001


def parse_document(text: str | bytes, name: str) -> Fields:
    """Parses one JSON object.

    NaN and infinity pass here, so that the field that holds them can be named when it is read.

    Args:
        text: The document.
        name: What to call it in errors, such as a file name.

    Raises:
        OTCacheError: If it is too large, not JSON or not an object.
    """
    if len(text) > MAX_BYTES:
        raise OTCacheError(f"{name} must be at most {MAX_BYTES} bytes but has {len(text)}.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OTCacheError(f"{name} must be valid JSON but is damaged: {error}.") from error
    if not isinstance(document, dict):
        raise OTCacheError(f"{name} must be a JSON object but is a {type(document).__name__}.")
    return Fields(document, name)


class Fields:
    """Reads typed fields of one JSON object; every error names the field by its full path.

    Args:
        values: The object.
        path: Its name in errors, such as ``"flux.otanchor.json: sampling"``.
    """

    def __init__(self, values: Mapping[str, Any], path: str) -> None:
        self._values = values
        self._path = path

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def _get(self, key: str) -> Any:
        if key not in self:
            raise OTCacheError(f"{self._path}.{key} must be present but is missing.")
        return self._values[key]

    def _refuse(self, key: str, rule: str, value: object) -> NoReturn:
        # The plain repr of a deeply nested value may exceed the recursion limit.
        raise OTCacheError(f"{self._path}.{key} must be {rule} but got {reprlib.repr(value)}.")

    def nested(self, key: str) -> Fields:
        """A nested object."""
        value = self._get(key)
        if not isinstance(value, dict):
            self._refuse(key, "an object", value)
        return Fields(value, f"{self._path}.{key}")

    def document(self, key: str) -> str:
        """A document within the document, as text that is still to be parsed."""
        value = self._get(key)
        if not isinstance(value, str) or len(value) > MAX_BYTES:
            self._refuse(key, f"a text of at most {MAX_BYTES} characters", value)
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string of at most ``MAX_TEXT`` characters."""
        return self._text(key, self._get(key) if default is None or key in self else default)

    def _text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            self._refuse(key, f"a text of at most {MAX_TEXT} characters", value)
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """An integer in ``[low, high]``."""
        return self._integer(key, self._get(key), low, high)

    def _integer(self, key: str, value: object, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self._refuse(key, f"an integer from {low} to {high}", value)
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """A finite number in ``[low, high]``."""
        return self._number(key, self._get(key), low, high)

    def _number(self, key: str, value: object, low: float, high: float) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self._refuse(key, "a number", value)
        # Comparing comes first: an integer beyond the range of floats would overflow below.
        if not low <= value <= high:
            self._refuse(key, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            self._refuse(key, "true or false", value)
        return value

    def _list(self, key: str) -> list[Any]:
        value = self._get(key)
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            self._refuse(key, f"a list of at most {MAX_ITEMS} items", value)
        return value

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of integers in ``[low, high]``."""
        items = enumerate(self._list(key))
        return tuple(self._integer(f"{key}[{i}]", item, low, high) for i, item in items)

    def numbers(self, key: str, low: float, high: float) -> tuple[float, ...]:
        """A list of finite numbers in ``[low, high]``."""
        items = enumerate(self._list(key))
        return tuple(self._number(f"{key}[{i}]", item, low, high) for i, item in items)

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings of at most ``MAX_TEXT`` characters."""
        items = enumerate(self._list(key))
        return tuple(self._text(f"{key}[{i}]", item) for i, item in items)

    def objects(self, key: str) -> list[Fields]:
        """A list of objects."""
        items = self._list(key)
        for i, item in enumerate(items):
            if not isinstance(item, dict):
                self._refuse(f"{key}[{i}]", "an object", item)
        return [Fields(item, f"{self._path}.{key}[{i}]") for i, item in enumerate(items)]

    def texts(self, key: str) -> dict[str, str]:
        """An object of strings."""
        inner = self.nested(key)
        if len(inner._values) > MAX_ITEMS:
            self._refuse(key, f"an object of at most {MAX_ITEMS} items", inner._values)
        return {name: inner.text(name) for name in inner._values}
