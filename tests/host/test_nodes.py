"""The nodes: what they are called, what they take and give, and what they say to bad input."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.release.interface import read

pytestmark = pytest.mark.host

NODES = read()

BAD_NAMES = [
    "../../x", "../../x.otanchor.json", "/etc/passwd", "..\\x", "nothing", "", "readme.txt",
    "preset: ../x", "preset: nothing",
]  # fmt: skip


def _own_ids(host: Any) -> set[str]:
    import nodes

    mapping = nodes.NODE_CLASS_MAPPINGS
    return {name for name, cls in mapping.items() if cls.__module__.startswith(host.pack + ".")}


def _next_tick() -> None:
    """ComfyUI lists a folder again when its time has changed, and that moves in ticks."""
    time.sleep(0.02)


@pytest.fixture
def folder(host: Any) -> Iterator[Path]:
    """ComfyUI's own anchor folder, empty before and after."""
    path = host.base / "models" / "otcache"
    shutil.rmtree(path)
    path.mkdir()
    _next_tick()
    yield path
    shutil.rmtree(path)
    path.mkdir()


@pytest.fixture
def anchor(host: Any) -> Any:
    """An anchor over 50 steps, B_anc = 8, B_ref = 20, without a rho of its own."""
    schedule = host.core("documents.schedule").Schedule
    return host.core("documents.anchor").Anchor(
        name="a model",
        architecture="Flux",
        reference=schedule(50, (*range(0, 36, 2), 42, 49)),
        anchor=schedule(50, (0, 1, 3, 7, 12, 20, 33, 49)),
        provenance="made by a test",
    )


@pytest.fixture
def write(host: Any, folder: Path, anchor: Any) -> Callable[..., Path]:
    """`write(name)`: an anchor file in ComfyUI's folder, as a user copies one there."""

    def put(name: str, where: Path = folder) -> Path:
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(anchor.to_json(), encoding="utf-8")
        return path

    return put


# Schemas


def test_the_pack_brings_these_nodes(host):
    assert _own_ids(host) == set(NODES)


@pytest.mark.parametrize("node_id", NODES)
def test_schemas_explain_themselves(host, node_id):
    schema = host.node(node_id).GET_SCHEMA()
    ids = [item.id for item in (*schema.inputs, *schema.outputs)]

    assert schema.category == "OTCache"
    assert schema.display_name and schema.description
    assert len(set(ids)) == len(ids)  # an input named like an output stops older hosts
    for item in schema.inputs:
        assert item.tooltip, item.id
    for item in schema.outputs:
        assert item.display_name, item.id


@pytest.mark.parametrize("node_id", NODES)
def test_the_front_end_gets_every_schema(host, node_id):
    info = host.node(node_id).GET_NODE_INFO_V1()

    assert info["name"] == node_id
    assert info["python_module"] == "custom_nodes." + Path(info["python_module"]).suffix[1:]
    declared = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    assert [*declared] == [text.split()[0] for text in NODES[node_id]["inputs"]]


def test_the_sampler_takes_what_ksampler_takes(host):
    own = host.node("OTCacheSampler").INPUT_TYPES()["required"]
    stock = host.node("KSampler").INPUT_TYPES()["required"]

    assert [*own] == [*stock]
    for name in ("sampler_name", "scheduler"):
        assert own[name][1]["options"] == list(stock[name][0])


# Load and Save


def _listed(host: Any) -> list[str]:
    return host.node("OTCacheLoadAnchor").INPUT_TYPES()["required"]["anchor_name"][1]["options"]


def test_an_anchor_added_later_is_listed_and_loads(host, write, anchor):
    assert "later.otanchor.json" not in _listed(host)
    write("later.otanchor.json")
    write("of a team/mine.otanchor.json")
    write("readme.txt")
    write("other.json")

    automatic, *files, inline = [name for name in _listed(host) if not name.startswith("preset: ")]
    assert (automatic, inline) == ("automatic", "in this workflow")
    assert files == ["later.otanchor.json", os.path.join("of a team", "mine.otanchor.json")]
    result = host.run("OTCacheLoadAnchor", anchor_name="later.otanchor.json")
    assert result.outputs == (anchor,)
    (text,) = result.ui["text"]
    assert "a model (Flux), 50 steps" in text and "made by a test" in text
    for name in files:
        assert host.node("OTCacheLoadAnchor").validate_inputs(anchor_name=name) is True


def test_an_anchor_taken_away_is_listed_no_more(host, write):
    path = write("gone.otanchor.json")
    assert "gone.otanchor.json" in _listed(host)
    _next_tick()
    path.unlink()

    assert "gone.otanchor.json" not in _listed(host)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_not_listed_are_refused(host, write, name):
    error = host.core("errors").OTCacheError
    outside = write("x.otanchor.json", host.base)  # "../../x..." would be this file
    write("readme.txt")  # there, but no anchor by its name
    node = host.node("OTCacheLoadAnchor")

    answer = node.validate_inputs(anchor_name=name)
    assert isinstance(answer, str) and repr(name).strip("'\"") in answer.replace("\\", "\\\\")
    assert "models/otcache" in answer
    with pytest.raises(error, match="must be one of the installed anchors"):
        host.run("OTCacheLoadAnchor", anchor_name=name)
    outside.unlink()


def test_a_changed_file_is_loaded_again(host, write):
    node = host.node("OTCacheLoadAnchor")
    path = write("mine.otanchor.json")
    first = node.fingerprint_inputs(anchor_name="mine.otanchor.json")
    assert node.fingerprint_inputs(anchor_name="mine.otanchor.json") == first

    path.write_text(path.read_text().replace("a model", "another"), encoding="utf-8")
    assert node.fingerprint_inputs(anchor_name="mine.otanchor.json") != first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must be valid JSON"),
        ("{}", "format"),
        ("not json", "must be valid JSON"),
        ('{"format": "otcache-anchor", "version": 99}', "version must be at most 3 but got 99"),
    ],
)
def test_a_damaged_file_is_named(host, folder, content, message):
    (folder / "bad.otanchor.json").write_text(content)
    with pytest.raises(host.core("errors").OTCacheError, match=message) as caught:
        host.run("OTCacheLoadAnchor", anchor_name="bad.otanchor.json")

    assert "bad.otanchor.json" in str(caught.value)


@pytest.fixture
def extra_paths(host: Any, tmp_path: Path) -> Iterator[Path]:
    """Another anchor folder, made known as ComfyUI's reader of extra_model_paths.yaml does."""
    import folder_paths

    paths = folder_paths.folder_names_and_paths["otcache"][0]
    before = [*paths]
    folder_paths.add_model_folder_path("otcache", str(tmp_path / "shared"))
    yield tmp_path / "shared"
    paths[:] = before


def test_extra_model_paths_are_listed(host, write, extra_paths, anchor):
    write("here.otanchor.json")
    write("there.otanchor.json", extra_paths)

    assert {"here.otanchor.json", "there.otanchor.json"} <= {*_listed(host)}
    result = host.run("OTCacheLoadAnchor", anchor_name="there.otanchor.json")
    assert result.outputs == (anchor,)


def test_every_preset_loads_and_predicts(host, folder):
    presets = [name for name in _listed(host) if name.startswith("preset: ")]
    for name in presets:
        assert host.node("OTCacheLoadAnchor").validate_inputs(anchor_name=name) is True
        (preset,) = host.run("OTCacheLoadAnchor", anchor_name=name).outputs
        predicted = _predict(host, preset, preset.anchor.budget).schedule
        if preset.learned_in_runs is None:
            assert predicted == preset.anchor
        else:  # its steps are nearer to even spacing
            assert (predicted.estimator, predicted.budget) == ("adaptive", preset.anchor.budget)


def test_save_then_load_is_the_same_anchor(host, folder, anchor):
    saved = host.run("OTCacheSaveAnchor", anchor=anchor, filename="mine", overwrite=False)

    assert saved.ui["text"] == ("saved as mine.otanchor.json",)
    assert "mine.otanchor.json" in _listed(host)
    loaded = host.run("OTCacheLoadAnchor", anchor_name="mine.otanchor.json").outputs[0]
    assert loaded == anchor


@pytest.mark.parametrize(
    ("overwrite", "files"),
    [
        (False, ["mine.otanchor.json", "mine_2.otanchor.json", "mine_3.otanchor.json"]),
        (True, ["mine.otanchor.json"]),
    ],
)
def test_a_name_that_is_taken_gets_a_number(host, folder, anchor, overwrite, files):
    for _ in range(3):
        host.run("OTCacheSaveAnchor", anchor=anchor, filename="mine", overwrite=overwrite)

    assert sorted(path.name for path in folder.iterdir()) == files


@pytest.mark.parametrize("name", ["flux dev 1.0", "模型_2", "mine.otanchor.json", " padded "])
def test_plain_names_are_accepted(host, folder, anchor, name):
    host.run("OTCacheSaveAnchor", anchor=anchor, filename=name, overwrite=False)

    stem = name.strip().removesuffix(".otanchor.json")
    assert [path.name for path in folder.iterdir()] == [f"{stem}.otanchor.json"]


@pytest.mark.parametrize(
    "name", ["", "  ", "../mine", "a/b", "a\\b", "C:mine", ".hidden", "..", "a\nb", "a*", "x" * 101]
)
def test_other_names_are_refused(host, folder, anchor, name):
    with pytest.raises(host.core("errors").OTCacheError, match="name must be 1 to 100 letters"):
        host.run("OTCacheSaveAnchor", anchor=anchor, filename=name, overwrite=False)

    assert [*folder.iterdir()] == []


# Predict


class Prediction:
    def __init__(self, result: Any) -> None:
        self.schedule, self.picture = result.outputs
        (self.text,) = result.ui["text"]
        (self.document,) = result.ui["otcache"]


def _predict(host: Any, anchor: Any, budget: int, **options: Any) -> Prediction:
    inputs = {"rho": 1.3, "anchor_rho": True, "steps": anchor.steps, **options}
    return Prediction(host.run("OTCachePredictSchedule", anchor=anchor, budget=budget, **inputs))


@pytest.mark.parametrize("steps", [20, 50, 100])
@pytest.mark.parametrize("budget", [8, 9, 15, 20])
def test_a_prediction_has_the_budget_and_a_picture(host, anchor, budget, steps):
    prediction = _predict(host, anchor, budget, steps=steps)

    assert (prediction.schedule.budget, prediction.schedule.steps) == (budget, steps)
    assert f"{budget} of {steps} steps" in prediction.text
    assert prediction.document["computed_steps"] == [*prediction.schedule.computed_steps]
    batch, height, width, channels = prediction.picture.shape
    assert (batch, channels, prediction.picture.dtype) == (1, 3, torch.float32)
    assert min(height, width) >= 200
    assert prediction.picture.min() >= 0.0 and prediction.picture.max() <= 1.0
    assert prediction.picture.std() > 0.05  # not blank


@pytest.mark.parametrize("steps", [50, 24, 16])
def test_without_steps_the_prediction_is_for_those_of_the_run(
    host, anchor, tiny_flux, sample, steps
):
    prediction = _predict(host, anchor, 10, steps=0)
    assert prediction.schedule.steps == anchor.steps
    named = _predict(host, anchor, 10, steps=steps)

    samples, done = sample(tiny_flux, prediction.schedule, steps=steps)
    expected, _ = sample(tiny_flux, named.schedule, steps=steps)

    assert done["computed"] == 10
    assert torch.equal(samples, expected)
    assert "fitted to this run" not in done["note"]


def test_pictures_of_different_schedules_differ(host, anchor):
    few, many = (_predict(host, anchor, budget).picture for budget in (8, 30))

    assert few.shape == many.shape and not torch.equal(few, many)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (7, "must be at least 8 for this anchor but got 7"),
        (2, "must be at least 8 for this anchor but got 2"),
        (51, "51"),
    ],
)
def test_budgets_out_of_range_are_refused(host, anchor, budget, message):
    with pytest.raises(host.core("errors").OTCacheError, match=message) as caught:
        _predict(host, anchor, budget)

    assert "`budget` must be at" in str(caught.value)


def test_the_exponent_is_the_anchors_unless_the_slider_is_asked_for(host, anchor):
    from dataclasses import replace

    own = replace(anchor, rho=1.0)
    by_anchor, by_slider = (
        _predict(host, own, 14, rho=1.8, anchor_rho=use).schedule.computed_steps
        for use in (True, False)
    )
    assert by_anchor != by_slider
    assert by_anchor == _predict(host, own, 14, rho=1.0, anchor_rho=False).schedule.computed_steps
    # Above 1, more of the computed steps come early.
    assert sum(by_slider) < sum(by_anchor)
    # An anchor without one leaves it to the slider, whatever the switch says.
    without = _predict(host, anchor, 14, rho=1.8, anchor_rho=True).schedule
    assert without == _predict(host, anchor, 14, rho=1.8, anchor_rho=False).schedule


# The sampler's words


def test_the_sampler_says_what_it_did(host, tiny_flux, uniform):
    result = host.run(
        "OTCacheSampler", model=tiny_flux.model, seed=1, steps=20, cfg=1.0, sampler_name="euler",
        scheduler="simple", positive=tiny_flux.positive, negative=tiny_flux.negative,
        latent_image=tiny_flux.latent, denoise=1.0, schedule=uniform(20, 5),
    )  # fmt: skip

    (done,) = result.ui["otcache"]
    assert result.ui["text"] == (result.outputs[1],)
    assert "5 computed, 15 skipped of 20 steps" in result.outputs[1]
    assert "faster than all steps" in result.outputs[1] and "cache 2 KiB" in result.outputs[1]
    assert done["speedup"] > 1.0
    assert done["seconds"] > 0.0


@pytest.mark.parametrize(
    ("node_id", "name"), [("OTCacheApply", "model"), ("OTCacheSigmas", "sigmas")]
)
def test_without_a_schedule_everything_is_handed_on_as_it_is(host, tiny_flux, node_id, name):
    given = tiny_flux.model if name == "model" else torch.linspace(1.0, 0.0, 21)
    assert host.run(node_id, **{name: given}).outputs[0] is given


# Compare Images


def _pair() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three pictures whose true LPIPS is known."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    a = torch.stack([x / 63, y / 63, 0.5 + 0.5 * torch.sin(2 * math.pi * (x + y) / 16)], -1)
    a = a.unsqueeze(0)
    return a, torch.roll(a, 8, dims=2), 1.0 - a


def _compare(host: Any, image: torch.Tensor, reference: torch.Tensor, amplify: float = 4.0) -> Any:
    return host.run(
        "OTCacheCompareImages", image=image, reference=reference, net="alex", amplify=amplify
    )


def test_true_lpips_of_known_pairs(host):
    a, b, c = _pair()

    assert _compare(host, b, a).outputs[0] == pytest.approx(0.09138, abs=1e-4)
    assert _compare(host, c, a).outputs[0] == pytest.approx(0.28444, abs=1e-4)


def test_identical_images(host):
    a, _, _ = _pair()
    result = _compare(host, a, a.clone())
    lpips, ssim, psnr, difference = result.outputs

    assert (lpips, ssim, psnr) == (pytest.approx(0.0, abs=1e-6), pytest.approx(1.0), math.inf)
    assert difference.shape == a.shape and difference.max() == 0.0
    (values,) = result.ui["otcache"]
    assert values["psnr"] == [None]  # JSON has no infinity


def test_a_batch_is_averaged_and_alpha_left_out(host):
    a, b, _ = _pair()
    alpha = torch.rand(2, 64, 64, 1)
    image, reference = (torch.cat([torch.cat(pair), alpha], -1) for pair in ((a, b), (a, a)))
    result = _compare(host, image, reference)

    assert result.outputs[0] == pytest.approx(0.09138 / 2, abs=1e-4)
    (values,) = result.ui["otcache"]
    assert values["lpips"] == [pytest.approx(0.0, abs=1e-6), pytest.approx(0.09138, abs=1e-4)]


@pytest.mark.parametrize(("amplify", "expected"), [(1.0, 0.1), (4.0, 0.4), (64.0, 1.0)])
def test_the_difference_image_by_hand(host, amplify, expected):
    reference = torch.full((1, 64, 64, 3), 0.5)
    difference = _compare(host, reference + 0.1, reference, amplify).outputs[3]

    torch.testing.assert_close(difference, torch.full_like(reference, expected))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 64, 64, 3), "must have one shape"), ((1, 32, 64, 3), "must have one shape")],
)
def test_images_that_do_not_match_are_refused(host, shape, message):
    with pytest.raises(host.core("errors").OTCacheError, match=message):
        _compare(host, torch.rand(shape), torch.rand(1, 64, 64, 3))
