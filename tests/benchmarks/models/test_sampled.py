"""What a model on prompts does beside sampling: frames of videos, pictures that are kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.models.sampled import SampledModel


@pytest.fixture
def sampled() -> SampledModel:
    """Two videos of three frames, or two pictures, without a host."""
    made = SampledModel.__new__(SampledModel)
    made.ground = SimpleNamespace(vae=SimpleNamespace(decode=lambda latents: latents))
    made.texts = ["a", "b"]
    return made


def _difference(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    assert first.ndim == 4 and first.shape == second.shape
    return (first - second).abs().mean(dim=(1, 2, 3))


def test_a_videos_distance_is_the_mean_over_its_frames(sampled: SampledModel) -> None:
    sampled.references = list(torch.zeros(2, 3, 4, 4, 3).split(1))
    videos = torch.zeros(2, 3, 4, 4, 3)
    videos[0, 0], videos[1] = 3.0, 2.0

    pictures = sampled.pictures(videos)

    assert pictures.shape == (2, 3, 4, 4, 3)
    assert sampled.compare(_difference, pictures, [0, 1]).tolist() == [1.0, 2.0]


def test_a_picture_is_a_video_of_one_frame(sampled: SampledModel) -> None:
    sampled.references = list(torch.zeros(2, 1, 4, 4, 3).split(1))
    pictures = sampled.pictures(torch.full((1, 4, 4, 3), 0.5))
    assert pictures.shape == (1, 1, 4, 4, 3)
    assert sampled.compare(_difference, pictures, [1]).tolist() == [0.5]


def test_references_are_made_once(
    sampled: SampledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = torch.arange(2.0).reshape(2, 1, 1, 1, 1)
    asked = []

    def sample(batch: list[int], steps: int) -> torch.Tensor:
        asked.append(steps)
        return made[batch]

    monkeypatch.setattr(sampled, "sample", sample)
    monkeypatch.setattr(sampled, "pictures", lambda latents: latents)
    sampled.keep_references(tmp_path / "seen.pt", steps=7)
    assert asked == [7]
    monkeypatch.setattr(sampled, "sample", None)  # what is kept is not run again
    sampled.references = []
    sampled.keep_references(tmp_path / "seen.pt")
    assert torch.equal(torch.cat(sampled.references), made)
    assert [path.name for path in tmp_path.iterdir()] == ["seen.pt"]
