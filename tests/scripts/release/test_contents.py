"""What is published is what was meant to be, and all of it."""

import pytest

from scripts.host.find import REPOSITORY
from scripts.host.server import is_left_out
from scripts.release.contents import MOST_BYTES, PUBLISHED, listing, mistakes, sizes, top_of

FILES = {"LICENSE": 1000, "nodes/a.py": 2000, "web/docs/A.md": 4000}


def test_files_are_counted_by_what_is_at_the_top(tmp_path):
    for name, size in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))

    lines = [line.split() for line in listing(sizes(tmp_path)).splitlines()]

    assert sizes(tmp_path) == FILES
    assert ["nodes", "1", "files", "2", "kB"] in lines
    assert lines[-1] == ["all", "3", "files", "7", "kB"]


def test_what_was_meant_is_accepted():
    assert mistakes(FILES, [*FILES, "tests/t.py", "docs/a.md"]) == []


@pytest.mark.parametrize("name", ["tests/t.py", ".github/a.yml", "node.zip", ".env"])
def test_what_nobody_meant_to_publish_is_refused(name):
    assert mistakes({**FILES, name: 1}, [*FILES, name]) == [
        f"{name} must not be published: name it in .comfyignore"
    ]


def test_a_file_that_a_pattern_left_out_is_named():
    # The pattern `docs/` leaves out every folder of that name.
    assert mistakes(FILES, [*FILES, "web/docs/B.md"]) == [
        "web/docs/B.md must be published but is left out"
    ]


def test_far_too_much_is_refused():
    (said,) = mistakes({**FILES, "web/large.bin": MOST_BYTES}, FILES)
    assert said == f"the package must have at most {MOST_BYTES} bytes but has {MOST_BYTES + 7000}"


def test_what_is_left_out_and_what_is_published_are_all_there_is():
    left_out = is_left_out(REPOSITORY)
    tops = {path.name for path in REPOSITORY.iterdir() if not left_out(path)}
    assert {top for top in tops if not top.startswith(".")} == set(PUBLISHED)
    assert not left_out(REPOSITORY / "web" / "docs")
    assert top_of("web/docs/A.md") == "web"
