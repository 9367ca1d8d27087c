"""Ids, names, order and types of the nodes: they never change, since others hold them.

Saved workflows, scripts over the API and front ends such as those of SwarmUI and Krita do.
"""

from __future__ import annotations

import pytest

from scripts.release.interface import COMMAND, FILE, breaks, interface_of, read

pytestmark = pytest.mark.host


def test_what_was_published_stays(host):
    found = breaks(read(), interface_of(host))
    assert found == [], (
        "saved workflows and other front ends break on this. Keep what was published: a new input "
        "goes to the end and is optional, a node or output that is no longer wanted stays and is "
        "marked as deprecated, another meaning gets another name. If it must break all the same, "
        f"say so in the changelog and run `{COMMAND} --break`."
    )


def test_what_was_added_is_published(host):
    now = interface_of(host)
    assert list(now.items()) == list(read().items()), (
        f"{FILE.name} must have every node as it is now. What was added becomes published, and can "
        f"never change from then on, with `{COMMAND}` (COMFYUI_PATH may name the ComfyUI)."
    )
