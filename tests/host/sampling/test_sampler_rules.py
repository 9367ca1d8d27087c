"""What a schedule means for each sampler: the rule that measured best, and that it is followed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from benchmarks.instruments.record import RECORDS
from benchmarks.samplers import RULES

pytestmark = pytest.mark.host

ROWS = json.loads((RECORDS / "samplers.json").read_text(encoding="utf-8"))["results"]["rows"]
NEARLY_BEST = 1.1
"""Times the smallest error: what is closer, another anchor or other prompts may turn round."""


def _rule(host, name):
    import comfy.samplers

    return host.module("nodes.sampling.sampler_rules").rule_for(
        comfy.samplers.sampler_object(name), "slope"
    )


def test_every_sampler_of_the_host_was_measured(host):
    import comfy.samplers

    measured = {row["sampler"] for row in ROWS}
    assert {n for n in comfy.samplers.KSampler.SAMPLERS if not n.endswith("_gpu")} <= measured


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["sampler"])
def test_the_rule_is_the_one_that_measured_best(host, row, needs_sampler):
    needs_sampler(row["sampler"])
    rule = _rule(host, row["sampler"])
    assert rule == row["rule"]
    errors = {way: row[way] for way in RULES if row.get(way) is not None}
    if errors:  # else every step is computed
        assert errors[rule] <= NEARLY_BEST * min(errors.values())


@pytest.mark.parametrize(
    ("name", "held"),
    [
        # one latent is 1 x 3 x 8 x 8 float32 = 768 bytes; the slope is held beside the velocity
        ("euler", 2 * 768),
        ("dpmpp_2m", 2 * 768),
        ("dpm_2", 2 * 768),
        ("euler_ancestral", 2 * 768),
        ("dpm_2_ancestral", 768),
        ("dpmpp_2m_sde", 768),
    ],
)
def test_a_run_holds_what_its_rule_needs(tiny_flux, sample, uniform, name, held):
    _, done = sample(tiny_flux, uniform(20, 6), sampler_name=name)

    assert done["cached_bytes"] == held


def test_the_slope_is_damped_across_noise(tiny_flux, sample, uniform):
    plain = uniform(20, 6)
    runs = {
        gain: sample(
            tiny_flux, replace(plain, slope_gain=(gain,) * 5), sampler_name="euler_ancestral"
        )[0]
        for gain in (0.3, 0.6, 1.0)
    }

    assert torch.equal(runs[1.0], runs[0.6])
    assert not torch.equal(runs[0.3], runs[0.6])


@pytest.mark.parametrize(
    ("name", "follows"),
    [
        ("euler", True), ("heun", True), ("heunpp2", True), ("ddim", True),
        ("dpmpp_2m", False), ("res_multistep", False), ("uni_pc", False), ("lms", False),
        ("euler_ancestral", False), ("dpmpp_2s_ancestral", False),
    ],
)  # fmt: skip
def test_bends_are_followed_by_samplers_that_take_each_step_by_itself(
    tiny_flux, sample, uniform, name, follows
):
    plain = uniform(20, 6)
    bent = replace(plain, bend=(0.0, 0.0, 0.5, 0.5, 0.5))

    without, with_bend = (sample(tiny_flux, s, sampler_name=name)[0] for s in (plain, bent))

    assert torch.equal(without, with_bend) is not follows


# Samplers that nobody has measured


def _sampler(function, **options):
    import comfy.samplers

    return comfy.samplers.KSAMPLER(function, extra_options=options)


def plain_steps(model, x, sigmas, extra_args=None, callback=None, disable=None): ...


def with_eta(model, x, sigmas, extra_args=None, callback=None, disable=None, eta=0.5): ...


def without_eta(model, x, sigmas, extra_args=None, callback=None, disable=None, eta=0.0): ...


def with_source(model, x, sigmas, extra_args=None, s_noise=1.0, noise_sampler=None): ...


def with_churn(model, x, sigmas, extra_args=None, s_churn=0.0, s_noise=1.0): ...


def with_anything(model, x, sigmas, **options): ...


@pytest.mark.parametrize(
    ("function", "options", "noisy"),
    [
        (plain_steps, {}, False),
        (with_eta, {}, True),
        (with_eta, {"eta": 0.0}, False),
        (without_eta, {}, False),
        (without_eta, {"eta": 1.0}, True),
        (with_source, {}, True),
        (with_source, {"s_noise": 0.0}, False),
        (with_churn, {}, False),
        (with_churn, {"s_churn": 1.0}, True),
        (with_anything, {}, False),
        (with_anything, {"eta": 0.3}, True),
    ],
)
def test_what_a_function_takes_tells_whether_it_adds_noise(host, function, options, noisy):
    rules = host.module("nodes.sampling.sampler_rules")
    assert rules.is_stochastic(_sampler(function, **options)) == noisy


@pytest.mark.parametrize("estimator", ["slope", "adaptive", "meancache", "reuse"])
def test_what_was_not_measured_repeats_the_last_call(host, estimator):
    rules = host.module("nodes.sampling.sampler_rules")

    def sample_euler(model, x, sigmas): ...  # of a pack, which may do anything

    class Own:
        """A sampler that is not of the host's kind."""

    for sampler in (_sampler(plain_steps), _sampler(with_eta), _sampler(sample_euler), Own()):
        assert rules.rule_for(sampler, estimator) == "reuse"
        assert not rules.was_measured(sampler)


def test_every_sampler_of_the_host_was_measured_or_computes_every_step(host):
    import comfy.samplers

    rules = host.module("nodes.sampling.sampler_rules")
    for name in comfy.samplers.KSampler.SAMPLERS:
        sampler = comfy.samplers.sampler_object(name)
        assert rules.was_measured(sampler) or rules.rule_for(sampler, "slope") == rules.NO_RULE


def _notes(host, parts, function, schedule):
    """What a run with a sampler function says of it."""
    import comfy.sample
    import comfy.samplers

    done = []
    cached = host.module("nodes.sampling.host").apply_schedule(parts.model, schedule, done.append)
    latent = parts.latent["samples"]
    sigmas = comfy.samplers.KSampler(parts.model, 20, "cpu", "euler", "simple").sigmas
    with torch.inference_mode():
        comfy.sample.sample_custom(
            cached, comfy.sample.prepare_noise(latent, 1), 1.0, _sampler(function), sigmas,
            parts.positive, parts.negative, latent, disable_pbar=True, seed=1,
        )  # fmt: skip
    assert done[0].skipped > 0
    return [getattr(note, "key", note) for note in done[0].notes]


def test_a_run_says_what_was_seen_of_an_unknown_sampler(host, tiny_flux, uniform):
    def quiet(model, x, sigmas, extra_args=None, callback=None, disable=None):
        for sigma, end in zip(sigmas, sigmas[1:], strict=False):
            x = x + (x - model(x, sigma * x.new_ones(len(x)), **extra_args)) / sigma * (end - sigma)
        return x

    def between(model, x, sigmas, extra_args=None, callback=None, disable=None, eta=1.0):
        for sigma, end in zip(sigmas, sigmas[1:], strict=False):
            middle = (sigma + end) / 2
            found = model(x, middle * x.new_ones(len(x)), **extra_args)
            x = x + (x - found) / middle * (end - sigma)
        return x

    schedule = uniform(20, 6)
    assert _notes(host, tiny_flux, quiet, schedule) == ["sampler_unknown"]
    assert _notes(host, tiny_flux, between, schedule) == [
        "sampler_unknown", "unknown_adds_noise", "unknown_asks_between",
    ]  # fmt: skip


def test_a_model_with_a_memory_of_its_own_runs_at_every_step(host):
    def sample_ar_video(model, x, sigmas): ...

    rules = host.module("nodes.sampling.sampler_rules")
    assert rules.rule_for(_sampler(sample_ar_video), "slope") == rules.NO_RULE


def test_a_schedule_of_reuse_is_never_made_a_slope(host):
    import comfy.samplers

    rule_for = host.module("nodes.sampling.sampler_rules").rule_for
    for name in ("euler", "dpm_2", "heun", "euler_ancestral"):
        assert rule_for(comfy.samplers.sampler_object(name), "reuse") == "reuse"


def test_what_teaches_itself_does_so_with_samplers_that_add_noise_too(host):
    """It was closer than reuse with most of them: a slope that noise bends is learned as such."""
    import comfy.samplers

    rule_for = host.module("nodes.sampling.sampler_rules").rule_for
    rules = {
        name: rule_for(comfy.samplers.sampler_object(name), "adaptive")
        for name in ("euler", "euler_ancestral", "er_sde", "dpmpp_2m_sde", "dpm_2")
    }
    assert rules == {
        "euler": "adaptive", "euler_ancestral": "adaptive", "er_sde": "adaptive",
        "dpmpp_2m_sde": "denoised", "dpm_2": "adaptive",
    }  # fmt: skip
