"""What the server says by name has its words in the pages' other languages."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

ROOT = Path(__file__).parents[2]
CHINESE = ROOT / "web" / "shared" / "messages_zh.js"


def _messages():
    """Every `Message(key, words, ...)` of the pack, read without the host: (key, words)."""
    found = []
    for hall in ("otcache_core", "nodes"):
        for path in sorted((ROOT / hall).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Message":
                    # Written out where they are said: a page's words are found by reading.
                    found.append(tuple(ast.literal_eval(argument) for argument in node.args))
    return found


MESSAGES = _messages()


def _fields(words):
    parts = list(Formatter().parse(words))
    assert [spec for _, _, spec, _ in parts if spec] == []  # a page cannot format
    return sorted(name for _, name, _, _ in parts if name)


def _chinese():
    text = CHINESE.read_text(encoding="utf-8")
    return dict(re.findall(r'^  (\w+):\s+"((?:[^"\\]|\\.)*)",$', text, re.MULTILINE))


def test_a_key_stands_for_the_same_words_wherever_it_is_said():
    words = dict(MESSAGES)
    assert set(MESSAGES) == set(words.items()) != set()


def test_every_message_is_there_in_chinese_and_none_is_left_over():
    assert _chinese().keys() == dict(MESSAGES).keys()


@pytest.mark.parametrize(("key", "words"), sorted(set(MESSAGES)))
def test_a_message_has_the_same_values_in_chinese(key, words):
    own = _chinese()[key]
    assert sorted(re.findall(r"\{(\w+)\}", own)) == _fields(words)
    assert re.search("[\u4e00-\u9fff]", own)
    assert not re.search("[,;!?]|\\. |: ", own)  # a sentence has the punctuation of its language
