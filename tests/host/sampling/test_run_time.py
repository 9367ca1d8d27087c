"""Sampling by a schedule in the host: how often the model runs, and what is left behind."""

from __future__ import annotations

import gc
import logging
import weakref
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

# Samplers that ask the model once a step, whatever they make of it.
ONE_EVALUATION = [
    "euler", "euler_ancestral", "ddim", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "lms", "deis",
    "ipndm", "ipndm_v", "res_multistep", "res_multistep_ancestral", "gradient_estimation", "er_sde",
    "lcm", "ddpm", "sa_solver", "uni_pc", "uni_pc_bh2",
]  # fmt: skip

STEPS = 20


def levels(parts: Any, steps: int = STEPS, sampler: str = "euler") -> list[float]:
    """The noise levels of the host's KSampler."""
    import comfy.samplers

    device = parts.model.load_device
    ksampler = comfy.samplers.KSampler(parts.model, steps, device, sampler, "simple")
    return [float(s) for s in ksampler.sigmas]


def rms(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().mean().sqrt())


# How often the model runs


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("sampler_name", ONE_EVALUATION)
def test_the_model_runs_as_often_as_the_budget_says(
    tiny_flux, sample, counted, uniform, sampler_name, cfg
):
    conds = 1 if cfg == 1.0 else 2
    for budget in (2, 7, 19):
        schedule = uniform(STEPS, budget)
        with counted(tiny_flux.model) as (model, calls):
            _, done = sample(tiny_flux, schedule, model, sampler_name=sampler_name, cfg=cfg)

        assert calls.predictions == budget
        assert calls.rows == budget * conds
        assert calls.forwards <= calls.rows  # conds of a step may share a forward
        assert (done["computed"], done["skipped"]) == (budget, STEPS - budget)
        assert done["evaluations"] == budget


@pytest.mark.parametrize("estimator", ["slope", "meancache", "reuse"])
@pytest.mark.parametrize("family", ["tiny_flux", "tiny_eps", "tiny_v", "tiny_video"])
def test_the_steps_of_the_schedule_are_the_ones_computed(
    request, host, sample, counted, family, estimator
):
    parts = request.getfixturevalue(family)
    computed = (0, 1, 2, 5, 11, 12, 19)
    schedule = host.core("documents.schedule").Schedule(STEPS, computed, estimator, (3,) * 6)
    with counted(parts.model) as (model, calls):
        samples, _ = sample(parts, schedule, model, cfg=2.0)

    whole = levels(parts)
    assert calls.sigmas == pytest.approx([whole[step] for step in computed], rel=1e-5)
    assert samples.isfinite().all()


@pytest.mark.parametrize("family", ["tiny_eps", "tiny_v", "tiny_video"])
@pytest.mark.parametrize("sampler_name", ["dpmpp_2m", "ddim", "uni_pc", "euler_ancestral"])
def test_other_kinds_of_models_keep_the_budget(
    request, sample, counted, uniform, family, sampler_name
):
    parts = request.getfixturevalue(family)
    with counted(parts.model) as (model, calls):
        samples, _ = sample(parts, uniform(STEPS, 6), model, sampler_name=sampler_name, cfg=2.0)

    assert (calls.predictions, calls.rows) == (6, 12)
    assert samples.isfinite().all()


@pytest.mark.parametrize(
    ("sampler_name", "evaluations"),
    [
        ("heun", 2 * 8 - 1),  # two a step, but one in the last
        ("exp_heun_2_x0", 2 * 8 - 1),
        ("exp_heun_2_x0_sde", 2 * 8 - 1),
        ("dpm_2", 2 * 8 - 1),
        ("dpm_2_ancestral", 2 * 8 - 1),
        ("dpmpp_2s_ancestral", 2 * 8 - 1),
        ("dpmpp_sde", 2 * 8 - 1),
        ("seeds_2", 2 * 8 - 1),
        ("sa_solver_pece", 2 * 8 - 1),
        ("heunpp2", 3 * 8 - 2),  # three a step, two in the last but one, one in the last
        ("seeds_3", 3 * 8 - 2),
    ],
)
def test_evaluations_of_one_step_are_computed_or_skipped_together(
    tiny_flux, sample, counted, uniform, sampler_name, evaluations, needs_sampler
):
    needs_sampler(sampler_name)
    schedule = uniform(STEPS, 8)
    with counted(tiny_flux.model) as (model, calls):
        _, done = sample(tiny_flux, schedule, model, sampler_name=sampler_name)

    step_of_sigma = levels(tiny_flux, sampler=sampler_name)
    steps = [max(i for i in range(STEPS) if step_of_sigma[i] >= s - 1e-6) for s in calls.sigmas]
    assert set(steps) == set(schedule.computed_steps)
    assert calls.predictions == done["evaluations"] == evaluations
    assert (done["computed"], done["skipped"]) == (8, 12)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_batch_is_decided_once(tiny_flux, sample, counted, uniform, batch):
    parts = tiny_flux.batch(batch)
    with counted(parts.model) as (model, calls):
        samples, _ = sample(parts, uniform(STEPS, 8), model, cfg=3.0)

    assert len(samples) == batch
    assert calls.predictions == 8
    assert calls.rows == 8 * 2 * batch


def test_pictures_of_a_batch_do_not_leak_into_each_other(tiny_flux, sample, uniform):
    schedule = uniform(STEPS, 8)
    together, _ = sample(tiny_flux.batch(4), schedule, cfg=3.0)
    # The host draws the noise of picture 2 as it does in the batch.
    latent = {**tiny_flux.latent, "batch_index": [2]}
    alone, _ = sample(tiny_flux, schedule, cfg=3.0, latent=latent)

    torch.testing.assert_close(alone[0], together[2], rtol=1e-3, atol=1e-4)


# The plain sampler, bit by bit


@pytest.mark.parametrize(
    "sampler_name", ["euler", "dpmpp_2m", "euler_ancestral", "heun", "uni_pc", "dpmpp_sde"]
)
def test_a_full_budget_no_schedule_and_bypass_are_the_plain_sampler(
    host, tiny_flux, plain, sample, uniform, sampler_name
):
    options = {"sampler_name": sampler_name, "cfg": 2.0}
    expected = plain(tiny_flux, **options)

    assert torch.equal(sample(tiny_flux, uniform(STEPS, STEPS), **options)[0], expected)
    assert torch.equal(sample(tiny_flux, None, **options)[0], expected)
    (cached,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=uniform(20, 5)).outputs
    assert not torch.equal(plain(tiny_flux, model=cached, **options), expected)
    assert torch.equal(plain(tiny_flux, **options), expected)  # the way a bypassed node leaves


@pytest.mark.parametrize("family", ["tiny_eps", "tiny_v", "tiny_video", "demo"])
def test_a_full_budget_is_the_plain_sampler_for_every_family(
    request, plain, sample, uniform, family
):
    parts = request.getfixturevalue(family)
    expected = plain(parts, steps=10, cfg=2.0)

    assert torch.equal(sample(parts, uniform(10, 10), steps=10, cfg=2.0)[0], expected)


def test_without_a_schedule_the_one_applied_before_holds(host, tiny_flux, sample, counted, uniform):
    with counted(tiny_flux.model) as (model, calls):
        (cached,) = host.run("OTCacheApply", model=model, schedule=uniform(STEPS, 6)).outputs
        host.run(
            "OTCacheSampler", model=cached, seed=1, steps=STEPS, cfg=1.0, sampler_name="euler",
            scheduler="simple", positive=tiny_flux.positive, negative=tiny_flux.negative,
            latent_image=tiny_flux.latent, denoise=1.0,
        )  # fmt: skip

    assert calls.predictions == 6


def test_apply_and_the_sampler_node_give_the_same(host, tiny_flux, plain, sample, uniform):
    schedule = uniform(STEPS, 6)
    (cached,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=schedule).outputs

    assert torch.equal(
        plain(tiny_flux, model=cached, cfg=2.0), sample(tiny_flux, schedule, cfg=2.0)[0]
    )


# What is left behind


def test_the_model_handed_in_stays_as_it_is(state_of, host, tiny_flux, sample, uniform):
    before = state_of(tiny_flux.model)
    (cached,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=uniform(20, 5)).outputs
    assert state_of(tiny_flux.model) == before
    for _ in range(2):
        sample(tiny_flux, uniform(STEPS, 5), cfg=2.0)

    assert state_of(tiny_flux.model) == before
    assert cached.model is tiny_flux.model.model  # no second copy of the weights


def test_a_cached_model_samples_any_number_of_times(state_of, host, tiny_flux, plain, uniform):
    (cached,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=uniform(12, 3)).outputs
    before = state_of(cached)
    first = plain(tiny_flux, model=cached, steps=12)
    for _ in range(99):
        last = plain(tiny_flux, model=cached, steps=12)

    assert torch.equal(first, last)
    assert state_of(cached) == before


def _resized(parts: Any, side: int) -> dict[str, Any]:
    samples = parts.latent["samples"]
    return {"samples": torch.zeros(1, samples.shape[1], side, side)}


def test_runs_of_different_sizes_do_not_meet(host, tiny_flux, plain, sample, uniform):
    schedule = uniform(STEPS, 6)
    (cached,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=schedule).outputs
    for side in (8, 16, 4, 8):
        latent = _resized(tiny_flux, side)
        fresh, _ = sample(tiny_flux, schedule, latent=latent)
        assert torch.equal(plain(tiny_flux, model=cached, latent=latent), fresh)


def test_a_sampler_that_changes_the_size_in_a_run_computes_there(host, tiny_flux, counted, uniform):
    # As samplers that upscale on the way do: what was kept at one size does not fit the other.
    import comfy.sample
    import comfy.samplers

    def euler_that_grows(model: Any, x: Any, sigmas: Any, extra_args: Any, **rest: Any) -> Any:
        for i in range(len(sigmas) - 1):
            if i == 9:
                x = torch.nn.functional.interpolate(x, scale_factor=2.0)
            denoised = model(x, sigmas[i] * x.new_ones(len(x)), **extra_args)
            x = x + (x - denoised) / sigmas[i] * (sigmas[i + 1] - sigmas[i])
        return x

    latent, sigmas = tiny_flux.latent["samples"], torch.tensor(levels(tiny_flux))
    with counted(tiny_flux.model) as (model, calls), torch.inference_mode():
        (cached,) = host.run("OTCacheApply", model=model, schedule=uniform(STEPS, 6)).outputs
        samples = comfy.sample.sample_custom(
            cached, comfy.sample.prepare_noise(latent, 1), 1.0,
            comfy.samplers.KSAMPLER(euler_that_grows), sigmas, tiny_flux.positive,
            tiny_flux.negative, latent, seed=1,
        )  # fmt: skip

    assert samples.shape == (1, 3, 16, 16) and samples.isfinite().all()
    computed = [0, 4, 8, 9, 11, 15, 19]  # the schedule's six, and step 9
    assert calls.sigmas == pytest.approx([float(sigmas[i]) for i in computed], rel=1e-5)


class Leak:
    """Watches every tensor that the run-time caches hold."""

    def __init__(self, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: list[weakref.ref[torch.Tensor]] = []
        self.caches: list[weakref.ref[Any]] = []
        cache = host.core("run_time.velocity").VelocityCache
        observe = cache.observe

        def watch(this: Any, *args: Any) -> torch.Tensor:
            answer = observe(this, *args)
            self.caches.append(weakref.ref(this))
            self.held += [weakref.ref(t) for t in this._estimator.tensors()]
            return answer

        monkeypatch.setattr(cache, "observe", watch)

    def alive(self) -> list[torch.Tensor]:
        assert self.held  # else nothing was watched
        return [t for ref in self.held if (t := ref()) is not None]


@pytest.mark.parametrize("estimator", ["slope", "meancache", "reuse"])
@pytest.mark.parametrize("sampler_name", ["euler", "euler_ancestral"])
def test_a_finished_run_holds_nothing(
    host, monkeypatch, tiny_flux, sample, uniform, estimator, sampler_name
):
    leak = Leak(host, monkeypatch)
    sample(tiny_flux, uniform(STEPS, 6, estimator), sampler_name=sampler_name)

    assert leak.alive() == []
    gc.collect()
    assert [c for c in leak.caches if c() is not None] == []


@pytest.mark.parametrize("forward", [2, 4, 6])
def test_a_run_that_fails_holds_nothing_and_the_next_is_right(
    host, monkeypatch, before_forward, tiny_flux, sample, uniform, forward
):
    schedule = uniform(STEPS, 6)
    expected, _ = sample(tiny_flux, schedule)
    leak = Leak(host, monkeypatch)

    def fail() -> None:
        raise ArithmeticError("the model failed")

    before_forward(tiny_flux.model, forward, fail)
    with pytest.raises(ArithmeticError, match="the model failed") as caught:
        sample(tiny_flux, schedule)

    assert leak.alive() == []  # although the error is kept, and with it every frame
    assert caught.tb is not None
    assert torch.equal(sample(tiny_flux, schedule)[0], expected)


@pytest.mark.parametrize("forward", [1, 3, 6])
def test_an_interrupted_run_holds_nothing_and_the_next_is_right(
    state_of, host, monkeypatch, before_forward, tiny_flux, sample, uniform, forward
):
    import comfy.model_management as management

    schedule = uniform(STEPS, 6)
    expected, _ = sample(tiny_flux, schedule)
    before = state_of(tiny_flux.model)
    leak = Leak(host, monkeypatch)
    before_forward(tiny_flux.model, forward, management.interrupt_current_processing)
    with pytest.raises(management.InterruptProcessingException) as caught:
        sample(tiny_flux, schedule)

    if forward > 1:  # before that, nothing was held
        assert leak.alive() == []
    assert caught.tb is not None
    assert state_of(tiny_flux.model) == before
    assert torch.equal(sample(tiny_flux, schedule)[0], expected)


def test_a_failed_run_leaves_no_wrapper_in_a_guider_that_is_used_again(
    shape_of, host, before_forward, tiny_flux, uniform
):
    (cached,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=uniform(12, 3)).outputs
    (guider,) = host.run("BasicGuider", model=cached, conditioning=tiny_flux.positive).outputs
    before = shape_of(guider.model_options)

    def fail() -> None:
        raise ArithmeticError("the model failed")

    before_forward(tiny_flux.model, 2, fail)
    with pytest.raises(ArithmeticError):
        _sample_custom(host, guider, tiny_flux, torch.tensor(levels(tiny_flux, 12)))

    assert shape_of(guider.model_options) == before
    _sample_custom(host, guider, tiny_flux, torch.tensor(levels(tiny_flux, 12)))
    assert shape_of(guider.model_options) == before


@pytest.mark.parametrize(
    ("estimator", "sampler_name", "batch", "expected"),
    [
        # one latent is 1 x 3 x 8 x 8 float32 = 768 bytes
        ("reuse", "euler", 1, 768),  # the last velocity
        ("slope", "euler", 1, 2 * 768),  # the last velocity and the slope
        ("slope", "euler", 4, 4 * 2 * 768),
        ("reuse", "euler", 4, 4 * 768),
        ("slope", "dpmpp_2m_sde", 1, 768),  # noise between steps: the last prediction
    ],
)
def test_cached_bytes_by_hand(tiny_flux, sample, uniform, estimator, sampler_name, batch, expected):
    schedule = uniform(STEPS, 6, estimator)
    _, done = sample(tiny_flux.batch(batch), schedule, cfg=2.0, sampler_name=sampler_name)

    assert done["cached_bytes"] == expected


def test_a_plain_run_caches_nothing(tiny_flux, sample):
    _, done = sample(tiny_flux)

    assert (done["cached_bytes"], done["skipped"], done["speedup"]) == (0, 0, 1.0)


# When a model fails


@pytest.mark.cpu
@pytest.mark.parametrize(("forward", "step"), [(1, 0), (3, 8), (5, 15)])
def test_nan_from_the_model_switches_caching_off_and_is_not_hidden(
    nan_at_forward, caplog, tiny_flux, sample, counted, uniform, forward, step
):
    schedule = uniform(STEPS, 6)  # computes steps 0, 4, 8, 11, 15, 19
    with counted(tiny_flux.model) as (model, calls):
        nan_at_forward(tiny_flux.model, forward)
        samples, done = sample(tiny_flux, schedule, model)

    assert calls.predictions == forward + (STEPS - 1 - step)  # every step after it
    assert samples.isnan().all()
    assert f"NaN or infinity at step {step}" in done["note"]
    assert [r.levelname for r in caplog.records if "NaN" in r.getMessage()].count("WARNING") == 1


def test_the_run_after_nan_is_cached_again(nan_at_forward, tiny_flux, sample, counted, uniform):
    schedule = uniform(STEPS, 6)
    expected, _ = sample(tiny_flux, schedule)
    nan_at_forward(tiny_flux.model, 2)
    sample(tiny_flux, schedule)
    with counted(tiny_flux.model) as (model, calls):
        samples, done = sample(tiny_flux, schedule, model)

    assert torch.equal(samples, expected)
    assert (calls.predictions, done["note"]) == (6, "")


# Runs that are not the schedule's own


@pytest.mark.parametrize(("made_for", "budget", "steps"), [(50, 8, 20), (10, 4, 20), (50, 2, 12)])
def test_a_schedule_for_another_step_count_is_placed_again(
    caplog, tiny_flux, sample, counted, uniform, made_for, budget, steps
):
    with counted(tiny_flux.model) as (model, calls), caplog.at_level(logging.INFO, "otcache"):
        _, done = sample(tiny_flux, uniform(made_for, budget), model, steps=steps)

    assert calls.predictions == budget
    assert (done["steps"], done["computed"]) == (steps, budget)
    (summary,) = [record.getMessage() for record in caplog.records]
    assert f"for {made_for} steps" in done["note"] and f"this run's {steps}" in done["note"]
    assert done["note"] in summary
    assert f"{budget} computed, {steps - budget} skipped of {steps} steps" in summary


@pytest.mark.parametrize(
    ("budget", "steps", "why"), [(16, 14, "Nothing to skip"), (3, 6, "has 6 steps")]
)
def test_a_run_with_nothing_to_gain_is_the_plain_sampler(
    tiny_flux, plain, sample, uniform, budget, steps, why
):
    samples, done = sample(tiny_flux, uniform(50, budget), steps=steps)

    assert torch.equal(samples, plain(tiny_flux, steps=steps))
    assert (done["computed"], done["skipped"]) == (steps, 0)
    assert why in done["note"]


def _with_sigmas(host: Any, parts: Any, computed: tuple[int, ...]) -> Any:
    return host.core("documents.schedule").Schedule(STEPS, computed, sigmas=tuple(levels(parts)))


@pytest.mark.parametrize(
    ("start", "end", "leftover", "computed"),
    [
        # the schedule computes 0, 1, 3, 6, 10, 14, 19; first and last of a run are computed, too
        (0, 8, "enable", [0, 1, 3, 6, 7]),
        (0, 8, "disable", [0, 1, 3, 6, 7]),  # ends at 0, so the last level is another one
        (8, 20, "disable", [8, 10, 14, 19]),
        (8, 10_000, "disable", [8, 10, 14, 19]),
        (4, 13, "enable", [4, 6, 10, 12]),
        (19, 20, "disable", [19]),
    ],
)
def test_start_and_end_steps_take_their_part(
    host, tiny_flux, counted, start, end, leftover, computed
):
    schedule = _with_sigmas(host, tiny_flux, (0, 1, 3, 6, 10, 14, 19))
    with counted(tiny_flux.model) as (model, calls):
        (cached,) = host.run("OTCacheApply", model=model, schedule=schedule).outputs
        host.run(
            "KSamplerAdvanced", model=cached, add_noise="enable", noise_seed=1, steps=STEPS,
            cfg=1.0, sampler_name="euler", scheduler="simple", positive=tiny_flux.positive,
            negative=tiny_flux.negative, latent_image=tiny_flux.latent, start_at_step=start,
            end_at_step=end, return_with_leftover_noise=leftover,
        )  # fmt: skip

    whole = levels(tiny_flux)
    assert calls.sigmas == pytest.approx([whole[step] for step in computed], rel=1e-5)


def _sample_custom(
    host: Any, guider: Any, parts: Any, sigmas: torch.Tensor, latent: Any = None, seed: int = 1
) -> torch.Tensor:
    noise = ("RandomNoise", {"noise_seed": seed}) if latent is None else ("DisableNoise", {})
    (sampler,) = host.run("KSamplerSelect", sampler_name="euler").outputs
    result = host.run(
        "SamplerCustomAdvanced", noise=host.run(noise[0], **noise[1]).outputs[0], guider=guider,
        sampler=sampler, sigmas=sigmas,
        latent_image=parts.latent if latent is None else {"samples": latent},
    )  # fmt: skip
    return result.outputs[0]["samples"]


def _guider(host: Any, parts: Any, model: Any) -> Any:
    return host.run("BasicGuider", model=model, conditioning=parts.positive).outputs[0]


def test_one_schedule_spans_two_experts(host, tiny_flux, counted):
    # Two runs over one schedule, the second from step 9 on, as the two models of Wan 2.2 share one.
    schedule = _with_sigmas(host, tiny_flux, (0, 1, 3, 6, 10, 14, 19))
    sigmas = torch.tensor(levels(tiny_flux))
    latent, counts = None, []
    for part in (sigmas[:10], sigmas[9:]):
        with counted(tiny_flux.model) as (model, calls):
            (cached,) = host.run("OTCacheApply", model=model, schedule=schedule).outputs
            guider = _guider(host, tiny_flux, cached)
            latent = _sample_custom(host, guider, tiny_flux, part, latent)
        counts.append([min(range(20), key=lambda i: abs(sigmas[i] - s)) for s in calls.sigmas])

    assert counts == [[0, 1, 3, 6, 8], [9, 10, 14, 19]]
    assert latent.isfinite().all()


def test_split_sigmas_with_a_full_schedule_are_the_plain_sampler(host, tiny_flux, uniform):
    sigmas = torch.tensor(levels(tiny_flux))
    (cached,) = host.run(
        "OTCacheApply", model=tiny_flux.model, schedule=uniform(STEPS, STEPS)
    ).outputs
    results = []
    for model in (tiny_flux.model, cached):
        guider = _guider(host, tiny_flux, model)
        latent = _sample_custom(host, guider, tiny_flux, sigmas[:8])
        results.append(_sample_custom(host, guider, tiny_flux, sigmas[7:], latent))

    assert torch.equal(*results)


def test_no_sigmas_at_all_is_no_run(host, tiny_flux, uniform):
    (cached,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=uniform(20, 5)).outputs
    guider = _guider(host, tiny_flux, cached)

    samples = _sample_custom(host, guider, tiny_flux, torch.zeros(0), torch.ones(1, 3, 8, 8))

    assert torch.equal(samples, torch.ones(1, 3, 8, 8))


def test_image_to_image_keeps_the_budget(tiny_flux, plain, sample, counted, uniform):
    latent = {"samples": torch.rand(1, 3, 8, 8)}
    with counted(tiny_flux.model) as (model, calls):
        samples, _ = sample(tiny_flux, uniform(STEPS, 6), model, latent, denoise=0.5)

    assert calls.predictions == 6
    assert max(calls.sigmas) < levels(tiny_flux)[0]
    assert samples.isfinite().all()
    full, _ = sample(tiny_flux, uniform(STEPS, STEPS), latent=latent, denoise=0.5)
    assert torch.equal(full, plain(tiny_flux, latent=latent, denoise=0.5))


def test_no_denoising_at_all_is_no_run(tiny_flux, sample, uniform, host):
    latent = {"samples": torch.rand(1, 3, 8, 8)}
    inputs = {
        "model": tiny_flux.model, "seed": 1, "steps": STEPS, "cfg": 1.0, "sampler_name": "euler",
        "scheduler": "simple", "positive": tiny_flux.positive, "negative": tiny_flux.negative,
    }  # fmt: skip
    result = host.run(
        "OTCacheSampler", **inputs, latent_image=latent, denoise=0.0, schedule=uniform(20, 5)
    )

    assert torch.equal(result.outputs[0]["samples"], latent["samples"])
    assert result.ui["otcache"] == []


@pytest.mark.parametrize("family", ["tiny_flux", "tiny_eps"])
def test_inpainting_keeps_the_rest_and_the_budget(request, plain, sample, counted, uniform, family):
    parts = request.getfixturevalue(family)
    original = torch.rand_like(parts.latent["samples"])
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1.0  # sampled in the right half
    latent = {"samples": original, "noise_mask": mask}
    with counted(parts.model) as (model, calls):
        samples, _ = sample(parts, uniform(STEPS, 6), model, latent)

    assert calls.predictions == 6
    torch.testing.assert_close(samples[..., :4], original[..., :4], rtol=1e-4, atol=1e-4)
    assert rms(samples[..., 4:], original[..., 4:]) > 0.01
    full, _ = sample(parts, uniform(STEPS, STEPS), latent=latent)
    assert torch.equal(full, plain(parts, latent=latent))


@pytest.mark.parametrize(
    ("sampler_name", "why"),
    [
        ("euler_cfg_pp", "CFG++"),
        ("dpmpp_2m_cfg_pp", "CFG++"),
        ("res_multistep_ancestral_cfg_pp", "CFG++"),
        ("dpm_adaptive", "chooses its steps"),
    ],
)
def test_samplers_that_estimates_would_mislead_compute_every_step(
    tiny_flux, plain, sample, uniform, sampler_name, why
):
    options = {"sampler_name": sampler_name, "cfg": 1.5}
    samples, done = sample(tiny_flux, uniform(STEPS, 6), **options)

    assert torch.equal(samples, plain(tiny_flux, **options))
    assert why in done["note"]
    assert done["skipped"] == 0


def test_samplers_that_add_noise_are_known(host, tiny_flux):
    import comfy.sample
    import comfy.samplers

    is_stochastic = host.module("nodes.sampling.host").is_stochastic
    latent = tiny_flux.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 1)

    def run(sampler_name: str, seed: int) -> torch.Tensor:
        with torch.inference_mode():
            return comfy.sample.sample(
                tiny_flux.model, noise, 8, 1.0, sampler_name, "simple", tiny_flux.positive,
                tiny_flux.negative, latent, seed=seed,
            )  # fmt: skip

    for name in comfy.samplers.KSampler.SAMPLERS:
        adds_noise = not torch.equal(run(name, 1), run(name, 2))
        assert is_stochastic(comfy.samplers.sampler_object(name)) == adds_noise, name


def test_every_sampler_of_the_host_runs(tiny_flux, sample, uniform):
    import comfy.samplers

    for sampler_name in comfy.samplers.KSampler.SAMPLERS:
        samples, done = sample(tiny_flux, uniform(12, 5), steps=12, sampler_name=sampler_name)
        assert samples.isfinite().all(), sampler_name
        assert done["computed"] + done["skipped"] <= 12, sampler_name


def test_every_scheduler_of_the_host_keeps_the_budget(tiny_eps, sample, counted, uniform):
    import comfy.samplers

    for scheduler in comfy.samplers.KSampler.SCHEDULERS:
        with counted(tiny_eps.model) as (model, calls):
            sample(tiny_eps, uniform(STEPS, 6), model, scheduler=scheduler)
        assert calls.predictions == 6, scheduler


def test_the_preview_sees_every_step(host, tiny_flux, uniform):
    import comfy.sample

    seen = []
    (cached,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=uniform(20, 5)).outputs
    latent = tiny_flux.latent["samples"]
    with torch.inference_mode():
        comfy.sample.sample(
            cached, comfy.sample.prepare_noise(latent, 1), STEPS, 1.0, "euler", "simple",
            tiny_flux.positive, tiny_flux.negative, latent, seed=1,
            callback=lambda step, denoised, x, total: seen.append((step, total)),
        )  # fmt: skip

    assert seen == [(step, STEPS) for step in range(STEPS)]


# Beside other packs


def test_a_pack_that_samples_twice_in_one_run_gets_two_runs(
    host, tiny_flux, plain, sample, counted, uniform
):
    from comfy.patcher_extension import WrappersMP, get_wrappers_with_key

    seen = []

    def twice(executor: Any, *args: Any, **kwargs: Any) -> Any:
        for _ in range(2):
            result = executor(*args, **kwargs)
            options = executor.class_obj.model_options
            left = get_wrappers_with_key(WrappersMP.PREDICT_NOISE, "otcache", options, True)
            seen.append((result, len(left), calls.predictions))
        return result

    with counted(tiny_flux.model) as (model, calls):
        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "another pack", twice)
        (cached,) = host.run("OTCacheApply", model=model, schedule=uniform(STEPS, 6)).outputs
        plain(tiny_flux, model=cached)

    (first, *none), (second, *still_none) = seen
    assert none == [0, 6] and still_none == [0, 12]
    assert torch.equal(first, second)


def test_applying_twice_caches_once_by_the_later_schedule(
    host, tiny_flux, plain, sample, counted, uniform
):
    with counted(tiny_flux.model) as (model, calls):
        (once,) = host.run("OTCacheApply", model=model, schedule=uniform(20, 4)).outputs
        (twice,) = host.run("OTCacheApply", model=once, schedule=uniform(20, 9)).outputs
        samples = plain(tiny_flux, model=twice)
        assert calls.predictions == 9
        again, _ = sample(tiny_flux, uniform(STEPS, 5), model=twice)
        assert calls.predictions == 9 + 5

    assert torch.equal(samples, sample(tiny_flux, uniform(20, 9))[0])
    assert torch.equal(again, sample(tiny_flux, uniform(20, 5))[0])


def test_weight_patches_go_before_or_after(host, tiny_flux, plain, sample, uniform):
    schedule = uniform(STEPS, 6)
    key = "diffusion_model.img_in.weight"
    weight = tiny_flux.model.model_state_dict()[key]
    difference = torch.linspace(-0.2, 0.2, weight.numel()).reshape(weight.shape)

    def patch(model: Any) -> Any:
        clone = model.clone()
        assert clone.add_patches({key: ("diff", (difference,))}) == [key]
        return clone

    def apply(model: Any) -> Any:
        return host.run("OTCacheApply", model=model, schedule=schedule).outputs[0]

    before = plain(tiny_flux, model=apply(patch(tiny_flux.model)))
    after = plain(tiny_flux, model=patch(apply(tiny_flux.model)))
    without, _ = sample(tiny_flux, schedule)

    assert torch.equal(before, after)
    assert rms(before, without) > 1e-3


@pytest.mark.slow
def test_a_compiled_model_goes_before_or_after(host, tiny_flux, plain, sample, counted, uniform):
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    schedule = uniform(STEPS, 6)
    expected, _ = sample(tiny_flux, schedule)

    def compiled(model: Any) -> Any:
        clone = model.clone()
        set_torch_compile_wrapper(clone, backend="eager")
        return clone

    def apply(model: Any) -> Any:
        return host.run("OTCacheApply", model=model, schedule=schedule).outputs[0]

    with counted(tiny_flux.model) as (model, calls):
        for cached in (apply(compiled(model)), compiled(apply(model))):
            samples = plain(tiny_flux, model=cached)
            torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)
    assert calls.predictions == 2 * 6


@pytest.mark.parametrize("first", ["EasyCache", "OTCacheApply"])
def test_the_hosts_own_cache_on_the_same_model_does_no_harm(
    host, tiny_flux, plain, counted, uniform, first
):
    own = {"reuse_threshold": 0.2, "start_percent": 0.15, "end_percent": 0.95, "verbose": False}
    inputs = {"EasyCache": own, "OTCacheApply": {"schedule": uniform(STEPS, 10)}}
    second = next(name for name in inputs if name != first)
    with counted(tiny_flux.model) as (model, calls):
        for node_id in (first, second):
            (model,) = host.run(node_id, model=model, **inputs[node_id]).outputs
        for _ in range(2):
            calls.sigmas.clear()
            samples = plain(tiny_flux, model=model, cfg=2.0)
            assert samples.isfinite().all()
            assert calls.predictions == 10


# How good it is


def test_a_cached_run_is_closer_to_the_full_one_than_a_short_run(demo, plain, sample, uniform):
    cached, short = [], []
    for seed in range(3):
        full = plain(demo, steps=50, cfg=2.5, seed=seed)
        cached.append(rms(sample(demo, uniform(50, 15), steps=50, cfg=2.5, seed=seed)[0], full))
        short.append(rms(plain(demo, steps=15, cfg=2.5, seed=seed), full))

    assert sum(cached) < sum(short)
