"""What users are told, in English, with what a page needs to tell it in another language."""

from __future__ import annotations

from typing import Any, TypedDict


class Document(TypedDict, total=False):
    """A text as the page gets it; without a ``key`` it has no other language."""

    text: str
    key: str
    values: dict[str, int | str]


class Message(str):
    """An English text that knows its words and the values in them.

    Logs, errors and scripts take it for the text that it is. A page looks the words up by ``key``
    (``web/shared/messages_zh.js``) and fills in ``values``. Texts made of it, by ``+`` or ``join``,
    are English alone: several of them are kept as a list.

    Args:
        key: The words' name.
        words: English, with ``{name}`` for each value.
        values: As they are read: whoever knows a number's precision writes it.

    Raises:
        KeyError: If the words have a value that is not given.
    """

    key: str
    words: str
    values: dict[str, int | str]

    def __new__(cls, key: str, words: str, /, **values: int | str) -> Message:
        message = super().__new__(cls, words.format(**values))
        message.key, message.words, message.values = key, words, values
        return message

    def __getnewargs_ex__(self) -> tuple[tuple[str, str], dict[str, Any]]:
        """For copies, which dataclasses make of their fields."""
        return (self.key, self.words), self.values


def document(text: str) -> Document:
    """A text as plain JSON values."""
    if isinstance(text, Message):
        return {"text": str(text), "key": text.key, "values": text.values}
    return {"text": text}
