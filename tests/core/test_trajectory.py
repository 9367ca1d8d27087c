import math

import numpy as np
import pytest
import torch
from torch import Tensor

from otcache_core.errors import OTCacheError
from otcache_core.trajectory import TrajectoryRecorder, sample_elements

SIGMAS = (2.0, 1.0, 0.5, 0.0)


def _record(
    recorder: TrajectoryRecorder, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    """Runs Euler on the model ``denoised = x / 2 + 1`` and returns all its states."""
    x = torch.arange(math.prod(shape), dtype=dtype).reshape(shape)
    states = [x.clone()]
    for sigma, sigma_next in zip(SIGMAS, SIGMAS[1:], strict=False):
        denoised = x / 2 + 1
        recorder.add(x, denoised)
        # In place, as some samplers do.
        x += (x - denoised) / sigma * (sigma_next - sigma)
        states.append(x.clone())
    return states


def test_a_run_by_hand() -> None:
    recorder = TrajectoryRecorder(SIGMAS)
    _record(recorder, (1,))

    trajectory = recorder.finish()

    # x = 0: denoised = 1, v = (0 - 1) / 2 = -0.5, next x = 0 - 0.5 * (1 - 2) = 0.5
    # x = 0.5: denoised = 1.25, v = -0.75 / 1, next x = 0.5 - 0.75 * (0.5 - 1) = 0.875
    # x = 0.875: denoised = 1.4375, v = -0.5625 / 0.5, next x = 0.875 + 1.125 * 0.5 = 1.4375
    assert trajectory.x.tolist() == [[0.0], [0.5], [0.875], [1.4375]]
    assert trajectory.velocity.tolist() == [[-0.5], [-0.75], [-1.125]]
    assert trajectory.sigmas.tolist() == [*SIGMAS]
    assert trajectory.steps == 3


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_the_last_state_follows_by_eulers_rule(steps: int) -> None:
    sigmas = tuple(2.0 - i * (1.5 / steps) for i in range(steps + 1))
    recorder = TrajectoryRecorder(sigmas)
    for sigma in sigmas[:-1]:
        recorder.add(torch.tensor([3.0]), torch.tensor([3.0 - 2.0 * sigma]))  # v = 2

    # The last step is 1.5 / steps long.
    assert recorder.finish().x[-1].tolist() == pytest.approx([3.0 - 2.0 * 1.5 / steps])


def test_the_usual_bound_keeps_a_picture_whole_and_a_video_small() -> None:
    for elements, kept in ((16 * 64 * 64, 16 * 64 * 64), (100_000, 65_536)):
        recorder = TrajectoryRecorder((1.0, 0.0))
        recorder.add(torch.zeros(elements), torch.zeros(elements))
        assert recorder.finish().x.shape == (2, kept)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (1, 2, 3, 4), (1, 2, 2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_every_state_is_kept_as_it_was(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    recorder = TrajectoryRecorder(SIGMAS)
    states = _record(recorder, shape, dtype)

    trajectory = recorder.finish()

    elements = math.prod(shape)
    assert trajectory.x.shape == (4, elements)
    assert trajectory.velocity.shape == (3, elements)
    assert trajectory.x.dtype == trajectory.velocity.dtype == np.float32
    expected = torch.stack(states).reshape(4, elements).float().numpy()
    tolerance = 4 * torch.finfo(torch.float16 if dtype == torch.float16 else torch.float32).eps
    np.testing.assert_allclose(trajectory.x, expected, rtol=tolerance, atol=tolerance)


def test_large_latents_are_sampled_at_the_same_elements_in_each_step() -> None:
    whole, sampled = TrajectoryRecorder(SIGMAS), TrajectoryRecorder(SIGMAS, max_elements=50)
    _record(whole, (1, 4, 10, 10))
    _record(sampled, (1, 4, 10, 10))

    trajectory, reference = sampled.finish(), whole.finish()

    # The first state counts 0, 1, 2, ..., so it names the elements.
    picked = trajectory.x[0].astype(int)
    assert len(set(picked.tolist())) == 50
    assert not np.array_equal(np.sort(picked), np.arange(50))
    assert np.array_equal(trajectory.x, reference.x[:, picked])
    assert np.array_equal(trajectory.velocity, reference.velocity[:, picked])


def test_the_sample_is_always_the_same() -> None:
    latent = torch.randn(2, 5, 40)
    torch.manual_seed(1)
    first = sample_elements(latent, 50)
    torch.manual_seed(2)

    assert torch.equal(first, sample_elements(latent.clone(), 50))
    assert torch.equal(sample_elements(latent + 1.0, 50), first + 1.0)


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()

    sample_elements(torch.zeros(401), 51)

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("limit", [400, 1000])
def test_latents_within_the_bound_are_kept_whole_and_in_order(limit: int) -> None:
    recorder = TrajectoryRecorder(SIGMAS, max_elements=limit)
    _record(recorder, (400,))

    assert recorder.finish().x[0].tolist() == list(range(400))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", [0, 2])
def test_a_run_that_is_not_finite_is_refused(value: float, step: int) -> None:
    recorder = TrajectoryRecorder(SIGMAS)
    for i in range(3):
        denoised = torch.zeros(4)
        if i == step:
            denoised[1] = value
        recorder.add(torch.ones(4), denoised)

    with pytest.raises(OTCacheError, match="model's output must be finite but holds NaN or inf"):
        recorder.finish()


@pytest.mark.parametrize("evaluations", [0, 2])
def test_a_run_with_steps_missing_is_refused(evaluations: int) -> None:
    recorder = TrajectoryRecorder(SIGMAS)
    for _ in range(evaluations):
        recorder.add(torch.ones(4), torch.zeros(4))

    with pytest.raises(OTCacheError, match=rf"per step \(3\) but has {evaluations}: .*euler"):
        recorder.finish()


def test_a_sampler_with_more_evaluations_than_steps_is_refused() -> None:
    recorder = TrajectoryRecorder(SIGMAS)
    for _ in range(3):
        recorder.add(torch.ones(4), torch.zeros(4))

    with pytest.raises(OTCacheError, match=r"per step \(3\) but has more than 3: .*euler"):
        recorder.add(torch.ones(4), torch.zeros(4))
