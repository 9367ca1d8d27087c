"""What is published is what was meant to be."""

import pytest

from scripts.release.contents import MOST_BYTES, PUBLISHED, listing, mistakes, sizes

WHOLE = {top: [10] for top in PUBLISHED}


def test_files_are_counted_by_what_is_at_the_top(tmp_path):
    for name, size in (("LICENSE", 1000), ("nodes/a.py", 2000), ("nodes/page/b.py", 4000)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))

    found = sizes(tmp_path)

    assert found == {"LICENSE": [1000], "nodes": [2000, 4000]}
    assert listing(found).splitlines()[-1].split() == ["all", "3", "files", "7", "kB"]


def test_what_was_meant_is_accepted():
    assert mistakes(WHOLE) == []


@pytest.mark.parametrize("top", ["tests", ".github", "CONTRIBUTING.md", "node.zip", ".env"])
def test_what_nobody_meant_to_publish_is_refused(top):
    assert mistakes({**WHOLE, top: [10]}) == [
        f"{top} must not be published: name it in .comfyignore"
    ]


def test_what_is_missing_is_named():
    assert mistakes({k: v for k, v in WHOLE.items() if k != "presets"}) == [
        "presets must be published but is not there"
    ]


def test_far_too_much_is_refused():
    (said,) = mistakes({**WHOLE, "demo_model": [MOST_BYTES]})
    assert said.endswith(f"must have at most {MOST_BYTES} bytes but has {MOST_BYTES + 130}")
