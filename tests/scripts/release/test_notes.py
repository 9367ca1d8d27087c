"""What a release says of itself, and what it may not be called."""

import re
import subprocess
import sys

import pytest

from scripts.release.notes import CHANGELOG, ROOT, notes, project_version, section

TEXT = """# Changelog

## [Unreleased]

### Added
- Later.

## [0.2.0] - 2026-12-01

### Fixed
- A thing, see [it].

## [0.1.0] - 2026-11-22

The first version.

[Unreleased]: https://a.test/compare/v0.2.0...HEAD
"""


def test_a_versions_words_are_its_own():
    assert section(TEXT, "0.2.0") == "### Fixed\n- A thing, see [it]."
    assert section(TEXT, "0.1.0") == "The first version."


@pytest.mark.parametrize("text", [TEXT, TEXT + "\n## [0.3.0] - 2026-12-02\n", "0.3.0"])
def test_a_version_without_words_is_refused(text):
    with pytest.raises(ValueError, match=r'must have a section "## \[0\.3\.0\] - YEAR-MONTH-DAY"'):
        section(text, "0.3.0")


@pytest.mark.parametrize("tag", ["v0.1.0", "0.2.0", "v0.2", "v0.2.0-rc1"])
def test_a_tag_of_another_version_is_refused(tag):
    with pytest.raises(ValueError, match="the tag must be v0.2.0, .* but is " + re.escape(tag)):
        notes(tag, "0.2.0", TEXT)


def test_the_program_needs_nothing_but_python():
    # -S: no installed packages, as where the pack is only packed.
    program = [sys.executable, "-S", "-m", "scripts.release.notes", f"v{project_version()}"]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip() == section(CHANGELOG.read_text(encoding="utf-8"), project_version())
