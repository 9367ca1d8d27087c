"""What the README says is what the repository holds."""

from __future__ import annotations

import json
from pathlib import Path

import otcache_core
from scripts.readme import README, RECORD, with_table

ROOT = Path(__file__).parents[2]


def test_measured_table_is_the_records() -> None:
    runs = json.loads(RECORD.read_text(encoding="utf-8"))["results"]["runs"]
    text = README.read_text(encoding="utf-8")
    assert with_table(text, runs) == text


def test_files_that_the_readme_names_exist() -> None:
    text = README.read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    for link in links:
        if not link.startswith("http"):
            assert (ROOT / link.partition("#")[0]).exists(), link


def test_one_version_everywhere() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert f'version = "{otcache_core.__version__}"' in lines
