"""What may be added to the nodes' published interface, and what breaks it."""

from __future__ import annotations

import pytest

from scripts.release.interface import breaks

PUBLISHED = {
    "A": {"inputs": ["model MODEL", "steps INT"], "outputs": ["latent LATENT"]},
    "B": {"inputs": [], "outputs": []},
}


def _with(**changes):
    return PUBLISHED | {"A": PUBLISHED["A"] | changes}


@pytest.mark.parametrize(
    "now",
    [
        PUBLISHED,
        PUBLISHED | {"C": {"inputs": ["x INT"], "outputs": []}},
        _with(inputs=["model MODEL", "steps INT", "more FLOAT optional"]),
        _with(outputs=["latent LATENT", "more IMAGE"]),
    ],
)
def test_what_may_be_added(now):
    assert breaks(PUBLISHED, now) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"A": PUBLISHED["A"]}, "B: the node is gone"),
        (_with(inputs=["steps INT", "model MODEL"]), "A: its inputs must begin with"),
        (_with(inputs=["model MODEL"]), "A: its inputs must begin with"),
        (_with(inputs=["model MODEL", "steps FLOAT"]), "A: its inputs must begin with"),
        (_with(inputs=["model MODEL", "steps INT optional"]), "A: its inputs must begin with"),
        (_with(inputs=["a INT optional", "model MODEL", "steps INT"]), "must begin with"),
        (
            _with(inputs=["model MODEL", "steps INT", "more FLOAT"]),
            "A: the new input 'more FLOAT' must be optional",
        ),
        (_with(outputs=["more IMAGE", "latent LATENT"]), "A: its outputs must begin with"),
    ],
)
def test_what_breaks_it(now, said):
    (found,) = breaks(PUBLISHED, now)
    assert said in found
