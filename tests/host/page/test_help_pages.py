"""Which file is a node's help page in a language."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.host


@pytest.fixture
def page_of(host, tmp_path):
    """`page_of(node, language)`: the page's text, or `None`, from a folder of two nodes."""
    for name in ("One.md", "Other.md", "One/zh.md", "One/pt-BR.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")

    def read(node, language):
        page = host.module("nodes.page.help_pages").page_of(node, language, tmp_path)
        return page and page.read_text(encoding="utf-8")

    return read


@pytest.mark.parametrize(
    ("node", "language", "found"),
    [
        ("One", "zh", "One/zh.md"),
        ("One", "zh-TW", "One/zh.md"),
        ("One", "pt-BR", "One/pt-BR.md"),
        ("One", "pt", "One.md"),
        ("One", "en", "One.md"),
        ("Other", "zh", "Other.md"),
        ("Neither", "en", None),
        ("../One", "en", None),
        ("One", "../Other", "One.md"),
    ],
)
def test_the_closest_language_is_taken_and_english_where_there_is_none(
    page_of, node, language, found
):
    assert page_of(node, language) == found


def test_the_address_is_that_of_the_packs_own_folder(host, tmp_path):
    address = host.module("nodes.page.help_pages").address
    docs = tmp_path / "my {pack} 2" / "web" / "docs"
    assert address(docs) == "/extensions/my%20%7Bpack%7D%202/docs/{node}/{language}.md"
