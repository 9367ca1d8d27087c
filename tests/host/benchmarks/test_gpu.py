"""The GPU benchmark on small models of the same classes, which any machine runs."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.instruments import record as records
from benchmarks.instruments.waits import RunWaits, summary
from benchmarks.models.full_size import MODELS
from benchmarks.runs.full_size import SHORT_COMPUTED, SHORT_STEPS
from benchmarks.runs.traced_waits import FORWARD, PREDICTION, SAMPLER, read_trace

pytestmark = pytest.mark.host

PUBLISHED_PARAMETERS = {"flux": 11.90e9, "qwen": 20.43e9, "hunyuan": 12.82e9}


@pytest.mark.parametrize("key", MODELS)
def test_a_full_size_model_has_as_many_weights_as_the_published_one(host, key):
    model = MODELS[key].on("meta", torch.bfloat16)

    weights = sum(weight.numel() for weight in model.diffusion_model.parameters())
    assert weights == pytest.approx(PUBLISHED_PARAMETERS[key], rel=1e-3)
    assert {weight.dtype for weight in model.diffusion_model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("key", MODELS)
def test_every_part_runs_on_a_small_model(host, key, capsys):
    saved: dict[str, Any] = {}
    small = replace(MODELS[key].shrunk(), repeats=1)

    gpu.measure(host, small, torch.float32, saved, lambda: None)
    gpu.show(saved)

    budgets = [f"budget {b}" for b in gpu.BUDGETS]
    last = ["calibration"] if small.calibrates else []
    middle = ["steps", "easycache", "one node", "waits", "memory", "decode"]
    assert list(saved) == ["about", "plain", *budgets, *middle, *last, "table"]
    assert [saved[name]["computed"] for name in budgets] == list(gpu.BUDGETS)
    assert saved["waits"]["computed_steps"] == len(SHORT_COMPUTED)
    assert len(saved["waits"]["plain_evaluations"]) == SHORT_STEPS
    assert saved["waits"]["skipped"] == (0, 0)  # euler's reports tell the steps
    assert 1 < saved["easycache"]["computed"] < 50
    node = saved["one node"]
    assert node["first_computed"] == node["computed"] == 16 and node["grid"] > node["steps"] == 20
    if small.calibrates:
        calibration = saved["calibration"]
        assert 135 < calibration["model_calls"] < 165  # one prompt
        assert 0.0 < calibration["model_seconds"] < calibration["seconds"]
    assert saved["memory"]["held"] >= small.latent_bytes
    assert saved["decode"]["shape"][-1] == 3
    assert f"{small.name} at {small.resolution}" in capsys.readouterr().out


def test_a_run_that_was_cut_short_goes_on(host, monkeypatch):
    measured: list[str] = []
    parts = {
        name: (lambda *args, name=name: measured.append(name) or {"seconds": 1.0})
        for name in (
            "plain", "cached", "steps", "easycache", "one_node", "waits", "memory", "decode",
            "calibration",
        )
    }  # fmt: skip
    monkeypatch.setattr(gpu, "FullRuns", lambda *args: SimpleNamespace(cached=parts["cached"]))
    for name, work in parts.items():
        monkeypatch.setattr(gpu.FullRuns, name, work, raising=False)
    saved: dict[str, Any] = {}
    gpu.measure(host, MODELS["flux"], torch.float32, saved, lambda: None)
    everything = list(measured)
    del saved["budget 12"], saved["decode"]
    measured.clear()

    gpu.measure(host, MODELS["flux"], torch.float32, saved, lambda: None)
    assert measured == ["cached", "decode"]

    saved["about"]["device"] = "another"
    measured.clear()
    gpu.measure(host, MODELS["flux"], torch.float32, saved, lambda: None)
    assert measured == everything


def test_without_a_gpu_nothing_is_recorded(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(records, "RECORDS", tmp_path)

    gpu.main(["--model", "flux"])

    assert capsys.readouterr().out == gpu.NO_GPU + "\n"
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_written_part_by_part(monkeypatch, tmp_path):
    monkeypatch.setattr(records, "RECORDS", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu, "start_host", lambda *args, **kwargs: None)
    monkeypatch.setattr(gpu, "show", lambda saved: None)

    def measure(host: Any, full: Any, dtype: Any, saved: dict[str, Any], save: Any) -> None:
        assert dtype == torch.bfloat16
        saved[full.name] = saved.get(full.name, 0) + 1
        save()

    monkeypatch.setattr(gpu, "measure", measure)
    gpu.main(["--model", "qwen"])
    gpu.main(["--model", "qwen", "--model", "flux"])

    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert written["results"] == {"qwen": {"Qwen-Image": 2}, "flux": {"FLUX.1 dev": 1}}


def test_speedups_are_of_the_seconds_measured():
    saved = {"plain": {"seconds": 50.0}, "decode": {"seconds": 10.0}}
    saved |= {f"budget {b}": {"seconds": b + 0.4} for b in gpu.BUDGETS}

    row = gpu.table(MODELS["flux"], saved)[-1]

    assert row["budget"] == 10
    assert row["speedup"] == pytest.approx(50 / 10.4, abs=1e-4)
    assert row["share_of_ideal"] == pytest.approx(10 / 10.4, abs=1e-4)
    assert row["added_ms"] == pytest.approx(10.0)  # 0.4 s over 40 skipped steps
    assert row["whole_speedup"] == pytest.approx(60 / 20.4, abs=1e-4)


def _event(name: str, start: float, end: float) -> Any:
    cpu = torch.autograd.DeviceType.CPU
    return SimpleNamespace(
        name=name, device_type=cpu, time_range=SimpleNamespace(start=start, end=end)
    )


def test_waits_are_told_apart_by_where_they_are():
    wait, read = "cudaStreamSynchronize", "aten::_local_scalar_dense"
    events = [
        _event(wait, 0, 0.5),
        _event(SAMPLER, 1, 50),
        _event(PREDICTION, 2, 10), _event(FORWARD, 4, 8),
        _event(read, 2.5, 3.5), _event(wait, 3, 3.4),  # a number is read, and with it one wait
        _event(wait, 5, 6),  # the model's own
        _event(wait, 9, 9.5),
        _event(wait, 12, 13),  # the sampler's, after the prediction
        _event(PREDICTION, 20, 30),  # skipped
        _event(read, 31, 32),
        _event(wait, 51, 52),
    ]  # fmt: skip

    found = read_trace(events[::-1])

    assert found.computed == (True, False)
    assert found.evaluations == ({read: 1, wait: 2}, {read: 1})
    assert (found.before, found.after) == ({wait: 1}, {wait: 1})


def test_what_is_added_is_told_by_kind_of_step():
    plain = RunWaits.of(["a", "b", "b"], [0, 1, 2, 3], [True, True, True])
    cached = RunWaits.of(["x", "a", "c", "b", "y"], [1, 3, 4, 4], [True, False, False])

    assert cached.added_to(plain) == [{"c": 1}, {}, {"b": -1}]
    assert summary(plain, cached) == {
        "plain": (1, 1), "computed": (1, 1), "skipped": (-1, 0), "before": 1, "after": 1,
    }  # fmt: skip
