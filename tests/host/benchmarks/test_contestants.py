"""The contestants that are not ours, sampled through the host on the bundled model."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.contestants import contestant as configured
from benchmarks.contestants import host_caches, tuning
from benchmarks.contestants.contestant import Configured
from benchmarks.contestants.forecasters import CONTESTANTS as FORECASTERS
from benchmarks.contestants.grids import CONTESTANTS as GRIDS
from benchmarks.contestants.lemica import _measure_end
from benchmarks.contestants.linear import by_forecast, slope
from benchmarks.instruments.counting import counted
from benchmarks.models import demo
from benchmarks.models.ground_model import GroundModel
from benchmarks.models.sampled import STEPS, SampledModel

PROMPTS = [0, 1]


@dataclass
class SmallBench:
    """What contestants are made from, on two prompts."""

    host: Any
    seen: SampledModel
    trajectories: list[Any]
    sigmas: tuple[float, ...]
    work: Path

    @property
    def model(self) -> Any:
        return self.seen.model

    @property
    def ground(self) -> GroundModel:
        return self.seen.ground

    def our_steps(self, calls: int) -> tuple[int, ...]:
        return tuple(round(i * (STEPS - 1) / (calls - 1)) for i in range(calls))


@pytest.fixture(scope="module")
def bench(host, tmp_path_factory):
    seen = SampledModel(host, demo.build(host), demo.prompts("calibration")[: len(PROMPTS)])
    work = tmp_path_factory.mktemp("work")
    return SmallBench(host, seen, seen.full_runs(), seen.sigmas(), work)


@pytest.fixture(scope="module")
def full(bench):
    return bench.seen.sample(PROMPTS)


def _rms(samples, reference):
    return float((samples - reference).square().mean().sqrt())


def test_own_noise_levels_are_sampled(bench, full):
    assert torch.equal(bench.seen.sample(PROMPTS, sigmas=bench.sigmas), full)
    few = Configured(bench.model, sigmas=(*bench.sigmas[::10][:5], 0.0))
    samples, calls = configured.sample(bench.seen, few, PROMPTS)
    assert calls == [5, 5] and 0 < _rms(samples, full) < 0.5


def test_a_run_goes_on_from_its_middle(bench):
    runs = bench.trajectories
    states = torch.stack([torch.from_numpy(run.x[30]).view(3, 64, 64) for run in runs])
    last = bench.seen.resume(PROMPTS, states, bench.sigmas[30:])
    expected = torch.stack([torch.from_numpy(run.x[-1]).view(3, 64, 64) for run in runs])
    assert torch.allclose(last, expected, atol=1e-4)


def test_a_longer_cached_segment_leads_further_from_the_full_run(bench):
    costs = _measure_end(bench, 40)
    assert sorted(costs) == [(26, 40), (32, 40), (35, 40), (37, 40), (38, 40)]
    assert list(costs.values()) == sorted(costs.values()) and min(costs.values()) > 0


def test_the_slope_as_weights_is_the_packs_own(bench):
    steps = bench.our_steps(12)
    schedule = bench.host.core("documents.schedule").Schedule(STEPS, steps, "slope")
    own = bench.host.module("nodes.sampling.host").apply_schedule(bench.model, schedule, quiet=True)
    mine = by_forecast(bench, steps, slope(bench.sigmas))
    samples, calls = configured.sample(bench.seen, mine, PROMPTS)
    assert calls == [12, 12]
    assert torch.allclose(samples, bench.seen.sample(PROMPTS, own), atol=1e-4)


@pytest.mark.parametrize("name", FORECASTERS)
def test_forecasters_make_the_asked_calls_and_leave_nothing_behind(bench, full, name):
    before = dict(bench.model.model_options["transformer_options"])
    samples, calls = configured.sample(bench.seen, FORECASTERS[name](bench, 20), PROMPTS)
    assert calls == [20, 20]
    assert 0 < _rms(samples, full) < 0.1
    assert bench.model.model_options["transformer_options"] == before


def test_grids_of_another_kind_of_model_are_refused_with_the_reason(bench, caplog):
    with caplog.at_level(logging.WARNING, "otcache"):
        made = {name: contestant(bench, 8) for name, contestant in GRIDS.items()}
    kept = [how for how in made.values() if how is not None]
    assert [len(how.sigmas) for how in kept] == [9] and kept[0].sigmas[0] <= 1.0
    assert caplog.text.count("begin at 14.61 and are made for another kind of model") == 2


def test_work_that_a_cache_inside_the_forward_skips_is_not_counted(bench, full):
    host_caches.ensure_extra("EasyCache", "nodes_easycache")
    settings = {"start_percent": 0.15, "end_percent": 0.95, "verbose": False}
    model = host_caches.with_copied_input(bench.model)
    (cached,) = bench.host.run("EasyCache", model=model, reuse_threshold=0.2, **settings).outputs
    with counted(cached) as (watched, calls):
        samples = bench.seen.sample([0], watched)
    assert calls.predictions == calls.forwards == STEPS
    assert 8 < calls.worked < 40
    # Without the copy, EasyCache writes into the state that the sampler goes on with.
    (bare,) = bench.host.run(
        "EasyCache", model=bench.model, reuse_threshold=0.2, **settings
    ).outputs
    assert _rms(samples, full[:1]) < _rms(bench.seen.sample([0], bare), full[:1])


def test_a_host_cache_is_tuned_once_and_says_how(bench, monkeypatch):
    monkeypatch.setattr(tuning, "TRIES", 4)
    monkeypatch.setattr(tuning, "PROMPTS", 1)
    contestant = host_caches.CONTESTANTS["LazyCache (the host's)"]
    made = contestant(bench, 25)
    assert made.batch == 1 and "start_percent 0.15" in made.note
    monkeypatch.setattr(tuning, "bisect", None)  # what is kept is not searched for again
    assert contestant(bench, 25).note == made.note
