"""The templates' drawn pictures are of the schedules that their runs have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.workflows import make


@pytest.mark.parametrize("draw", [make.write_schedule_thumbnails, make.write_one_node_thumbnails])
def test_they_are_as_they_would_be_drawn_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, draw: Callable[[], None]
) -> None:
    shipped = make.FOLDER
    monkeypatch.setattr(make, "FOLDER", tmp_path)
    draw()

    drawn = sorted(tmp_path.glob("*.jpg"))
    assert drawn
    for path in drawn:
        now, then = (_pixels(folder / path.name) for folder in (tmp_path, shipped))
        assert now.shape == then.shape
        assert np.abs(now - then).mean() < 0.5, path.name  # a computed step elsewhere is 1 or more


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), dtype=np.float64)
