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
