"""No step waits for a GPU where the plain sampler does not: counted on a stand-in for one.

Which step an evaluation belongs to is told by the sampler's reports; what the model's answers were
like stays on the device until the run is over.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.instruments.stand_in_device import READ, TO_HOST
from benchmarks.instruments.waits import RunWaits
from benchmarks.pages.method import PAGE, table
from benchmarks.pages.tables import replace_table
from benchmarks.runs.stand_in_waits import waits_of_run

pytestmark = pytest.mark.host

STEPS, BUDGET = 12, 4
COMPUTED = (0, 4, 7, 11)
NOTHING: Counter[str] = Counter()

REPORTING = (
    "euler", "euler_ancestral", "ddim", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "lms", "deis",
    "ipndm", "ipndm_v", "res_multistep", "res_multistep_ancestral", "gradient_estimation", "er_sde",
    "lcm", "ddpm", "sa_solver", "uni_pc", "uni_pc_bh2",
)  # fmt: skip
"""Samplers that ask once a step, at its level, and report it done after that."""

BETWEEN = (
    "heun", "heunpp2", "exp_heun_2_x0", "exp_heun_2_x0_sde", "dpm_2", "dpm_2_ancestral", "dpm_fast",
    "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_sde_gpu", "seeds_2", "seeds_3", "sa_solver_pece",
)  # fmt: skip
"""Samplers that ask at other levels, too."""


class Runs:
    """Runs of one model on the device that is not there."""

    def __init__(self, host: Any, parts: Any, schedule: Any) -> None:
        self.parts, self.schedule = parts, schedule
        self._apply = host.module("nodes.sampling.host").apply_schedule
        self.done: list[Any] = []
        self.latent = torch.empty(0)

    def plain(self, sampler: str = "euler", **options: Any) -> RunWaits:
        waits, self.latent = waits_of_run(self.parts, sampler, STEPS, **options)
        return waits

    def cached(self, sampler: str = "euler", **options: Any) -> RunWaits:
        return self.plain(sampler, apply=self.apply, **options)

    def apply(self, model: Any) -> Any:
        return self._apply(model, self.schedule, self.done.append)


@pytest.fixture
def runs(host: Any, tiny_flux: Any, uniform: Any) -> Runs:
    return Runs(host, tiny_flux, uniform(STEPS, BUDGET))


# What is counted


@pytest.mark.parametrize("sampler", REPORTING)
def test_no_step_waits_more_than_the_plain_samplers(runs, sampler):
    plain, cached = runs.plain(sampler, cfg=2.0), runs.cached(sampler, cfg=2.0)

    assert [i for i, computed in enumerate(cached.computed) if computed] == list(COMPUTED)
    assert cached.added_to(plain) == [NOTHING] * STEPS
    assert cached.after - plain.after == {TO_HOST: 1}  # everything is read at once, at the end
    assert cached.before - plain.before == {READ: 1, TO_HOST: 1}  # the levels, and the highest


@pytest.mark.parametrize("sampler", BETWEEN)
def test_samplers_that_ask_between_levels_wait_for_the_level_alone(runs, sampler, needs_sampler):
    needs_sampler(sampler)
    cached, plain = runs.cached(sampler), runs.plain(sampler)

    assert cached.added_to(plain) == [{READ: 1}] * len(plain.evaluations)


@pytest.mark.parametrize("sampler", ["euler_cfg_pp", "dpmpp_2m_cfg_pp", "dpm_adaptive"])
def test_runs_that_compute_every_step_wait_as_the_plain_sampler(runs, sampler):
    plain, cached = runs.plain(sampler), runs.cached(sampler)

    assert cached.evaluations == plain.evaluations
    assert cached.after == plain.after


@pytest.mark.parametrize("family", ["tiny_eps", "tiny_v", "tiny_video"])
@pytest.mark.parametrize("estimator", ["slope", "meancache", "reuse"])
def test_no_step_waits_for_any_kind_of_model_or_estimator(
    request, host, uniform, family, estimator
):
    runs = Runs(host, request.getfixturevalue(family), uniform(STEPS, BUDGET, estimator))
    plain, cached = runs.plain(cfg=2.0), runs.cached(cfg=2.0)

    assert cached.computed.count(True) == BUDGET
    assert cached.added_to(plain) == [NOTHING] * STEPS


def test_a_full_budget_waits_and_samples_as_the_plain_sampler(host, tiny_flux, uniform):
    runs = Runs(host, tiny_flux, uniform(STEPS, STEPS))
    plain = runs.plain("dpmpp_2m", cfg=2.0)
    expected = runs.latent
    full = runs.cached("dpmpp_2m", cfg=2.0)

    assert (full.evaluations, full.after) == (plain.evaluations, plain.after)
    assert torch.equal(runs.latent, expected)


@pytest.mark.cpu
@pytest.mark.parametrize("sampler", ["euler", "uni_pc", "dpmpp_2m_sde", "heun"])
def test_what_is_sampled_is_what_the_cpu_samples(runs, tiny_flux, sample, sampler):
    expected, _ = sample(tiny_flux, runs.schedule, steps=STEPS, sampler_name=sampler)

    runs.cached(sampler)

    assert torch.equal(runs.latent, expected)


def test_the_page_shows_what_is_counted(host):
    text = PAGE.read_text(encoding="utf-8")

    assert text == replace_table(text, "waits", table(host)), (
        "run python -m benchmarks.pages.method"
    )


# What is known late


def test_the_time_of_computed_steps_is_the_devices(runs):
    runs.cached()

    (done,) = runs.done
    assert (done.computed, done.skipped, done.note) == (BUDGET, STEPS - BUDGET, "")
    assert len(done.computed_seconds) == BUDGET
    assert 0.0 < sum(done.computed_seconds) < done.seconds
    assert done.speedup > 1.0


@pytest.mark.parametrize(("forward", "step"), [(1, 0), (3, 7), (4, 11)])
def test_nan_on_a_gpu_is_told_at_the_end_of_the_run(runs, nan_at_forward, caplog, forward, step):
    nan_at_forward(runs.parts.model, forward)
    cached = runs.cached()

    assert runs.latent.isnan().all()
    assert cached.computed.count(True) == BUDGET  # nothing mends it: no call more than planned
    assert f"NaN or infinity at step {step}," in runs.done[0].note
    assert [r.levelname for r in caplog.records if "NaN" in r.getMessage()].count("WARNING") == 1


def test_a_failed_run_on_a_gpu_asks_it_nothing_more(runs, before_forward, caplog):
    def fail() -> None:
        raise ArithmeticError("the model failed")

    before_forward(runs.parts.model, 3, fail)
    with pytest.raises(ArithmeticError, match="the model failed"):
        runs.cached()

    assert runs.done == []


def _with_wrapper(model: Any, stage: str, wrapper: Any) -> Any:
    clone = model.clone()
    clone.add_wrapper_with_key(stage, "another pack", wrapper)
    return clone


def _other_levels(executor: Any, guider: Any, sigmas: torch.Tensor, *args: Any) -> Any:
    return executor(guider, sigmas**1.2, *args)


@pytest.mark.cpu
def test_levels_changed_inside_the_sampler_are_told(runs, tiny_flux, sample):
    model = _with_wrapper(tiny_flux.model, "sampler_sample", _other_levels)
    _, on_cpu = sample(tiny_flux, runs.schedule, model, steps=STEPS)
    runs.parts = replace(tiny_flux, model=model)
    runs.cached()

    (on_gpu,) = runs.done
    assert "Step 4 must run at noise level" in on_cpu["note"]
    assert "Step 4 must run at noise level" in on_gpu.note
    assert on_gpu.computed == BUDGET
    assert on_cpu["computed"] == 1 + STEPS - 4  # step 0, and every step from 4 on


# Which step it is


class _Level:
    """A noise level that counts how often it is read."""

    def __init__(self, sigma: float) -> None:
        self.sigma, self.reads = sigma, 0

    def reshape(self, *shape: int) -> list[float]:
        self.reads += 1
        return [self.sigma]


LEVELS = tuple(1.0 - i / 20 for i in range(21))


def _found(host: Any, order: list[int | str], *, reported: bool) -> tuple[list[int], list[int]]:
    """Asks for steps ("done" reports the last) and gives those found, and those that were read."""
    steps = host.module("nodes.sampling.steps").Steps(LEVELS, reported=reported)
    found, read = [], []
    last = -1
    for event in order:
        if isinstance(event, str):
            steps.done(last)
            continue
        last, level = event, _Level(LEVELS[event])
        step, sigma = steps.locate(level)
        assert sigma == LEVELS[step]
        found.append(step)
        if level.reads:
            read.append(event)
    return found, read


def _reported(steps: range) -> list[int | str]:
    return [event for step in steps for event in (step, "done")]


def test_reports_tell_the_steps_and_no_level_is_read(host):
    assert _found(host, _reported(range(20)), reported=True) == (list(range(20)), [])


def test_the_levels_of_an_unknown_sampler_are_read(host):
    every = list(range(20))
    assert _found(host, _reported(range(20)), reported=False) == (every, every)


@pytest.mark.parametrize(
    ("order", "read"),
    [
        ([0, 1, 2, 3], [1, 2, 3]),  # never reported
        ([*_reported(range(3)), 3, 3, "done", 4, "done"], [3, 4]),  # one step asked for twice
        ([*_reported(range(20)), *_reported(range(2))], [0, 1]),  # the run begins anew
    ],
)
def test_levels_are_read_where_reports_are_not_the_samplers_own(host, order, read):
    asked = [event for event in order if event != "done"]

    found, levels_read = _found(host, order, reported=True)

    assert found == asked
    assert levels_read == read


def test_steps_of_equal_levels_are_told_apart_by_reports(host):
    steps = host.module("nodes.sampling.steps").Steps((1.0, 0.5, 0.5, 0.0), reported=True)
    found = []
    for step, level in enumerate((1.0, 0.5, 0.5)):
        found.append(steps.locate(_Level(level))[0])
        steps.done(step)

    assert found == [0, 1, 2]


@pytest.mark.parametrize("others", ["drop the callback", "ask twice"])
def test_a_pack_that_hides_the_reports_costs_waits_but_no_step(
    runs, tiny_flux, counted, plain, others
):
    def deaf(executor: Any, *args: Any, **kwargs: Any) -> Any:
        return executor(*args[:5], None, *args[6:], **kwargs)

    def twice(executor: Any, *args: Any, **kwargs: Any) -> Any:
        executor(*args, **kwargs)
        return executor(*args, **kwargs)

    with counted(tiny_flux.model) as (model, calls):
        expected = plain(tiny_flux, model=runs.apply(model), steps=STEPS)
        asked = calls.predictions
        if others == "ask twice":  # around the guided prediction
            model = runs.apply(_with_wrapper(model, "predict_noise", twice))
        else:  # inside our wrapper
            model = _with_wrapper(runs.apply(model), "outer_sample", deaf)
        samples = plain(tiny_flux, model=model, steps=STEPS)

    assert torch.equal(samples, expected)
    assert runs.done[-1].computed == runs.done[0].computed == asked == BUDGET
    assert calls.predictions - asked == BUDGET * (2 if others == "ask twice" else 1)


def test_the_callback_hears_every_step_after_us(host, runs, tiny_flux):
    import comfy.sample

    heard: list[tuple[int, int]] = []
    latent = tiny_flux.latent["samples"]
    with torch.inference_mode():
        comfy.sample.sample(
            runs.apply(tiny_flux.model), comfy.sample.prepare_noise(latent, 1), STEPS, 1.0,
            "euler", "simple", tiny_flux.positive, tiny_flux.negative, latent, seed=1,
            callback=lambda step, denoised, x, total: heard.append((step, total)),
        )  # fmt: skip

    assert heard == [(step, STEPS) for step in range(STEPS)]


# Which samplers report


def test_only_the_hosts_own_samplers_are_believed(host):
    import comfy.samplers

    rules = host.module("nodes.sampling.sampler_rules")
    names = comfy.samplers.KSampler.SAMPLERS
    known = {n for n in names if rules.asks_once_a_step(comfy.samplers.sampler_object(n))}
    assert known == set(REPORTING)
    others = {"dpm_adaptive"} | {n for n in names if "cfg_pp" in n}
    assert set(names) <= {*REPORTING, *BETWEEN, *others}
    assert not rules.asks_once_a_step(comfy.samplers.ksampler("euler", {"s_churn": 1.0}))

    def sample_euler(*args: Any) -> None: ...

    assert not rules.asks_once_a_step(comfy.samplers.KSAMPLER(sample_euler))


@pytest.mark.parametrize("family", ["tiny_flux", "tiny_eps"])
@pytest.mark.parametrize("sampler", REPORTING)
def test_a_step_is_asked_for_once_at_its_level_after_the_last_was_reported(
    request, family, sampler
):
    import comfy.sample
    import comfy.samplers

    parts = request.getfixturevalue(family)
    asked: list[float] = []
    reported: list[int] = []

    def ask(executor: Any, x: Any, timestep: Any, *args: Any, **kwargs: Any) -> Any:
        assert reported == list(range(len(asked)))
        asked.append(float(timestep[0]))
        return executor(x, timestep, *args, **kwargs)

    model = _with_wrapper(parts.model, "predict_noise", ask)
    device, latent = parts.model.load_device, parts.latent["samples"]
    levels = comfy.samplers.KSampler(parts.model, 8, device, sampler, "simple").sigmas
    with torch.inference_mode():
        comfy.sample.sample(
            model, comfy.sample.prepare_noise(latent, 1), 8, 1.0, sampler, "simple",
            parts.positive, parts.negative, latent, seed=1,
            callback=lambda step, *shown: reported.append(step),
        )  # fmt: skip

    assert asked == pytest.approx(levels[:-1].tolist(), rel=1e-4)


def test_levels_that_differ_by_rounding_are_the_same(host):
    # Some samplers begin a hair below the highest level, and half precision rounds.
    evaluations = host.module("nodes.sampling.evaluations")

    def wrong(level: float) -> str:
        numbers = torch.tensor(1.0), torch.tensor(level)
        ((_, found),) = evaluations.read([evaluations.Evaluation(4, 0.8, 0.0, 0.1, *numbers)])
        return found

    assert [wrong(level) for level in (0.8, 0.8 * 0.9999, 0.8 * 1.004)] == [""] * 3
    assert "Step 4 must run at noise level 0.8 but ran at 0.78" in wrong(0.78)
