"""Every node and input has its words in the help page and in each language; files travel well."""

import ast
import json
import os
import re
from pathlib import Path

import pytest

from scripts.host.server import is_left_out

ROOT = Path(__file__).parents[2]
SECTIONS = ["Inputs", "Outputs", "Example", "If the result is off"]
CHINESE_SECTIONS = ["输入", "输出", "示例", "效果不理想时"]
LANGUAGES = ["en", "zh"]


def _text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def _sources():
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "nodes").rglob("*.py"))
    }


def _is_call_of(node, attribute):
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") == attribute


def _keywords(call):
    return {keyword.arg: keyword.value for keyword in call.keywords}


def _identifier(call):
    return ast.literal_eval(call.args[0] if call.args else _keywords(call)["id"])


def _numbers(call):
    """The numbers of a socket's schema that are written out: default, min, max."""
    values = {name: _keywords(call).get(name) for name in ("default", "min", "max")}
    numbers = {k: v.value for k, v in values.items() if isinstance(v, ast.Constant)}
    return {k: v for k, v in numbers.items() if type(v) in (int, float)}


def _read_nodes():
    """The schema of every node, read without the host: id -> inputs and their numbers, outputs."""
    found = {}
    for source in _sources().values():
        for node in ast.walk(ast.parse(source)):
            if getattr(node, "name", "") != "define_schema":
                continue
            calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
            calls.sort(key=lambda call: (call.lineno, call.col_offset))
            (declared,) = (call for call in calls if getattr(call.func, "id", "") == "declare")
            found[ast.literal_eval(declared.args[0])] = {
                "inputs": {_identifier(c): _numbers(c) for c in calls if _is_call_of(c, "Input")},
                "outputs": [_identifier(c) for c in calls if _is_call_of(c, "Output")],
            }
    return found


NODES = _read_nodes()
CHINESE = sorted(path.parent.name for path in (ROOT / "web/docs").glob("*/zh.md"))


def _sections(node_id):
    _, *parts = re.split(r"^## ", _text(f"web/docs/{node_id}.md"), flags=re.MULTILINE)
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def _rows(section):
    """A table's rows that begin with an identifier: identifier -> the other cells."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section, re.MULTILINE)
    return {identifier: [cell.strip() for cell in rest.split("|")] for identifier, rest in rows}


def _locale(language, name):
    return json.loads(_text(f"locales/{language}/{name}.json"))


def _leaves(document, path=()):
    """Every text of a nested document by its path."""
    if isinstance(document, str):
        return {path: document}
    return {
        place: text
        for key, inner in document.items()
        for place, text in _leaves(inner, (*path, key)).items()
    }


def _files(*ignore_lists):
    """The files of the checkout, less what the named ignore lists leave out."""
    left_out = is_left_out(ROOT, ignore_lists)
    for folder, folders, names in os.walk(ROOT):
        kept = [name for name in folders if not left_out(Path(folder, name))]
        # Hidden folders are tools' own, but for those that hold the checks.
        folders[:] = [f for f in kept if f in (".ci", ".github") or not f.startswith(".")]
        paths = (Path(folder, name) for name in names)
        yield from (path for path in paths if not left_out(path))


def test_every_node_class_is_read():
    classes = re.findall(r"^class \w+\(io\.ComfyNode\)", "\n".join(_sources().values()), re.M)
    assert len(NODES) == len(classes) > 0


def test_help_pages_are_those_of_the_nodes():
    assert {path.stem for path in (ROOT / "web/docs").glob("*.md")} == set(NODES)
    assert {path.parent.name for path in (ROOT / "web/docs").glob("*/*.md")} <= set(NODES)


@pytest.mark.parametrize("node_id", NODES)
def test_a_help_page_has_its_title_and_sections(node_id):
    title = _locale("en", "nodeDefs")[node_id]["display_name"]
    assert _text(f"web/docs/{node_id}.md").startswith(f"# {title}\n")
    assert [name for name in _sections(node_id) if name in SECTIONS] == SECTIONS


@pytest.mark.parametrize("node_id", NODES)
def test_a_help_page_explains_every_input_and_output(node_id):
    sections = _sections(node_id)
    for section, sockets in (("Inputs", "inputs"), ("Outputs", "outputs")):
        rows = _rows(sections[section])
        assert list(rows) == list(NODES[node_id][sockets])
        assert all(cells[0] for cells in rows.values())


@pytest.mark.parametrize("node_id", NODES)
def test_a_help_page_gives_ranges_and_defaults_as_the_node_has_them(node_id):
    rows = _rows(_sections(node_id)["Inputs"])
    for name, numbers in NODES[node_id]["inputs"].items():
        shown = {k: str(n) if isinstance(n, int) else f"{n:g}" for k, n in numbers.items()}
        _, range_cell, default_cell = rows[name]
        if {"min", "max"} <= shown.keys():
            assert f"{shown['min']} to {shown['max']}" in range_cell, name
        if "default" in shown:
            assert default_cell == shown["default"], name


def test_the_help_of_calibrate_says_which_size_heeds_trials_and_patience():
    sections = _sections("OTCacheCalibrateAnchor")
    sentences = re.split(r"\.\s", " ".join(sections.values()))
    about = [sentence for sentence in sentences if re.search("`(trials|patience)`", sentence)]
    assert len(about) > 2
    assert [sentence for sentence in about if "`custom`" not in sentence] == []


def _chinese_sections(node_id):
    _, *parts = re.split(r"^## ", _text(f"web/docs/{node_id}/zh.md"), flags=re.MULTILINE)
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def _unchanged(cell):
    """What no language changes: numbers, and names set as code."""
    return re.findall(r"`[^`]+`|\d[\d.]*", cell)


def test_help_pages_are_there_in_chinese():
    assert {path.parent.name for path in (ROOT / "web/docs").glob("*/zh.md")} == set(NODES)


@pytest.mark.parametrize("node_id", CHINESE)
def test_a_chinese_help_page_has_its_title_and_sections(node_id):
    title = _locale("zh", "nodeDefs")[node_id]["display_name"]
    assert _text(f"web/docs/{node_id}/zh.md").startswith(f"# {title}\n")
    sections = list(_chinese_sections(node_id))
    assert [name for name in sections if name in CHINESE_SECTIONS] == CHINESE_SECTIONS
    assert len(sections) == len(_sections(node_id))


@pytest.mark.parametrize("node_id", CHINESE)
@pytest.mark.parametrize(("english", "chinese"), [("Inputs", "输入"), ("Outputs", "输出")])
def test_a_chinese_table_has_the_rows_ranges_and_defaults_of_the_english_one(
    node_id, english, chinese
):
    rows = _rows(_sections(node_id)[english])
    own = _rows(_chinese_sections(node_id)[chinese])
    words = _locale("zh", "nodeDefs")[node_id]
    named = words.get("inputs", {}) if english == "Inputs" else words.get("outputs", {})
    assert list(own) == list(rows)
    for place, (name, (about, *cells)) in enumerate(own.items()):
        assert list(map(_unchanged, cells)) == list(map(_unchanged, rows[name][1:])), name
        # The page's own name of it comes first, where that is another one.
        shown = named[name if english == "Inputs" else str(place)]["name"]
        assert about.startswith(f"**{shown}**。") or shown.lower() == name, name


def test_english_has_words_for_what_the_nodes_have():
    english = _locale("en", "nodeDefs")
    assert set(english) == set(NODES)
    for node_id, node in NODES.items():
        words = english[node_id]
        assert words["display_name"] and words["description"], node_id
        assert list(words["inputs"]) == list(node["inputs"]), node_id
        assert all(said["name"] and said["tooltip"] for said in words["inputs"].values()), node_id
        names = [said["name"] for said in words.get("outputs", {}).values()]
        assert names == node["outputs"], node_id


@pytest.mark.parametrize("name", ["main", "nodeDefs"])
def test_chinese_has_a_text_for_every_english_one(name):
    english, chinese = (_leaves(_locale(language, name)) for language in LANGUAGES)
    assert chinese.keys() == english.keys()
    assert all(text.strip() for text in chinese.values())


def test_what_is_longer_than_a_name_is_chinese():
    texts = _leaves(_locale("zh", "nodeDefs"))
    sentences = {path: text for path, text in texts.items() if path[-1] != "name"}
    assert [
        path for path, text in sentences.items() if not re.search("[\u4e00-\u9fff]", text)
    ] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_category_and_the_socket_types_have_names(language):
    sources = "\n".join(_sources().values())
    categories = re.findall(r'^CATEGORY = "(.+)"', sources, re.MULTILINE)
    types = re.findall(r'io\.Custom\("(\w+)"\)', sources)
    named = _locale(language, "main")
    assert set(named["nodeCategories"]) == set(categories) != set()
    assert set(named["dataTypes"]) == set(types) != set()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["main", "nodeDefs"])
def test_no_text_holds_the_syntax_of_the_front_ends_translator(language, name):
    # vue-i18n reads these as interpolation, links and plurals, and fails on what does not parse.
    texts = _leaves(_locale(language, name))
    assert [path for path, text in texts.items() if set("{}@|") & set(text)] == []


def test_published_python_can_be_shown_on_a_windows_console():
    # comfy-test refuses what code page 1252 lacks.
    python = [p for p in _files(".gitignore", ".comfyignore") if p.suffix == ".py"]
    assert ROOT / "nodes" / "__init__.py" in python
    strange = {
        f"{path.relative_to(ROOT)}: {character!r}"
        for path in python
        for character in set(path.read_text(encoding="utf-8"))
        if not character.encode("cp1252", errors="ignore")
    }
    assert strange == set()


def test_no_file_names_a_path_of_one_machine():
    # Absolute paths only: not the middle of an address or of a relative path.
    roots = "|".join(["home", "opt", "root", "tmp", "work", "Users"])
    absolute = re.compile(rf"(?<![\w.}}~-])/(?:{roots})/|\b[A-Z]:\\+Users\\".encode())
    found = []
    for path in _files(".gitignore"):
        content = path.read_bytes()
        if b"\0" not in content and absolute.search(content):
            found.append(str(path.relative_to(ROOT)))
    assert found == []
