"""Which places the bench of schedulers looks at on more pictures."""

from __future__ import annotations

from itertools import product

from benchmarks.schedulers import BEHIND, CLOSE, SOLVERS, close_places, names_at


def test_places_are_looked_at_again_unless_the_default_is_plainly_closer():
    places = list(product(SOLVERS, BEHIND))
    ratios = dict.fromkeys(places, CLOSE - 0.05)
    farther, near = places[1], places[-1]
    ratios |= {farther: 1.5, near: CLOSE + 0.05}
    rows = []
    for place, ratio in ratios.items():
        plain, ours = names_at(*place)
        rows += [{"way": plain, "lpips": 0.02}, {"way": ours, "lpips": 0.02 * ratio}]

    assert close_places(rows) == [farther, near]
