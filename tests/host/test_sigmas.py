"""OTCache Sigmas: the levels of computed steps, and nothing else."""

from __future__ import annotations

import pytest
import torch

pytestmark = pytest.mark.host

STEPS = 20
LEVELS = torch.linspace(1.0, 0.0, STEPS + 1)


def test_the_levels_of_computed_steps_are_kept(host, uniform):
    schedule = uniform(STEPS, 6)  # 0, 4, 8, 11, 15, 19
    result = host.run("OTCacheSigmas", sigmas=LEVELS, schedule=schedule)

    (kept,) = result.outputs
    assert kept.tolist() == [float(LEVELS[i]) for i in (0, 4, 8, 11, 15, 19, 20)]
    assert result.ui["text"] == ("6 of 20 steps kept",)
    assert len(LEVELS) == STEPS + 1


def test_a_full_schedule_keeps_all(host, uniform):
    (kept,) = host.run("OTCacheSigmas", sigmas=LEVELS, schedule=uniform(STEPS, STEPS)).outputs

    assert torch.equal(kept, LEVELS)


def test_a_schedule_for_other_steps_is_fitted_and_says_so(host, uniform):
    result = host.run("OTCacheSigmas", sigmas=LEVELS, schedule=uniform(50, 6))

    assert len(result.outputs[0]) == 7
    assert "fitted to this run's 20" in result.ui["text"][0]


@pytest.mark.parametrize("count", [0, 1])
def test_no_run_is_refused(host, uniform, count):
    with pytest.raises(ValueError, match=f"at least 2 levels but has {count}"):
        host.run("OTCacheSigmas", sigmas=LEVELS[:count], schedule=uniform(STEPS, 6))


def test_a_sampler_takes_as_many_calls_as_there_are_kept(host, tiny_flux, counted, uniform):
    (kept,) = host.run("OTCacheSigmas", sigmas=LEVELS, schedule=uniform(STEPS, 6)).outputs
    with counted(tiny_flux.model) as (model, calls):
        host.run(
            "SamplerCustomAdvanced",
            noise=host.run("RandomNoise", noise_seed=1).outputs[0],
            guider=host.run("BasicGuider", model=model, conditioning=tiny_flux.positive).outputs[0],
            sampler=host.run("KSamplerSelect", sampler_name="euler").outputs[0],
            sigmas=kept,
            latent_image=tiny_flux.latent,
        )

    assert calls.sigmas == pytest.approx(kept[:-1].tolist(), rel=1e-5)


def test_under_euler_it_is_plain_reuse(host, tiny_flux, sample, uniform):
    # Repeating a velocity is one large Euler step: two ways to the same picture.
    import comfy.samplers

    schedule = uniform(STEPS, 6, "reuse")
    device = tiny_flux.model.load_device
    levels = comfy.samplers.KSampler(tiny_flux.model, STEPS, device, "euler", "simple").sigmas
    (kept,) = host.run("OTCacheSigmas", sigmas=levels, schedule=schedule).outputs
    outputs = host.run(
        "SamplerCustomAdvanced",
        noise=host.run("RandomNoise", noise_seed=1).outputs[0],
        guider=host.run(
            "BasicGuider", model=tiny_flux.model, conditioning=tiny_flux.positive
        ).outputs[0],
        sampler=host.run("KSamplerSelect", sampler_name="euler").outputs[0],
        sigmas=kept,
        latent_image=tiny_flux.latent,
    ).outputs

    torch.testing.assert_close(
        outputs[0]["samples"], sample(tiny_flux, schedule)[0], rtol=1e-3, atol=1e-3
    )
