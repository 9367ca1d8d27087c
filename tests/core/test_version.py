"""One version, read from pyproject.toml."""

import re
from pathlib import Path

import otcache_core
from otcache_core.version import UNKNOWN, read_version

ROOT = Path(__file__).parents[2]


def test_the_version_is_pyprojects():
    assert re.fullmatch(r"\d+\.\d+\.\d+", otcache_core.__version__)
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert f'version = "{otcache_core.__version__}"' in lines


def test_no_other_file_of_code_says_it():
    said = [
        path.relative_to(ROOT).as_posix()
        for hall in ("otcache_core", "nodes", "web")
        for path in (ROOT / hall).rglob("*.[pj][ys]")
        if re.search(r"^__version__ = \"", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert said == []


def test_the_projects_version_is_taken_and_not_a_tools(tmp_path):
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(
        '[project]\nname = "x"\nversion = "1.2.3"\n[tool.y]\nversion = "9.9.9"\n', encoding="utf-8"
    )
    assert read_version(pyproject) == "1.2.3"


def test_a_core_without_its_pyproject_still_imports(tmp_path):
    assert read_version(tmp_path / "pyproject.toml") == UNKNOWN
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    assert read_version(tmp_path / "pyproject.toml") == UNKNOWN
