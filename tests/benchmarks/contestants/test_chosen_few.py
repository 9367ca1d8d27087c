"""The short and the quick ground take part by names, which must be those of contestants."""

from __future__ import annotations

import pytest

from benchmarks.contestants.everyone import everyone
from benchmarks.fidelity import QUICK_CONTESTANTS, SHORT_CONTESTANTS


@pytest.mark.parametrize("named", [QUICK_CONTESTANTS, SHORT_CONTESTANTS], ids=["quick", "short"])
def test_every_name_is_a_contestants(named: tuple[str, ...]) -> None:
    assert set(named) <= set(everyone())
    assert len(set(named)) == len(named)
