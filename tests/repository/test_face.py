"""The page's scripts by their text: words in every language, nothing from elsewhere."""

import ast
import re
from pathlib import Path

import pytest
from PIL import Image

from otcache_core.drawing.style import COMPUTED_COLOUR, CURVE_STYLES, SKIPPED_HEIGHT

WEB = Path(__file__).parents[2] / "web"
SCRIPTS = sorted(WEB.rglob("*.js"))
LANGUAGES = ["en", "zh"]
HELP_PAGES = sorted((WEB / "docs").rglob("*.md"))


def _words(language):
    text = (WEB / "shared" / f"words_{language}.js").read_text(encoding="utf-8")
    return dict(re.findall(r'^  (\w+): "((?:[^"\\]|\\.)*)",$', text, re.MULTILINE))


def _rules():
    """The words that the server's advice is said with, by the names of its rules."""
    text = (WEB.parent / "nodes" / "page" / "advice.py").read_text(encoding="utf-8")
    (rules,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RULES"
    ]
    return {f"rule_{rule}" for rule in rules}


def _fields(text):
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_every_word_is_there_in_every_language_with_the_same_values():
    english, chinese = (_words(language) for language in LANGUAGES)
    assert chinese.keys() == english.keys() != set()
    for name, text in english.items():
        # A language may leave out no value: numbers are what the panels are for.
        assert _fields(chinese[name]) == _fields(text), name
        assert re.search("[\u4e00-\u9fff]", chinese[name]), name


def test_every_word_that_is_said_exists_and_every_word_is_said():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    said = set(re.findall(r'(?:say|button)\(\s*"(\w+)"', sources))
    assert said <= _words("en").keys() | {"inspect"}
    mentioned = {name for name in _words("en") if re.search(rf'"{name}"', sources)}
    # Curves are named by their list, helps by their button.
    rest = {name for name in _words("en") if name.endswith("_help")} | _rules()
    assert _words("en").keys() - mentioned - rest == set()


def test_every_rule_of_the_servers_advice_has_its_words():
    assert {name for name in _words("en") if name.startswith("rule_")} == _rules() != set()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_checked_and_keeps_to_this_server(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("// @ts-check\n// ")
    assert len(text.splitlines()) <= 250
    addresses = re.findall(r"\w+://[^\"'`\s]+", text)
    assert [a for a in addresses if a != "http://www.w3.org/2000/svg"] == []
    imports = re.findall(r'from "([^"]+)"', text)
    for name in imports:
        # In an address, `web/` is `extensions/otcache/`: the host's scripts lie three folders up.
        ours = path.parent / name
        assert re.fullmatch(r"(\.\./){3}scripts/(app|api)\.js", name) or (
            ours.is_file() and WEB in ours.resolve().parents
        ), name


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_text_of_others_never_becomes_markup(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)
    assert ".prototype" not in text


def _declared(name):
    """A value of the stylesheet: of a variable, or of a class's property."""
    css = (WEB / "shared" / "otcache.css").read_text(encoding="utf-8")
    selector, _, name = name.rpartition(" ")
    rule = re.search(rf"{re.escape(selector)} \{{(.*?)\}}", css, re.DOTALL)
    return re.search(rf"(?:^|[\s;{{]){name}: ([^;]+);", rule[1] if selector else css)[1]


@pytest.mark.parametrize("curve", CURVE_STYLES)
def test_a_curve_looks_alike_on_a_node_and_in_its_picture(curve):
    colour, dash = CURVE_STYLES[curve]
    variable = re.fullmatch(r"var\((.+)\)", _declared(f".otcache-panel .otcache-{curve} stroke"))[1]
    mixed = re.match(r"color-mix\(in srgb, #(\w{6}) 70%, var\(--input-text", _declared(variable))
    assert tuple(bytes.fromhex(mixed[1])) == colour
    if dash:
        pattern = _declared(f".otcache-panel .otcache-{curve} stroke-dasharray")
        assert tuple(map(int, pattern.split())) == dash


def test_steps_look_alike_on_a_node_and_in_its_picture():
    strip = (WEB / "shared" / "strip.js").read_text(encoding="utf-8")
    assert f"height: full ? 1 : {SKIPPED_HEIGHT} " in strip
    assert _declared(".otcache-computed fill") == "var(--otcache-main)"
    assert CURVE_STYLES["prediction"][0] == COMPUTED_COLOUR


def test_nothing_moves_for_those_who_asked_for_less_motion():
    css = (WEB / "shared" / "otcache.css").read_text(encoding="utf-8")
    assert not re.search(r"\b(transition|animation)\b", css)
    assert "url(" not in css and "@import" not in css


@pytest.mark.parametrize("page", HELP_PAGES, ids=lambda page: page.stem)
def test_a_help_page_shows_its_node_in_a_picture_that_exists(page):
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    node = page.stem if page.parent.name == "docs" else page.parent.name  # else by language
    assert f"{node}.png" in [Path(picture).name for picture in pictures]
    for picture in pictures:
        # The front end looks for a page's pictures beside the English pages, whatever its language.
        with Image.open(WEB / "docs" / picture) as image:
            assert min(image.size) > 100, picture


def test_every_picture_is_on_a_help_page():
    text = "\n".join(page.read_text(encoding="utf-8") for page in HELP_PAGES)
    kept = [path.name for path in (WEB / "docs" / "images").iterdir()]
    assert [name for name in kept if f"images/{name})" not in text] == []
