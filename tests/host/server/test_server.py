"""The pack in a ComfyUI of its own process, over its HTTP interface, as users run it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.host.client import PromptError
from scripts.host.find import REPOSITORY
from scripts.host.server import ComfyServer
from scripts.release.interface import read

pytestmark = [pytest.mark.host, pytest.mark.slow]

NODE_IDS = set(read())


@pytest.fixture(scope="module")
def shared_anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An anchor folder outside ComfyUI's own."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory, shared_anchors: Path) -> Iterator[ComfyServer]:
    """A ComfyUI with the pack and with extra model paths."""
    paths = shared_anchors / "extra_model_paths.yaml"
    paths.write_text(f"mine:\n  base_path: {shared_anchors.as_posix()}\n  otcache: anchors\n")
    base = tmp_path_factory.mktemp("server")
    extra = ["--extra-model-paths-config", str(paths)]
    with ComfyServer(base, device="cpu", extra_arguments=extra) as server:
        yield server


@pytest.fixture
def saved_as(comfy: ComfyServer, shared_anchors: Path) -> Callable[[str], Path]:
    """Where a saved anchor is, in whichever folder ComfyUI has first."""
    folders = (comfy.base / "models" / "otcache", shared_anchors / "anchors")

    def find(name: str) -> Path:
        paths = [folder / f"{name}.otanchor.json" for folder in folders]
        return next((path for path in paths if path.is_file()), paths[0])

    return find


TEXT = "a red house\na green tree"


def _prompt(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def _calibration(name: str, **changes: Any) -> dict[str, Any]:
    """Two prompts, as a list through CLIP Text Encode, into a small calibration."""
    settings = {
        "name": name, "steps": 10, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple",
        "reference_budget": 6, "anchor_budget": 4, "trials": 2, "patience": 1, "seed": 0,
        "estimator": "slope", "size": "custom", "search": "cma-es", "middle_budget": 0,
        "minutes": 0, "memo": "host memory",
    }  # fmt: skip
    links = {
        "model": ["model", 0], "vae": ["model", 2], "positive": ["positive", 0],
        "negative": ["negative", 0], "latent_image": ["model", 3],
    }  # fmt: skip
    return _prompt(
        model=("OTCacheDemoModel", {"batch_size": 1}),
        prompts=(
            "OTCacheCalibrationPrompts",
            {"text": TEXT, "limit": 9, "source": "the text above"},
        ),
        positive=("CLIPTextEncode", {"clip": ["model", 1], "text": ["prompts", 0]}),
        negative=("CLIPTextEncode", {"clip": ["model", 1], "text": ""}),
        calibrate=("OTCacheCalibrateAnchor", {**links, **settings, **changes}),
        report=("PreviewImage", {"images": ["calibrate", 1]}),
    )


def _prediction(anchor_name: str, budget: int = 5, steps: int = 10) -> dict[str, Any]:
    sliders = {"budget": budget, "rho": 1.3, "anchor_rho": True, "steps": steps}
    sliders |= {"target_lpips": 0.0}
    return _prompt(
        load=("OTCacheLoadAnchor", {"anchor_name": anchor_name}),
        predict=("OTCachePredictSchedule", {"anchor": ["load", 0], **sliders}),
        picture=("PreviewImage", {"images": ["predict", 1]}),
    )


@pytest.fixture(scope="module")
def calibrated(comfy: ComfyServer) -> dict[str, Any]:
    """The history entry of a finished calibration; its anchor is `first.otanchor.json`."""
    return comfy.wait(comfy.queue(_calibration("first")))


def _listed(comfy: ComfyServer) -> list[str]:
    info = comfy.get_json("/object_info/OTCacheLoadAnchor")["OTCacheLoadAnchor"]
    kind, options = info["input"]["required"]["anchor_name"]
    return options["options"] if kind == "COMBO" else kind


def test_the_pack_loads_without_a_word_of_complaint(comfy):
    # nox keeps its environments in the checkout: what lies in there is not the pack.
    log = comfy.log_text().replace(str(REPOSITORY / ".nox"), "environments")
    own = re.compile(rf"OTCache|custom_nodes[\\/]+otcache|{re.escape(str(REPOSITORY))}")
    about = [line for line in log.splitlines() if own.search(line)]
    complaints = re.compile("warning|error|fail|cannot|traceback|deprecat|skip", re.IGNORECASE)

    assert any("custom_nodes" in line for line in about)  # it was loaded, and timed
    assert [line for line in about if complaints.search(line)] == []
    assert str(REPOSITORY) not in log  # no traceback through the pack


def test_every_node_is_there(comfy):
    info = comfy.object_info()

    assert {name for name in info if name.startswith("OTCache")} == NODE_IDS
    assert {info[name]["category"] for name in NODE_IDS} == {"OTCache"}
    assert {info[name]["python_module"] for name in NODE_IDS} == {"custom_nodes.otcache"}


def test_a_list_of_prompts_becomes_an_anchor_to_choose(comfy, calibrated, saved_as):
    (saved,) = calibrated["outputs"]["calibrate"]["otcache"]
    assert saved == {"saved": "first.otanchor.json"}
    assert len(calibrated["outputs"]["report"]["images"]) == 1
    assert '"prompts": 2' in saved_as("first").read_text(encoding="utf-8")

    assert "first.otanchor.json" in _listed(comfy)  # without a restart
    entry = comfy.wait(comfy.queue(_prediction("first.otanchor.json")))
    assert "5 of 10 steps" in entry["outputs"]["predict"]["text"][0]


def _edited(mask: str, steps: int = 10) -> dict[str, Any]:
    """A prediction edited by a mask, and its mask alone; a sampler after each."""
    sampling = {
        "model": ["model", 0], "latent_image": ["model", 3], "positive": ["text", 0],
        "negative": ["text", 0], "seed": 1, "steps": steps, "cfg": 1.0, "sampler_name": "euler",
        "scheduler": "simple", "denoise": 1.0,
    }  # fmt: skip
    nodes = _prompt(
        model=("OTCacheDemoModel", {"batch_size": 1}),
        text=("CLIPTextEncode", {"clip": ["model", 1], "text": "a red house"}),
        edit=("OTCacheEditSchedule", {"schedule": ["predict", 0], "mask": mask}),
        alone=("OTCacheEditSchedule", {"mask": ["edit", 1]}),
        sampler=("OTCacheSampler", {**sampling, "schedule": ["edit", 0]}),
        second=("OTCacheSampler", {**sampling, "schedule": ["alone", 0]}),
        one=("PreviewAny", {"source": ["sampler", 1]}),
        two=("PreviewAny", {"source": ["second", 1]}),
    )
    return _prediction("preset: otcache-demo", budget=8, steps=steps) | nodes


def test_a_schedule_edited_in_a_graph_is_what_its_samplers_do(comfy):
    outputs = comfy.wait(comfy.queue(_edited("1, 1, 1, 0, 1, 0, 0, 1, 0, 1")))["outputs"]

    assert outputs["edit"]["text"] == ["6 calls of 10 steps, slope"]
    assert outputs["alone"]["text"] == ["6 calls of 10 steps, adaptive"]
    for name in ("sampler", "second"):
        (done,) = outputs[name]["otcache"]
        assert (done["computed_steps"], done["evaluations"]) == ([0, 1, 2, 4, 7, 9], 6)


def test_a_mask_that_does_not_fit_is_named_by_the_graphs_error(comfy):
    with pytest.raises(PromptError, match="`mask` must have as many steps as the schedule, 10"):
        comfy.wait(comfy.queue(_edited("11011")))


@pytest.mark.parametrize("where", ["own", "extra"])
def test_an_anchor_copied_there_is_listed_without_a_restart(
    comfy, calibrated, shared_anchors, saved_as, where
):
    source = saved_as("first")
    folders = {"own": comfy.base / "models" / "otcache", "extra": shared_anchors / "anchors"}
    folders[where].mkdir(exist_ok=True)
    name = f"{where} copy.otanchor.json"
    assert name not in _listed(comfy)
    (folders[where] / name).write_bytes(source.read_bytes())

    assert name in _listed(comfy)
    comfy.wait(comfy.queue(_prediction(name)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": "otcache-anchor", "version": 1, "na', "must be valid JSON but is damaged"),
        ('{"format": "something else"}', "this is not an OTCache anchor"),
        ('{"format": "otcache-anchor", "version": 4}', "version must be at most 3 but got 4"),
        ('{"format": "otcache-anchor", "version": 1}', "steps"),
    ],
)
def test_a_damaged_anchor_is_a_clear_message(comfy, content, message):
    folder = comfy.base / "models" / "otcache"
    folder.mkdir(exist_ok=True)
    (folder / "bad.otanchor.json").write_text(content)
    with pytest.raises(PromptError) as caught:
        comfy.wait(comfy.queue(_prediction("bad.otanchor.json")))
    words = str(caught.value).splitlines()[0]

    assert words.startswith("node load (OTCacheLoadAnchor) failed with")
    assert "OTCacheError: bad.otanchor.json" in words and message in words


@pytest.mark.parametrize("name", ["../../x", "no such anchor.otanchor.json"])
def test_an_unknown_anchor_is_refused_before_anything_runs(comfy, name):
    with pytest.raises(PromptError, match="must be one of the installed anchors"):
        comfy.queue(_prediction(name))


@pytest.mark.parametrize(("budget", "steps"), [(2, 10), (11, 10)])
def test_a_budget_out_of_range_is_a_clear_message(comfy, calibrated, budget, steps):
    with pytest.raises(PromptError, match="OTCacheError: `budget` must be at"):
        comfy.wait(comfy.queue(_prediction("first.otanchor.json", budget, steps)))


def _wait_until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def test_an_interrupt_leaves_the_best_so_far_and_a_server_that_goes_on(comfy, calibrated, saved_as):
    endless = _calibration("cut", trials=100_000, patience=100_000, steps=60, reference_budget=20)
    queued = comfy.queue(endless)
    _wait_until(lambda: saved_as("cut").is_file())
    comfy.interrupt()

    with pytest.raises(PromptError, match=r"interrupted at node calibrate \(OTCacheCalibrate"):
        comfy.wait(queued, timeout=60)
    entry = comfy.wait(comfy.queue(_prediction("cut.otanchor.json", budget=9, steps=60)))
    assert "9 of 60 steps" in entry["outputs"]["predict"]["text"][0]
    log = comfy.log_text()
    assert "ended early" in log and "cut.otanchor.json" in log and "queue it again" in log
