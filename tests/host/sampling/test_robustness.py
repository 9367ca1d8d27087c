"""When things go wrong in a run, or a run comes a thousand times: right result or clear error."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

STEPS, BUDGET = 20, 6


def _caches(host: Any) -> int:
    gc.collect()
    cache = host.core("run_time.velocity").VelocityCache
    return sum(type(thing) is cache for thing in gc.get_objects())


def _apply(host: Any, model: Any, schedule: Any) -> Any:
    return host.run("OTCacheApply", model=model, schedule=schedule).outputs[0]


def _sample_by(host: Any, parts: Any, function: Callable[..., Any], schedule: Any) -> torch.Tensor:
    """Samples with a sampler function of one's own."""
    import comfy.sample
    import comfy.samplers

    latent = parts.latent["samples"]
    device = parts.model.load_device
    sigmas = comfy.samplers.KSampler(parts.model, STEPS, device, "euler", "simple").sigmas
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            _apply(host, parts.model, schedule), comfy.sample.prepare_noise(latent, 1), 1.0,
            comfy.samplers.KSAMPLER(function), sigmas, parts.positive, parts.negative, latent,
            seed=1,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_runs_leave_nothing(host, tiny_flux, plain, uniform, state_of):
    clone = tiny_flux.model.clone()
    cached = _apply(host, tiny_flux.model, uniform(12, 3))
    before = state_of(cached), state_of(tiny_flux.model)
    # The host itself keeps a few objects for each run of a clone.
    hosts_own = _growth(lambda: plain(tiny_flux, model=clone, steps=12), 50)
    first = plain(tiny_flux, model=cached, steps=12)
    last = first
    gc.collect()
    tensors = _tensors()

    def run() -> None:
        nonlocal last
        last = plain(tiny_flux, model=cached, steps=12)

    objects = _growth(run, 1000)

    assert torch.equal(first, last)
    assert (state_of(cached), state_of(tiny_flux.model)) == before
    assert _caches(host) == 0
    assert _tensors() <= tensors + 1  # one more than before: `last`
    assert objects <= hosts_own * 1000 / 50 + 50  # less than one in twenty runs is ours


def _growth(run: Callable[[], Any], times: int) -> int:
    """How many objects are left after some runs beyond those after a first few."""
    for _ in range(5):
        run()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(times):
        run()
    gc.collect()
    return len(gc.get_objects()) - before


def _tensors() -> int:
    gc.collect()
    return sum(type(thing) is torch.Tensor for thing in gc.get_objects())


@pytest.mark.parametrize("step", range(STEPS))
def test_an_interrupt_at_any_step(host, tiny_flux, plain, uniform, state_of, step):
    import comfy.model_management as management

    schedule = uniform(STEPS, BUDGET)
    cached = _apply(host, tiny_flux.model, schedule)
    before = state_of(cached)

    def cancel(done: int, denoised: Any, x: Any, total: int) -> None:
        if done == step:
            raise management.InterruptProcessingException

    import comfy.sample

    latent = tiny_flux.latent["samples"]
    with pytest.raises(management.InterruptProcessingException), torch.inference_mode():
        comfy.sample.sample(
            cached, comfy.sample.prepare_noise(latent, 1), STEPS, 1.0, "euler", "simple",
            tiny_flux.positive, tiny_flux.negative, latent, seed=1, callback=cancel,
        )  # fmt: skip

    assert _caches(host) == 0
    assert state_of(cached) == before
    fresh = _apply(host, tiny_flux.model, schedule)
    assert torch.equal(plain(tiny_flux, model=cached), plain(tiny_flux, model=fresh))


@pytest.mark.parametrize(
    "kind", ["OUTER_SAMPLE", "PREDICT_NOISE", "CALC_COND_BATCH", "APPLY_MODEL"]
)
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_an_error_in_a_wrapper_of_another_pack(
    host, tiny_flux, plain, sample, uniform, state_of, kind, first
):
    from comfy.patcher_extension import WrappersMP

    broken, calls = True, 0

    def wrapper(executor: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        result = executor(*args, **kwargs)
        if broken and (calls == 3 or kind == "OUTER_SAMPLE"):
            raise ArithmeticError("another pack failed")
        return result

    def add(model: Any) -> Any:
        clone = model.clone()
        clone.add_wrapper_with_key(WrappersMP.__dict__[kind], "another pack", wrapper)
        return clone

    schedule = uniform(STEPS, BUDGET)
    if first == "theirs":
        model = _apply(host, add(tiny_flux.model), schedule)
    else:
        model = add(_apply(host, tiny_flux.model, schedule))
    before = state_of(model)
    with pytest.raises(ArithmeticError, match="another pack failed"):
        plain(tiny_flux, model=model)

    assert _caches(host) == 0
    assert state_of(model) == before
    broken = False
    assert torch.equal(plain(tiny_flux, model=model), sample(tiny_flux, schedule)[0])


def test_out_of_memory_in_a_computed_step_is_passed_on(
    host, before_forward, tiny_flux, plain, uniform
):
    # The host's answer to it is to free models and fail the prompt; the next run is whole.
    import comfy.model_management as management

    schedule = uniform(STEPS, BUDGET)
    cached = _apply(host, tiny_flux.model, schedule)
    expected = plain(tiny_flux, model=cached)

    def run_out() -> None:
        raise management.OOM_EXCEPTION("out of memory")

    before_forward(tiny_flux.model, 3, run_out)
    with pytest.raises(management.OOM_EXCEPTION, match="out of memory"):
        plain(tiny_flux, model=cached)

    assert _caches(host) == 0
    management.unload_all_models()
    assert torch.equal(plain(tiny_flux, model=cached), expected)


def test_a_model_unloaded_between_runs(host, tiny_flux, plain, uniform):
    import comfy.model_management as management

    cached = _apply(host, tiny_flux.model, uniform(STEPS, BUDGET))
    expected = plain(tiny_flux, model=cached)
    management.unload_all_models()
    management.soft_empty_cache()

    assert torch.equal(plain(tiny_flux, model=cached), expected)


@pytest.mark.cpu
@pytest.mark.parametrize("infinite", [float("inf"), float("-inf"), float("nan")])
def test_infinity_from_the_model_is_not_hidden(tiny_flux, sample, uniform, infinite):
    def spoil(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        return output.index_fill(-1, torch.tensor([0], device=output.device), infinite)

    hook = tiny_flux.model.model.diffusion_model.register_forward_hook(spoil)
    try:
        samples, done = sample(tiny_flux, uniform(STEPS, BUDGET))
    finally:
        hook.remove()

    assert not samples.isfinite().all()
    assert "NaN or infinity at step 0" in done["note"]
    assert done["skipped"] == 0


@pytest.mark.parametrize("at", [7, 13])
def test_a_dtype_that_changes_in_a_run_is_computed_there(host, tiny_flux, counted, uniform, at):
    def euler_that_widens(model: Any, x: Any, sigmas: Any, extra_args: Any, **rest: Any) -> Any:
        for i in range(len(sigmas) - 1):
            x = x.double() if i == at else x
            denoised = model(x, sigmas[i] * x.new_ones(len(x)), **extra_args)
            assert denoised.dtype in (x.dtype, torch.float32)
            x = x + (x - denoised) / sigmas[i] * (sigmas[i + 1] - sigmas[i])
        return x.float()

    with counted(tiny_flux.model) as (model, calls):
        parts = replace(tiny_flux, model=model)
        samples = _sample_by(host, parts, euler_that_widens, uniform(STEPS, BUDGET))

    assert samples.isfinite().all()
    assert calls.predictions == BUDGET + 1  # that step, too


def test_a_sampler_that_skips_and_repeats_steps_is_followed_by_its_levels(
    host, tiny_flux, counted, uniform
):
    def restless(model: Any, x: Any, sigmas: Any, extra_args: Any, **rest: Any) -> Any:
        for i in (0, 0, 1, 4, 4, 8, 10, 11, 15, 19, 19):
            denoised = model(x, sigmas[i] * x.new_ones(len(x)), **extra_args)
            x = x + (x - denoised) * 0.1
        return x

    restless.__name__, restless.__module__ = "sample_euler", "another.pack"
    with counted(tiny_flux.model) as (model, calls):
        parts = replace(tiny_flux, model=model)
        _sample_by(host, parts, restless, uniform(STEPS, BUDGET))

    computed = uniform(STEPS, BUDGET).computed_steps  # 0, 4, 8, 11, 15, 19
    assert calls.predictions == sum(
        (0, 0, 1, 4, 4, 8, 10, 11, 15, 19, 19).count(i) for i in computed
    )


def _asking_twice(rounding: float) -> Callable[..., Any]:
    """Heun's method, with a level of its own for the second time it asks in a step."""

    def sample_twice(model: Any, x: Any, sigmas: Any, extra_args: Any, **rest: Any) -> Any:
        for sigma, end in zip(sigmas, sigmas[1:], strict=False):
            velocity = (x - model(x, sigma * x.new_ones(len(x)), **extra_args)) / sigma
            ahead = x + velocity * (end - sigma)
            if end == 0:
                return ahead
            again = model(ahead, end * (1.0 + rounding) * x.new_ones(len(x)), **extra_args)
            x = x + (velocity + (ahead - again) / end) / 2 * (end - sigma)
        return x

    # Taken for the host's own: no slope is followed with samplers that nobody has measured.
    sample_twice.__name__, sample_twice.__module__ = "sample_heun", "comfy.k_diffusion.sampling"
    return sample_twice


@pytest.mark.parametrize("estimator", ["slope", "adaptive"])
def test_a_level_that_rounding_has_moved_is_no_other_level(host, tiny_flux, uniform, estimator):
    # Else a slope would be of two velocities at all but the same level.
    schedule = uniform(STEPS, BUDGET, estimator)
    exact, moved = (
        _sample_by(host, tiny_flux, _asking_twice(rounding), schedule) for rounding in (0.0, -3e-7)
    )

    torch.testing.assert_close(moved, exact, rtol=1e-3, atol=1e-4)
