"""The registry, GitHub and people are told the same: one address, one version, real pictures."""

import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TELLING = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / ".github").rglob("*.yml")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "web" / "docs").rglob("*.md")),
]
CODE_HOST = "https://github.com/"


def _text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def _value(key):
    """A text of pyproject.toml by its key; Python 3.10 has no reader of TOML."""
    (value,) = re.findall(rf'^{key} = "(.*)"$', _text("pyproject.toml"), re.MULTILINE)
    return value


REPOSITORY = _value("Repository")
OWNER_AND_NAME = REPOSITORY.removeprefix(CODE_HOST)


def test_the_projects_links_begin_at_its_repository():
    assert re.fullmatch(r"[\w-]+/[\w.-]+", OWNER_AND_NAME)
    assert _value("Documentation") == f"{REPOSITORY}/tree/main/docs"
    assert _value("Issues") == f"{REPOSITORY}/issues"


@pytest.mark.parametrize("path", TELLING, ids=lambda path: path.name)
def test_nothing_names_another_address_of_the_repository(path):
    text = path.read_text(encoding="utf-8")
    name = OWNER_AND_NAME.partition("/")[2]
    addresses = re.findall(rf"{CODE_HOST}([\w.-]+/[\w.-]+)", text)
    assert {a for a in addresses if a.endswith(f"/{name}")} <= {OWNER_AND_NAME}
    assert "<this repository>" not in text


def test_the_readme_installs_from_the_repository():
    assert f"\ngit clone {REPOSITORY}\n" in _text("README.md")


def test_only_the_repository_itself_publishes():
    assert f"github.repository == '{OWNER_AND_NAME}'" in _text(".github/workflows/publish.yml")


@pytest.mark.parametrize("key", ["Icon", "Banner"])
def test_the_registrys_pictures_are_in_the_repository_and_have_its_shape(key):
    begin = f"https://raw.githubusercontent.com/{OWNER_AND_NAME}/main/"
    assert _value(key).startswith(begin)
    with Image.open(ROOT / _value(key).removeprefix(begin)) as image:
        width, height = image.size
        assert image.format == "PNG"
    if key == "Icon":
        assert width == height <= 400
    else:
        assert width * 9 == height * 21


def test_every_python_that_is_named_is_tested():
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', _text("pyproject.toml"))
    (tested,) = re.findall(r"python: \[(.*)\]", _text(".github/workflows/ci.yml"))
    assert re.findall(r"3\.\d+", tested) == named
    assert _value("requires-python") == f">={named[0]}"


def test_actions_are_taken_by_commit():
    # A tag can be moved to other code; one of them is given the registry's token.
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: ([^.]\S+)", path.read_text(encoding="utf-8"))
        assert used
        assert [action for action in used if not re.search(r"@[0-9a-f]{40}$", action)] == []


def test_the_changelog_tells_of_the_version_and_ends_with_its_links():
    changelog, version = _text("CHANGELOG.md"), _value("version")
    versions = re.findall(r"^## \[([^]]+)\]", changelog, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions[1] == version
    links = re.findall(r"^\[([^]]+)\]: (\S+)$", changelog, re.MULTILINE)
    assert [name for name, _ in links] == versions
    assert all(address.startswith(f"{REPOSITORY}/") for _, address in links)
    assert dict(links)["Unreleased"] == f"{REPOSITORY}/compare/v{version}...HEAD"


@pytest.mark.parametrize("path", [p for p in TELLING if p.suffix == ".md"], ids=lambda p: p.name)
def test_links_lead_to_what_exists(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    help_pages = ROOT / "web" / "docs"  # where the front end begins, whatever a page's language
    folder = help_pages if help_pages in path.parents else path.parent
    for link in links:
        target, _, heading = link.partition("#")
        if target.startswith("http"):
            continue
        page = folder / target if target else path
        assert page.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles]
