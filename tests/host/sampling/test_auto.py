"""The node OTCache in the host: exactly the calls, a closer picture, nothing else moved."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

SAME_PICTURE = [
    "euler", "ddim", "heun", "heunpp2", "dpm_2", "lms", "dpmpp_2m", "deis", "ipndm", "ipndm_v",
    "res_multistep", "gradient_estimation", "uni_pc", "uni_pc_bh2",
]  # fmt: skip
WITH_NOISE = [
    "euler_ancestral",
    "er_sde",
    "dpmpp_2m_sde",
    "lcm",
    "sa_solver",
    "res_multistep_ancestral",
]


@pytest.fixture
def auto(run_node):
    """`auto(model, calls=0, grid="fine", anchor=None)`: the node's model."""

    def run(model: Any, calls: int = 0, grid: str = "fine", anchor: Any = None) -> Any:
        return run_node("OTCacheAuto", model=model, calls=calls, grid=grid, anchor=anchor).outputs[
            0
        ]

    return run


@pytest.fixture
def told(host, monkeypatch):
    """What the node said after each run: text and report."""
    found: list[tuple[str, Any]] = []
    module = host.module("nodes.auto")
    monkeypatch.setattr(
        module,
        "show_text",
        lambda said, place, report=None: found.append(("\n".join(said), report)),
    )
    return found


def rms(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().mean().sqrt())


# How often the model runs


@pytest.mark.parametrize("sampler_name", SAME_PICTURE)
@pytest.mark.parametrize("family", ["tiny_flux", "tiny_eps"])
def test_exactly_the_calls_asked_for_on_a_finer_grid(
    request, plain, counted, auto, family, sampler_name
):
    parts = request.getfixturevalue(family)
    for calls in (4, 11, 25):
        with counted(parts.model) as (model, seen):
            latent = plain(parts, auto(model, calls), sampler_name=sampler_name, cfg=2.0)
        assert seen.predictions == calls
        assert latent.isfinite().all()


@pytest.mark.parametrize(("steps", "calls"), [(12, 10), (20, 16), (30, 27), (50, 40)])
def test_without_a_number_calls_are_a_share_of_the_steps(
    tiny_flux, plain, counted, auto, steps, calls
):
    with counted(tiny_flux.model) as (model, seen):
        plain(tiny_flux, auto(model), steps=steps)
    assert seen.predictions == calls


@pytest.mark.parametrize("sampler_name", WITH_NOISE)
def test_samplers_that_add_noise_keep_their_steps(
    tiny_flux, plain, counted, auto, told, sampler_name
):
    whole = plain(tiny_flux, sampler_name=sampler_name)
    assert torch.equal(plain(tiny_flux, auto(tiny_flux.model), sampler_name=sampler_name), whole)
    assert "adds noise" in told[-1][0]

    with counted(tiny_flux.model) as (model, seen):
        plain(tiny_flux, auto(model, 11), sampler_name=sampler_name)
    assert seen.predictions == 11
    assert "sampler's own" in told[-1][0]


@pytest.mark.parametrize("sampler_name", ["dpmpp_sde", "seeds_2", "dpmpp_2s_ancestral"])
def test_samplers_with_several_calls_a_step_stay_within_the_calls(
    tiny_flux, plain, counted, auto, sampler_name
):
    with counted(tiny_flux.model) as (model, seen):
        plain(tiny_flux, auto(model, 12), sampler_name=sampler_name)
    assert 10 <= seen.predictions <= 12


@pytest.mark.parametrize("sampler_name", ["dpm_adaptive", "euler_cfg_pp", "dpmpp_2m_cfg_pp"])
def test_samplers_that_cannot_be_cached_run_as_they_are(tiny_flux, plain, auto, told, sampler_name):
    whole = plain(tiny_flux, sampler_name=sampler_name, cfg=2.0)
    got = plain(tiny_flux, auto(tiny_flux.model, 11), sampler_name=sampler_name, cfg=2.0)
    assert torch.equal(got, whole)
    assert "Every step was computed" in told[-1][0]


def test_a_pack_sampler_of_a_known_name_keeps_its_levels(host, tiny_flux, counted, auto):
    import comfy.sample
    import comfy.samplers

    seen_levels = []

    def sample_euler(model, x, sigmas, extra_args=None, callback=None, disable=None):
        seen_levels.append(len(sigmas))
        for i in range(len(sigmas) - 1):
            denoised = model(x, sigmas[i] * x.new_ones(len(x)), **(extra_args or {}))
            x = x + (x - denoised) / sigmas[i] * (sigmas[i + 1] - sigmas[i])
        return x

    levels = torch.linspace(1.0, 0.0, 21)
    with counted(tiny_flux.model) as (model, seen), torch.inference_mode():
        comfy.sample.sample_custom(
            auto(model, 11), torch.randn(1, 3, 8, 8), 1.0, comfy.samplers.KSAMPLER(sample_euler),
            levels, tiny_flux.positive, tiny_flux.negative, torch.zeros(1, 3, 8, 8),
            disable_pbar=True,
        )  # fmt: skip
    assert (seen_levels, seen.predictions) == ([21], 11)


def test_the_log_says_what_the_node_says(tiny_flux, plain, auto, told, caplog):
    with caplog.at_level(logging.INFO, "otcache"):
        plain(tiny_flux, auto(tiny_flux.model, 11))

    (line,) = [record.getMessage() for record in caplog.records]
    assert "faster than your 20 steps" in line
    assert line == "OTCache: " + told[-1][0].replace("\n", "; ")


# The picture


@pytest.fixture
def without_anchor(host, monkeypatch):
    """No anchor of the model's own is found."""
    monkeypatch.setattr(host.module("nodes.auto"), "own_anchors", lambda weights: [])


@pytest.fixture(scope="module")
def converged(demo, plain):
    """`converged(cfg, seed)`: the bundled model's run of 200 steps, made once."""
    return cache(lambda cfg, seed: plain(demo, steps=200, cfg=cfg, seed=seed))


@pytest.mark.parametrize("cfg", [2.5, 8.0])
@pytest.mark.parametrize("sampler_name", ["euler", "res_multistep", "uni_pc"])
def test_at_as_many_calls_it_is_nearer_to_the_converged_run_than_the_steps_themselves(
    demo, plain, auto, converged, without_anchor, sampler_name, cfg
):
    # At this guidance single pictures tip over into others, for either of the two.
    seeds, settings = (1, 2, 3), {"cfg": cfg, "sampler_name": sampler_name}
    own = ours = 0.0
    for seed in seeds:
        node, whole = auto(demo.model, 20), converged(cfg, seed)
        own += rms(plain(demo, steps=20, seed=seed, **settings), whole)
        ours += rms(plain(demo, node, steps=20, seed=seed, **settings), whole)
    assert ours < own


@pytest.mark.parametrize("sampler_name", ["euler", "dpmpp_2m", "euler_ancestral"])
def test_all_steps_as_sampled_is_the_plain_sampler_to_the_bit(demo, plain, auto, sampler_name):
    whole = plain(demo, steps=20, cfg=2.5, sampler_name=sampler_name)
    for calls in (20, 21, 100):
        cached = auto(demo.model, calls, "as sampled")
        assert torch.equal(plain(demo, cached, steps=20, cfg=2.5, sampler_name=sampler_name), whole)


@pytest.mark.parametrize("steps", [1, 4, 8, 11])
def test_runs_of_few_steps_are_left_alone(tiny_flux, plain, auto, told, steps):
    whole = plain(tiny_flux, steps=steps)
    assert torch.equal(plain(tiny_flux, auto(tiny_flux.model, 4), steps=steps), whole)
    assert "below 12" in told[-1][0]


def test_two_parts_of_a_run_each_have_their_share(host, tiny_flux, counted, auto):
    advanced = {
        "noise_seed": 1, "steps": 20, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple",
        "positive": tiny_flux.positive, "negative": tiny_flux.negative,
    }  # fmt: skip
    with counted(tiny_flux.model) as (model, seen):
        (first,) = host.run(
            "KSamplerAdvanced", model=auto(model), **advanced, latent_image=tiny_flux.latent,
            add_noise="enable", start_at_step=0, end_at_step=10,
            return_with_leftover_noise="enable",
        ).outputs  # fmt: skip
        assert seen.predictions == 8
        (second,) = host.run(
            "KSamplerAdvanced", model=auto(model), **advanced, latent_image=first,
            add_noise="disable", start_at_step=10, end_at_step=20,
            return_with_leftover_noise="disable",
        ).outputs  # fmt: skip
    assert seen.predictions == 16
    assert second["samples"].isfinite().all()


def test_a_run_that_begins_lower_has_the_calls_too(demo, plain, counted, auto):
    picture = plain(demo, steps=20, cfg=2.5)
    options = {"steps": 20, "cfg": 2.5, "denoise": 0.6, "latent": {"samples": picture}, "seed": 3}
    converged = plain(demo, **{**options, "steps": 200})
    with counted(demo.model) as (model, seen):
        ours = plain(demo, auto(model), **options)
    assert seen.predictions == 16
    assert rms(ours, converged) < rms(plain(demo, **options), converged)


# The host's own view of a run


def test_progress_counts_the_runs_own_steps(host, tiny_flux, auto):
    import comfy.sample
    import comfy.samplers

    seen = []
    levels = torch.linspace(1.0, 0.0, 21)
    result = comfy.sample.sample_custom(
        auto(tiny_flux.model, 11), torch.randn(1, 3, 8, 8), 1.0,
        comfy.samplers.sampler_object("res_multistep"), levels, tiny_flux.positive,
        tiny_flux.negative, torch.zeros(1, 3, 8, 8), disable_pbar=True,
        callback=lambda step, denoised, x, steps: seen.append((step, steps, denoised.clone())),
    )  # fmt: skip
    assert [(step, steps) for step, steps, _ in seen] == [(step, 20) for step in range(20)]
    assert all(denoised.shape == result.shape for _, _, denoised in seen)


def test_inpainting_keeps_what_the_mask_keeps(demo, plain, auto):
    picture = plain(demo, steps=20, cfg=2.5)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 32:] = 1.0
    latent = {"samples": picture, "noise_mask": mask}
    ours = plain(demo, auto(demo.model), steps=20, cfg=2.5, latent=latent, seed=5)
    assert torch.allclose(ours[..., :30], picture[..., :30], atol=1e-4)
    assert rms(ours[..., 34:], picture[..., 34:]) > 0.05


def test_nothing_is_left_behind(demo, plain, auto, state_of):
    before = state_of(demo.model)
    cached = auto(demo.model, 11)
    first = plain(demo, cached, steps=20, cfg=2.5)
    assert torch.equal(plain(demo, cached, steps=20, cfg=2.5), first)
    assert state_of(demo.model) == before


def test_the_last_of_two_cachings_counts(host, tiny_flux, plain, counted, auto, uniform):
    with counted(tiny_flux.model) as (model, seen):
        applied = host.run("OTCacheApply", model=auto(model, 11), schedule=uniform(20, 7)).outputs[
            0
        ]
        plain(tiny_flux, applied)
        assert seen.predictions == 7
        plain(tiny_flux, auto(applied, 11))
    assert seen.predictions == 18


# Anchors


@pytest.fixture
def demo_anchor(run_node):
    return run_node("OTCacheLoadAnchor", anchor_name="preset: otcache-demo").outputs[0]


def test_the_models_own_anchor_is_found_and_used(host, demo, plain, auto, demo_anchor):
    weights = host.module("nodes.library.weights").weights_fingerprint(demo.model)
    assert demo_anchor.weights == weights

    found = plain(demo, auto(demo.model, 11), steps=20, cfg=2.5)
    assert torch.equal(
        found, plain(demo, auto(demo.model, 11, anchor=demo_anchor), steps=20, cfg=2.5)
    )


def test_of_several_anchors_of_the_model_the_newest_for_the_guidance_is_used(
    host, demo, plain, auto, demo_anchor, told
):
    store = host.module("nodes.library.files").store_anchor
    for age, (name, cfg) in enumerate([("b", 6.0), ("c", 6.0), ("a", 4.0)]):
        path = host.base / "models" / "otcache" / f"{name}.otanchor.json"
        sampling = replace(demo_anchor.sampling, cfg=cfg)
        store(replace(demo_anchor, name=name, sampling=sampling), path)
        os.utime(path, (1_000_000_000 + age, 1_000_000_000 + age))

    expected = {
        6.0: "By the anchor c.", 4.0: "By the anchor a.", 2.5: "By the anchor otcache-demo.",
        9.0: "at cfg 4: not used here",
    }  # fmt: skip
    for cfg, said in expected.items():
        plain(demo, auto(demo.model, 11), steps=20, cfg=cfg)
        assert said in told[-1][0]


def test_it_says_whether_it_went_by_an_anchor(demo, plain, auto, demo_anchor, told):
    plain(demo, auto(demo.model, 8, anchor=demo_anchor), steps=20, cfg=2.5)
    assert "By the anchor otcache-demo." in told[-1][0]
    plain(demo, auto(demo.model, 7, anchor=demo_anchor), steps=20, cfg=2.5)
    assert "otcache-demo begins at 8 calls: not used here." in told[-1][0]


@pytest.mark.parametrize(("scheduler", "placed"), [("simple", False), ("beta", True)])
def test_calls_are_placed_by_the_models_own_time_behind_other_schedulers(
    host, tiny_flux, plain, auto, monkeypatch, told, scheduler, placed
):
    wrapper, planned = host.module("nodes.sampling.auto_wrapper"), []
    plans = wrapper.teaching_itself

    def watched(generic, grid, calls, **known):
        made = plans(generic, grid, calls, **known)
        planned.append((made, plans(generic, grid, calls, **{**known, "table": ()})))
        return made

    monkeypatch.setattr(wrapper, "teaching_itself", watched)
    plain(tiny_flux, auto(tiny_flux.model, 8), steps=16, scheduler=scheduler)
    ((made, by_number),) = planned
    assert (made != by_number) is placed
    assert told[-1][1]["computed"] == made.schedule.budget == 8


def test_a_run_that_teaches_itself_is_told_the_models_time_at_its_levels(
    host, tiny_flux, plain, auto, uniform, monkeypatch
):
    run, told = host.module("nodes.sampling.run"), []
    cache = run.VelocityCache

    def watched(schedule, sigmas, *, times, **known):
        told.append((schedule.estimator, sigmas, times))
        return cache(schedule, sigmas, times=times, **known)

    monkeypatch.setattr(run, "VelocityCache", watched)
    plain(tiny_flux, auto(tiny_flux.model, 8), steps=16)
    ((estimator, sigmas, times),) = told
    assert (estimator, len(times)) == ("adaptive", len(sigmas))
    assert (times[0], times[-1]) == (0.0, 1.0) and list(times) == sorted(times)
    apply = host.module("nodes.sampling.host").apply_schedule
    plain(tiny_flux, apply(tiny_flux.model, uniform(16, 8)), steps=16)
    assert told[-1][0] != "adaptive" and not told[-1][2]


@pytest.mark.parametrize("length", [1, 10, 1_000, 10_000])
def test_a_models_levels_are_read_from_the_highest_on(host, tiny_flux, length):
    guider = type("Guider", (), {})()
    guider.model_patcher = tiny_flux.model.clone()
    sampling = type("Sampling", (), {"sigmas": torch.linspace(0.01, 1.0, length)})()
    guider.model_patcher.add_object_patch("model_sampling", sampling)
    levels = host.module("nodes.sampling.cache_wrapper").trained_levels(guider)
    assert levels[0] == 1.0 or length == 1
    assert list(levels) == sorted(levels, reverse=True) and len(levels) <= 1_000

    guider.model_patcher.add_object_patch("model_sampling", object())
    assert host.module("nodes.sampling.cache_wrapper").trained_levels(guider) == ()


def test_an_anchor_of_few_prompts_leaves_many_calls_to_the_run(
    demo, plain, auto, demo_anchor, told, without_anchor
):
    few = replace(demo_anchor, calibration=replace(demo_anchor.calibration, prompts=3))
    plain(demo, auto(demo.model, 11, anchor=few), steps=20, cfg=2.5)
    assert "By the anchor otcache-demo." in told[-1][0]

    plain(demo, auto(demo.model, 13, anchor=few), steps=20, cfg=2.5)
    assert "calibrated on few prompts (3)" in told[-1][0]
    assert "By the anchor" not in told[-1][0]
    assert told[-1][1]["computed"] == 13


def test_an_anchor_of_another_guidance_is_used_only_if_it_is_connected(
    demo, plain, auto, demo_anchor, told
):
    found = plain(demo, auto(demo.model, 11), steps=20, cfg=6.0)
    assert "calibrated at cfg 2.5" in told[-1][0]
    insisted = plain(demo, auto(demo.model, 11, anchor=demo_anchor), steps=20, cfg=6.0)
    assert not torch.equal(found, insisted)


# What it says


def test_what_it_says_counts_against_the_samplers_own_steps(demo, plain, auto, told):
    plain(demo, auto(demo.model, 11), steps=20, cfg=2.5)
    text, report = told[-1]
    assert (report["own_steps"], report["computed"]) == (20, 11)
    assert 50 < report["steps"] <= 200  # the calibrated levels, cut finer where slopes go on
    assert "your 20 steps" in text
    assert 1.0 < report["speedup"] < 20 / 11 + 0.3
