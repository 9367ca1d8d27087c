"""Calibration inside a workflow: from prompts to a saved anchor, and what cuts it short."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

STEPS = 12


@pytest.fixture
def folder(host: Any) -> Iterator[Path]:
    """ComfyUI's own anchor folder, empty; no calibration was made before."""
    path = host.base / "models" / "otcache"

    def empty() -> None:
        shutil.rmtree(path)
        path.mkdir()
        shutil.rmtree(host.base / "user" / "otcache", ignore_errors=True)

    empty()
    yield path
    empty()


@dataclass(frozen=True)
class Subject:
    """What is calibrated: a model, and conditionings as CLIP Text Encode hands them on."""

    model: Any
    latent: dict[str, Any]
    positive: list[Any]
    negative: list[Any]


@pytest.fixture(scope="module")
def subject(tiny_flux: Any) -> Subject:
    """A model of random weights, on pictures just large enough for LPIPS; two prompts."""
    latent = {"samples": torch.zeros(1, 3, 32, 32)}
    positive = [tiny_flux.positive, tiny_flux.negative]
    return Subject(tiny_flux.model, latent, positive, [tiny_flux.negative])


@pytest.fixture(scope="module")
def demo_subject(host: Any, demo: Any) -> Subject:
    """The bundled model with two prompts that it knows."""
    clip = host.run("OTCacheDemoModel", batch_size=1).outputs[1]
    texts = ("a big red house at night", "a small green tree by day")
    positive = [host.run("CLIPTextEncode", clip=clip, text=text).outputs[0] for text in texts]
    return Subject(demo.model, demo.latent, positive, [demo.negative])


@pytest.fixture
def calibrate(host: Any, subject: Subject, demo_vae: Any, folder: Path) -> Callable[..., Any]:
    """`calibrate(subject, **changes)`: the node on small numbers."""

    def run(subject: Subject = subject, **changes: Any) -> Any:
        inputs = {
            "model": subject.model, "vae": demo_vae, "latent_image": subject.latent, "cfg": 2.5,
            "name": "mine", "steps": STEPS, "sampler_name": "euler", "scheduler": "simple",
            "reference_budget": 8, "anchor_budget": 4, "trials": 6, "patience": 3, "seed": 5,
            "estimator": "slope", "size": "custom", "search": "cma-es", "middle_budget": 0,
            "minutes": 0, "memo": "host memory",
        }  # fmt: skip
        # The host hands a node of lists every input as one.
        lists = {name: [value] for name, value in (inputs | changes).items()}
        conds = {"positive": subject.positive, "negative": subject.negative}
        return host.run("OTCacheCalibrateAnchor", **conds, **lists)

    return run


class Decoder:
    """A VAE some of whose pictures, counted from 1, are broken."""

    def __init__(self, vae: Any, broken: set[int]) -> None:
        self._vae, self._broken, self._count = vae, broken, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        self._count += 1
        picture = self._vae.decode(samples)
        return picture * torch.nan if self._count in self._broken else picture


# Calibration Prompts


@pytest.mark.parametrize(
    ("text", "limit", "prompts"),
    [
        ("a house\na tree", 50, ["a house", "a tree"]),
        ("  a house  \n\n\r\n# not this one\n\ta tree\n", 50, ["a house", "a tree"]),
        ("a\nb\nc", 2, ["a", "b"]),
        ("#a\nb\nc", 1, ["b"]),  # what is left out does not count
        ("one # sign inside", 50, ["one # sign inside"]),
    ],
)
def test_prompts_are_lines(host, text, limit, prompts):
    result = host.run("OTCacheCalibrationPrompts", text=text, limit=limit)

    assert result.outputs == (prompts, len(prompts))


@pytest.mark.parametrize("text", ["", "  \n\t\n", "# a comment only"])
def test_no_prompt_at_all_is_an_error(host, text):
    with pytest.raises(host.core("errors").OTCacheError, match="at least 1 prompt"):
        host.run("OTCacheCalibrationPrompts", text=text, limit=50)


def test_the_prompts_are_a_list_to_the_host(host):
    assert host.node("OTCacheCalibrationPrompts").OUTPUT_IS_LIST == [True, False]
    assert host.node("OTCacheCalibrateAnchor").INPUT_IS_LIST is True


# Calibrate OT Anchor


def test_from_prompts_to_a_saved_anchor(
    host, calibrate, folder, demo_subject, counted, monkeypatch
):
    shown = []
    bar = host.module("nodes.calibration.display").comfy.utils.ProgressBar
    monkeypatch.setattr(bar, "update_absolute", lambda this, *values: shown.append(values))
    with counted(demo_subject.model) as (model, calls):
        result = calibrate(demo_subject, model=model)
    anchor, picture, text = result.outputs

    # The anchor: two schedules of the asked sizes, and what they were made for.
    assert (anchor.steps, anchor.anchor.budget, anchor.reference.budget) == (STEPS, 4, 8)
    assert anchor.anchor.computed_steps[0] == 0
    assert anchor.anchor.computed_steps[-1] == STEPS - 1
    made = anchor.sampling
    assert (made.sampler, made.scheduler, made.cfg) == ("euler", "simple", 2.5)
    assert (made.width, made.height, made.frames, made.guidance) == (64, 64, 1, None)
    assert len(made.sigmas) == STEPS + 1 and made.sigmas[-1] == 0.0
    assert (anchor.name, anchor.architecture, anchor.estimator) == ("mine", "Flux", "slope")
    assert anchor.objective.metric == "lpips-alex"
    assert 0.0 < anchor.objective.best <= anchor.objective.warm_start
    fingerprint = host.module("nodes.library.weights").weights_fingerprint
    assert anchor.weights == fingerprint(demo_subject.model)
    assert anchor.rho is not None
    assert "Calibrate OT Anchor" in anchor.provenance
    assert {"otcache", "torch", "optuna", "comfyui"} == set(anchor.versions)

    # Its cost: what the model was really asked; less than every candidate on every prompt.
    assert (anchor.calibration.prompts, anchor.calibration.seed) == (2, 5)
    assert 1 <= anchor.calibration.trials <= 6
    assert anchor.calibration.model_calls == calls.predictions
    assert calls.rows == 2 * calls.predictions  # positive and negative
    report = json.loads(text)
    assert report["model_calls"] == calls.predictions
    assert report["model_calls_saved"] > 0
    assert report["paper_model_calls"] == 200 * 4 * 2
    assert report["anchor"] == json.loads(anchor.to_json())
    assert [point.budget for point in anchor.fidelity] == [4, 6, 7, 8, 10]
    assert all(point.mean > 0.0 for point in anchor.fidelity)

    # The file, the picture, the words, the bar.
    (path,) = folder.iterdir()
    assert path.name == "mine.otanchor.json"
    assert host.run("OTCacheLoadAnchor", anchor_name=path.name).outputs == (anchor,)
    assert picture.ndim == 4 and picture.shape[-1] == 3 and picture.std() > 0.05
    assert "saved as mine.otanchor.json" in result.ui["text"][0]
    assert f"{calls.predictions} model calls" in result.ui["text"][0]
    assert result.ui["otcache"] == [{"saved": "mine.otanchor.json"}]
    done = [values[0] for values in shown]
    assert done == sorted(done) and done[-1] == 1000
    assert any(values[2] is not None for values in shown)  # a preview


@pytest.mark.parametrize("negatives", [1, 2])
def test_every_run_of_a_prompt_has_its_own_noise_and_conditionings(
    calibrate, subject, monkeypatch, negatives
):
    import comfy.sample

    runs, sample = set(), comfy.sample.sample

    def watch(model: Any, noise: Any, *rest: Any, **named: Any) -> Any:
        positive, negative = rest[4:6]  # after steps, cfg, sampler, scheduler
        runs.add((id(positive), id(negative), named["seed"], float(noise.sum())))
        return sample(model, noise, *rest, **named)

    monkeypatch.setattr(comfy.sample, "sample", watch)
    two = replace(subject, negative=[subject.negative[0], subject.positive[0]][:negatives])
    calibrate(two, trials=2)

    # Full runs, candidates and rho alike: two prompts, so two kinds of runs.
    expected = {(id(two.positive[i]), id(two.negative[i % negatives]), 5 + i) for i in range(2)}
    assert {run[:3] for run in runs} == expected
    assert len(runs) == len({noise for *_, noise in runs}) == 2


def test_the_saved_anchor_is_good_for_sampling(host, calibrate, tiny_flux, sample, counted):
    anchor = calibrate(trials=2).outputs[0]
    schedule = host.run(
        "OTCachePredictSchedule", anchor=anchor, budget=6, rho=1.3, anchor_rho=True, steps=STEPS
    ).outputs[0]
    with counted(tiny_flux.model) as (model, calls):
        samples, _ = sample(tiny_flux, schedule, model, steps=STEPS, cfg=2.5)

    assert calls.predictions == 6
    assert samples.isfinite().all()


def test_the_same_seed_gives_the_same_anchor(calibrate):
    first, second = (calibrate(trials=4).outputs[0] for _ in range(2))

    assert first == second


@pytest.mark.parametrize("estimator", ["meancache", "reuse"])
def test_other_estimators(calibrate, estimator):
    anchor = calibrate(estimator=estimator, trials=2).outputs[0]

    assert anchor.estimator == estimator
    assert (anchor.look_back_table is not None) == (estimator == "meancache")


def test_one_prompt_and_a_batch_of_latents(calibrate, subject):
    one = replace(
        subject,
        latent={"samples": torch.zeros(3, 3, 32, 32)},
        positive=subject.positive[:1],
        negative=subject.negative * 3,
    )
    anchor = calibrate(one, trials=2).outputs[0]

    assert (anchor.calibration.prompts, anchor.calibration.trials) == (1, 2)


def test_a_taken_name_is_kept_and_the_new_file_numbered(calibrate, folder):
    for seed in range(2):
        calibrate(trials=1, seed=seed)

    names = sorted(path.name for path in folder.iterdir())
    assert names == ["mine.otanchor.json", "mine_2.otanchor.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anchor_budget": 8}, "3 <= anchor < reference < steps"),
        ({"reference_budget": 12}, "3 <= anchor < reference < steps"),
        ({"name": "../x"}, "name must be 1 to 100 letters"),
        ({"sampler_name": "heun"}, "one-evaluation sampler"),
        ({"sampler_name": "dpm_adaptive"}, "one-evaluation sampler"),
        ({"sampler_name": "euler_ancestral"}, 'without noise of its own .* got "euler_ancestral"'),
        ({"sampler_name": "dpmpp_2m_sde"}, "without noise of its own"),
        ({"sampler_name": "euler_cfg_pp"}, r"without CFG\+\+"),
    ],
)
def test_settings_that_do_not_fit_are_refused_at_once(
    host, calibrate, subject, counted, folder, changes, message
):
    with counted(subject.model) as (model, calls):
        with pytest.raises(host.core("errors").OTCacheError, match=message):
            calibrate(model=model, **changes)

    assert calls.predictions <= 2 * STEPS  # not after a whole calibration
    assert [*folder.iterdir()] == []


# Cut short


@pytest.mark.parametrize(
    ("forward", "files"),
    [
        (5, []),  # in the full runs: there is nothing to keep yet
        # after them and two runs of the first candidate, in what the second one runs
        (2 * STEPS + 2 * 4 + 1, ["mine.otanchor.json"]),
    ],
)
def test_an_interrupt_passes_through_and_leaves_the_best_so_far(
    host, calibrate, before_forward, folder, subject, uniform, sample, caplog, forward, files
):
    import comfy.model_management as management

    before_forward(subject.model, forward, management.interrupt_current_processing)
    with pytest.raises(management.InterruptProcessingException):
        calibrate()

    assert [path.name for path in folder.iterdir()] == files
    if files:
        (anchor,) = host.run("OTCacheLoadAnchor", anchor_name=files[0]).outputs
        assert anchor.anchor.budget == 4 and anchor.calibration.trials == 1
        assert "its best anchor is mine.otanchor.json" in caplog.text
    assert calibrate(name="next", trials=1).outputs[0].name == "next"  # nothing is left behind


def test_nan_in_a_full_run_is_a_clear_error(host, calibrate, nan_at_forward, folder, subject):
    nan_at_forward(subject.model, STEPS + 3)  # in the second prompt's
    with pytest.raises(host.core("errors").OTCacheError, match="must be finite but holds NaN"):
        calibrate()

    assert [*folder.iterdir()] == []


@pytest.mark.parametrize(
    ("broken", "candidates"),
    [
        # pictures 1 and 2 are the full runs'; a candidate has two, or one if that one fails
        ({3}, 1),
        ({5}, 1),
        ({3, 4}, 2),
    ],
)
def test_a_candidate_that_fails_is_lost_and_the_search_goes_on(
    calibrate, demo_vae, caplog, broken, candidates
):
    with caplog.at_level(logging.WARNING, logger="otcache"):
        anchor = calibrate(vae=Decoder(demo_vae, broken)).outputs[0]

    assert anchor.calibration.trials == 6
    assert anchor.objective.best > 0.0
    lost = [r for r in caplog.records if "failed and is not tried again" in r.getMessage()]
    assert len(lost) == candidates
    assert all("NaN" in record.getMessage() for record in lost)
    failed = [str([*anchor.anchor.computed_steps]) in record.getMessage() for record in lost]
    assert not any(failed)  # what was lost is not what was chosen


def test_a_model_that_fails_in_one_candidate_only(calibrate, nan_at_forward, subject, folder):
    nan_at_forward(subject.model, 2 * STEPS + 2)  # in the first candidate
    anchor = calibrate().outputs[0]

    assert anchor.objective.best > 0.0


def test_when_every_candidate_fails_it_says_so(host, calibrate, demo_vae, folder):
    decoder = Decoder(demo_vae, set(range(3, 1000)))
    with pytest.raises(host.core("errors").OTCacheError, match="every candidate|failed"):
        calibrate(vae=decoder)

    assert [*folder.iterdir()] == []


def test_what_the_model_itself_raises_passes_through(calibrate, before_forward, subject, folder):
    def fail() -> None:
        raise ArithmeticError("the model failed")

    before_forward(subject.model, 2 * STEPS + 12, fail)
    with pytest.raises(ArithmeticError, match="the model failed"):
        calibrate()

    assert [path.name for path in folder.iterdir()] == ["mine.otanchor.json"]


def test_running_out_of_memory_in_a_candidate_counts_as_lost(
    calibrate, before_forward, subject, caplog
):
    def fail() -> None:
        raise torch.OutOfMemoryError("out of memory")

    before_forward(subject.model, 2 * STEPS + 2, fail)
    anchor = calibrate().outputs[0]

    assert anchor.objective.best > 0.0
    assert "out of memory" in caplog.text
