"""Losses beside a record."""

from pathlib import Path

import pytest

from benchmarks.instruments import losses


def test_losses_are_read_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "FOLDER", tmp_path / "losses")
    assert losses.read_losses("ground-demo") == {}

    path = losses.write_losses("ground-demo", {"b @ 8": [0.123456, 2e-7], "a @ 8": [1 / 3]})

    assert losses.read_losses("ground-demo") == {"a @ 8": [0.3333], "b @ 8": [0.1235, 2e-7]}
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4  # a line each
