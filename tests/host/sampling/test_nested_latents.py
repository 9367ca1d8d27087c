"""Latents of picture and sound together, which reach samplers as one packed tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.models.tiny import Parts

pytestmark = pytest.mark.host

PICTURE, SOUND = (1, 128, 3, 8, 8), (1, 8, 6, 16)


class _PictureAndSound(torch.nn.Module):
    """The host's LTX-Video for the picture, beside it a layer for sound that hears the picture."""

    def __init__(self, video: torch.nn.Module) -> None:
        super().__init__()
        self.video, self.dtype = video, video.dtype
        self.sound = torch.nn.Linear(16, 16)

    def forward(self, x: Any, timestep: Any, context: Any, **rest: Any) -> list[torch.Tensor]:
        picture, sound = x
        velocity = self.video(picture, timestep, context, **rest)
        heard = velocity.mean(dim=(1, 2, 3, 4)).reshape(-1, 1, 1, 1)
        return [velocity, self.sound(sound) + heard]


@pytest.fixture
def both(host) -> Parts:
    """A stand-in for models of both, which the host has room for but no example of."""
    import comfy.conds
    import comfy.nested_tensor

    parts = next(a for a in ARCHITECTURES if a.name == "LTX-Video").build()
    inner = parts.model.model
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inner.diffusion_model = _PictureAndSound(inner.diffusion_model)
    conds_of_video = inner.extra_conds

    def conds(**about: Any) -> dict[str, Any]:
        shapes = comfy.conds.CONDConstant(about["latent_shapes"])
        return {**conds_of_video(**about), "latent_shapes": shapes}

    inner.extra_conds = conds
    nested = comfy.nested_tensor.NestedTensor([torch.zeros(PICTURE), torch.zeros(SOUND)])
    return replace(parts, latent={"samples": nested})


def test_picture_and_sound_together(both, plain, held_to_plain):
    shapes = []

    def run(model: Any) -> torch.Tensor:
        picture, sound = plain(both, model, cfg=3.0).unbind()
        shapes.append((picture.shape, sound.shape))
        return torch.cat([picture.flatten(), sound.flatten()])

    held_to_plain("latents of audio and video", both.model, run)

    assert set(shapes) == {(torch.Size(PICTURE), torch.Size(SOUND))}


def test_the_sampler_node_takes_them_too(both, plain, sample, uniform):
    schedule = uniform(20, 8)
    samples, done = sample(both, schedule, cfg=3.0)

    assert (done["computed"], done["skipped"]) == (8, 12)
    size = 4 * (torch.Size(PICTURE).numel() + torch.Size(SOUND).numel())
    assert done["cached_bytes"] == 2 * size  # the last velocity and its slope
    full = plain(both, cfg=3.0)
    for ours, theirs in zip(samples.unbind(), full.unbind(), strict=True):
        assert 0.0 < (ours - theirs).square().mean() < theirs.square().mean()


class _Decoder:
    """A VAE that knows pictures alone: three channels of the latent, four times as large."""

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        assert samples.shape == PICTURE
        large = samples[0, :3].repeat_interleave(4, dim=-1).repeat_interleave(4, dim=-2)
        return large.sigmoid().permute(1, 2, 3, 0)[None]

    def spacial_compression_decode(self) -> int:
        return 4


def test_a_calibration_judges_the_picture(host, run_node, both):
    lists = {
        "model": both.model, "vae": _Decoder(), "latent_image": both.latent, "cfg": 3.0,
        "name": "with sound", "steps": 12, "sampler_name": "euler", "scheduler": "simple",
        "reference_budget": 8, "anchor_budget": 4, "trials": 4, "patience": 2, "seed": 5,
        "estimator": "slope", "size": "custom", "search": "cma-es", "middle_budget": 0,
        "minutes": 0, "memo": "host memory",
    }  # fmt: skip
    done = run_node(
        "OTCacheCalibrateAnchor", positive=[both.positive], negative=[both.negative],
        **{name: [value] for name, value in lists.items()},
    )  # fmt: skip

    made = done.outputs[0].sampling
    assert (made.width, made.height, made.frames) == (32, 32, 3)
    assert done.outputs[0].anchor.budget == 4


@pytest.fixture
def told(host, monkeypatch) -> list[tuple[int, ...]]:
    """The streams that the cache of each run is told of."""
    module = host.module("nodes.sampling.run")
    found, cache = [], module.VelocityCache

    def build(*args: Any, **how: Any) -> Any:
        found.append(how["streams"])
        return cache(*args, **how)

    monkeypatch.setattr(module, "VelocityCache", build)
    return found


@pytest.mark.parametrize("grid", ["fine", "as sampled"])
def test_the_one_node_takes_them_and_learns_of_each_stream(
    run_node, both, plain, counted, told, grid
):
    with counted(both.model) as (watched, calls):
        (cached,) = run_node("OTCacheAuto", model=watched, calls=11, grid=grid).outputs
        samples = plain(both, cached, cfg=3.0)

    assert calls.predictions == 11
    assert told == [(torch.Size(PICTURE).numel(), torch.Size(SOUND).numel())]
    for ours, theirs in zip(samples.unbind(), plain(both, cfg=3.0).unbind(), strict=True):
        assert ours.shape == theirs.shape
        assert 0.0 < (ours - theirs).square().mean() < 0.1 * theirs.square().mean()


def test_a_latent_of_pictures_alone_is_one_stream(run_node, tiny_video, plain, told):
    (cached,) = run_node("OTCacheAuto", model=tiny_video.model, calls=11, grid="fine").outputs
    plain(tiny_video, cached)
    assert told == [()]
