"""Which models the proving ground has, and what is said of those that are not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.models import grounds


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A model whose folder is not there."""
    real = grounds._weights
    monkeypatch.setattr(grounds, "known", lambda: ["demo", "other"])
    monkeypatch.setattr(grounds, "_weights", lambda n: [] if n.startswith("other") else real(n))


def test_every_model_module_is_known() -> None:
    assert "demo" in grounds.known()
    assert not {"sampled", "grounds", "ground_model", "tiny", "full_size"} & {*grounds.known()}


def test_all_that_are_here_are_measured_and_the_others_named(absent: None) -> None:
    names, left_out = grounds.choose([])

    assert names == ["demo-hard", "demo"]
    assert left_out == ["other is left out: benchmarks/models/other has no weights."]


def test_names_that_cannot_be_measured_are_refused(absent: None) -> None:
    with pytest.raises(SystemExit, match="one of demo, other but got 'moon'"):
        grounds.choose(["moon"])
    with pytest.raises(SystemExit, match="other-hard must have its weights in benchmarks/models/o"):
        grounds.choose(["demo", "other-hard"])


def test_the_anchor_that_ships_is_not_for_the_hard_guidance() -> None:
    shipped = grounds.shipped_anchor("demo")
    assert shipped is not None and shipped.is_file()
    assert grounds.shipped_anchor("demo-hard") is None
    assert grounds.digest("demo") == grounds.digest("demo-hard") != ""
