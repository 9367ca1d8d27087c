"""Parts of a calibration by themselves: its name, its place, its cost, its limits."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.host.find import REPOSITORY

pytestmark = pytest.mark.host


@pytest.fixture
def no_calibrations(host: Any) -> Path:
    """The folder of calibrations, empty."""
    import shutil

    path = host.base / "user" / "otcache"
    shutil.rmtree(path, ignore_errors=True)
    return path / "calibrations"


# The fingerprint


GRAPH = {
    "1": {"class_type": "Loader", "inputs": {"file": "model.safetensors"}},
    "2": {"class_type": "Encode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
    "9": {
        "class_type": "OTCacheCalibrateAnchor",
        "inputs": {"model": ["1", 0], "positive": ["2", 0], "trials": 5, "name": "mine"},
    },
}


def _graph(**changes: Any) -> dict[str, Any]:
    graph = json.loads(json.dumps(GRAPH))
    for path, value in changes.items():
        node, key = path.split("_", 1)
        graph[node[1:]]["inputs"][key] = value
    return graph


@pytest.fixture
def name_of(host: Any, tiny_flux: Any) -> Any:
    """`name_of(graph, model=..., settings=..., node="9")`: the fingerprint."""
    fingerprint = host.module("nodes.calibration.fingerprint").fingerprint

    def ask(graph: Any, model: Any = None, settings: Any = (50, 8), node: str = "9") -> str:
        return fingerprint(model or tiny_flux.model, settings, graph, node, tiny_flux.positive)

    return ask


def test_the_same_workflow_has_the_same_name(name_of):
    assert name_of(_graph()) == name_of(_graph())
    assert len(name_of(_graph())) == 16


def test_what_does_not_change_a_calibration_does_not_rename_it(name_of):
    assert name_of(_graph(n9_trials=500, n9_name="other")) == name_of(_graph())


def test_node_numbers_do_not_matter(name_of):
    moved = {{"1": "41", "2": "7", "9": "30"}[k]: v for k, v in _graph().items()}
    text = json.dumps(moved).replace('["1",', '["41",').replace('["2",', '["7",')

    assert name_of(json.loads(text), node="30") == name_of(_graph())


@pytest.mark.parametrize(
    "changes",
    [{"n2_text": "a dog"}, {"n1_file": "other.safetensors"}, {"n9_positive": ["1", 0]}],
    ids=["prompt", "file", "link"],
)
def test_what_changes_a_calibration_renames_it(name_of, changes):
    assert name_of(_graph(**changes)) != name_of(_graph())


def test_settings_and_weights_rename_it(name_of, tiny_flux, monkeypatch):
    before = name_of(_graph())

    assert name_of(_graph(), settings=(50, 9)) != before
    weight = next(tiny_flux.model.model.diffusion_model.parameters())
    monkeypatch.setattr(weight, "data", weight.data + 0.5)
    assert name_of(_graph()) != before


def test_patches_rename_it(name_of, tiny_flux):
    before = name_of(_graph())
    names = []
    for strength in (0.5, 1.0):
        clone = tiny_flux.model.clone()
        key = next(k for k in clone.model_state_dict() if k.endswith("img_in.weight"))
        shape = clone.model_state_dict()[key].shape
        assert clone.add_patches({key: ("diff", (torch.ones(shape),))}, strength)
        names.append(name_of(_graph(), model=clone))

    assert len({before, *names}) == 3


def test_without_a_workflow_the_conditioning_names_it(host, tiny_flux):
    fingerprint = host.module("nodes.calibration.fingerprint").fingerprint

    def name(conditioning: Any) -> str:
        return fingerprint(tiny_flux.model, (), None, None, conditioning)

    assert name(tiny_flux.positive) == name(tiny_flux.positive) != name(tiny_flux.negative)


def test_a_workflow_that_feeds_itself_is_no_endless_loop(name_of):
    graph = _graph(n1_file=["2", 0])

    assert len(name_of(graph)) == 16


# The place


def test_the_place_is_in_the_user_folder_and_says_what_is_there(host, no_calibrations):
    open_place = host.module("nodes.calibration.study_place").open_place
    first, second = (open_place("0123456789abcdef") for _ in range(2))

    assert first.folder == no_calibrations / "0123456789abcdef"
    assert (first.resumed, second.resumed) == (False, True)
    assert (first.folder / "study.sqlite3").is_file()


def test_the_owner_of_the_server_may_put_it_elsewhere(host, no_calibrations, tmp_path, monkeypatch):
    monkeypatch.setenv("OTCACHE_CALIBRATIONS", str(tmp_path / "runs"))
    monkeypatch.setenv("OTCACHE_STORAGE", f"journal:{tmp_path / 'study.log'}")
    place = host.module("nodes.calibration.study_place").open_place("0123456789abcdef")

    assert place.folder == tmp_path / "runs" / "0123456789abcdef"
    assert (tmp_path / "study.log").is_file()
    assert not no_calibrations.exists()


def test_a_bad_place_is_a_clear_error(host, no_calibrations, monkeypatch):
    monkeypatch.setenv("OTCACHE_STORAGE", "mongodb://user:secret@127.0.0.1/x")
    with pytest.raises(host.core("errors").OTCacheError, match="storage must be") as caught:
        host.module("nodes.calibration.study_place").open_place("0123456789abcdef")

    assert "secret" not in str(caught.value)


def test_old_calibrations_make_room_but_none_of_the_last_day(host, no_calibrations):
    module = host.module("nodes.calibration.study_place")
    old = time.time() - 2 * module.DAY
    for i in range(module.MAX_KEPT + 3):
        folder = no_calibrations / f"{i:016}"
        folder.mkdir(parents=True)
        (folder / "prompt_0000.npz").write_bytes(b"x")
        os.utime(folder, (old + i, old + i))
    fresh = no_calibrations / "fresh"
    fresh.mkdir()
    module.open_place("f" * 16)

    left = {path.name for path in no_calibrations.iterdir()}
    assert len(left) == module.MAX_KEPT
    assert {"fresh", "f" * 16} <= left
    assert f"{0:016}" not in left and f"{module.MAX_KEPT + 2:016}" in left


# Prompts, cost, time


@pytest.mark.parametrize(("source", "count"), [("default set, 10 prompts", 10),
                                               ("default set, 50 prompts", 50)])  # fmt: skip
def test_the_default_prompts(host, source, count):
    found, said = host.run(
        "OTCacheCalibrationPrompts", text="mine", limit=1000, source=source
    ).outputs

    assert len(found) == len(set(found)) == said == count
    assert "mine" not in found


def test_the_first_ten_prompts_hold_every_attribute(host):
    module = host.module("nodes.calibration_prompts")
    listed = json.loads(module.SET.read_text(encoding="utf-8"))["prompts"]
    attributes = {"object", "counting", "colour", "action", "spatial relation", "text"}

    assert {p["attribute"] for p in listed[:10]} == {p["attribute"] for p in listed} == attributes


INPUTS = {
    "steps": 50, "reference_budget": 20, "anchor_budget": 8, "estimator": "slope", "seed": 3,
    "trials": 77, "patience": 33,
}  # fmt: skip


def test_the_standard_size_is_about_an_hour_of_a_flux_class_model(host):
    cost, sizes = host.core("calibration.cost"), host.module("nodes.calibration.sizes")
    size = sizes.SIZES["standard"]
    settings = sizes.settings_of_size(size, INPUTS)

    calls = cost.calibration_cost(settings, size.prompts).likely

    assert calls * 0.6 == pytest.approx(60 * 60, rel=0.1)
    said = f"about {round(calls, -2):,} model calls"
    for page in ("docs/guide.md", "web/docs/OTCacheCalibrateAnchor.md"):
        assert said in " ".join((REPOSITORY / page).read_text(encoding="utf-8").split()), page


def test_the_paper_size_searches_as_the_paper_does(host):
    sizes = host.module("nodes.calibration.sizes")
    settings = sizes.settings_of_size(sizes.SIZES["paper"], INPUTS)
    search = settings.search

    assert (search.trials, search.patience, search.proposer) == (200, 50, "cma-es")
    assert (search.polish, search.p_threshold, search.seed) == (False, 0.0, 3)
    assert not settings.fits_gains


def test_the_quick_size_is_at_most_500_calls_without_a_search(host):
    cost, sizes = host.core("calibration.cost"), host.module("nodes.calibration.sizes")
    size = sizes.SIZES["quick"]
    settings = sizes.settings_of_size(size, INPUTS | {"middle_budget": 12})

    assert size.prompts == 3
    assert settings == host.core("calibration.settings").Settings.quick()
    # What is told counts no call twice that runs share: the first step of each of ten schedules.
    assert cost.calibration_cost(settings, size.prompts).most - 3 * 9 <= 500


@pytest.mark.parametrize(
    ("size", "trials", "patience"),
    [("small", 30, 8), ("standard", 40, 12), ("custom", 77, 33)],
)
def test_other_sizes_search_with_fits(host, size, trials, patience):
    """What a size leaves open is the node's; older workflows know no middle budget and search."""
    sizes = host.module("nodes.calibration.sizes")
    given = INPUTS | {"middle_budget": 12, "search": "tpe"}

    old, new = (sizes.settings_of_size(sizes.SIZES[size], inputs) for inputs in (INPUTS, given))

    for settings, middle, proposer in ((old, 0, "cma-es"), (new, 12, "tpe")):
        assert (settings.steps, settings.reference_budget, settings.anchor_budget) == (50, 20, 8)
        assert (settings.middle_budget, settings.search.proposer) == (middle, proposer)
        assert (settings.search.trials, settings.search.patience) == (trials, patience)
        assert (settings.search.seed, settings.fits_gains, settings.searches) == (3, True, True)


# Memory


def test_memory_stays_bounded_for_a_long_video(host, tiny_video):
    """121 latent frames at 60x104: 12 million numbers, 48 MB a step, 2.5 GB a run in full."""
    recorder_of = host.core("trajectory").TrajectoryRecorder
    module = host.core("calibration.full_runs")
    sigmas = tuple(1.0 - i / 4 for i in range(5))
    recorder = recorder_of(sigmas)
    latent = torch.randn(1, 16, 121, 60, 104)
    for _ in range(4):
        recorder.add(latent, latent * 0.5)
    run = recorder.finish()

    assert run.x.nbytes + run.velocity.nbytes <= 9 * 65_536 * 4
    frames = module.evenly(481)
    assert len(frames) == module.MAX_FRAMES and frames[0] == 0 and frames[-1] == 480


def test_a_video_is_compared_on_a_few_frames(host, tiny_video, monkeypatch):
    runner_module = host.module("nodes.calibration.runner")

    class Decoder:
        def decode(self, samples: torch.Tensor) -> torch.Tensor:
            return torch.rand(1, 4 * 40 + 1, 32, 32, 3)

        def spacial_compression_decode(self) -> int:
            return 8

    job = runner_module.Job(
        tiny_video.model, Decoder(), [tiny_video.negative], tiny_video.latent,
        12, 1.0, "euler", "simple", 0,
    )  # fmt: skip
    runner = runner_module.HostRunner(
        job, [tiny_video.positive], host.module("nodes.library.lpips").load_lpips()
    )
    trajectory, picture = runner.full_run(0)

    assert picture.shape == (16, 32, 32, 3)
    schedule = host.core("documents.schedule").Schedule(12, (0, 3, 11))
    assert math.isfinite(runner.loss(schedule, 0, picture))
    assert trajectory.steps == 12
    assert runner.model_calls == 12 + 3


def test_out_of_memory_is_one_failed_candidate(host, tiny_flux, demo_vae, monkeypatch):
    runner_module = host.module("nodes.calibration.runner")
    latent = {"samples": torch.zeros(1, 3, 32, 32)}
    job = runner_module.Job(
        tiny_flux.model, demo_vae, [tiny_flux.negative], latent, 6, 1.0, "euler", "simple", 0
    )
    runner = runner_module.HostRunner(
        job, [tiny_flux.positive], host.module("nodes.library.lpips").load_lpips()
    )
    _, picture = runner.full_run(0)

    def fail(*args: Any) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(runner, "_decode", fail)
    with pytest.raises(host.core("errors").EvaluationError, match="has no picture of prompt 0"):
        runner.loss(host.core("documents.schedule").Schedule(6, (0, 3, 5)), 0, picture)


def test_a_memo_changes_nothing_but_the_number_of_calls(host, tiny_flux, demo_vae):
    runner_module, memo = host.module("nodes.calibration.runner"), host.core("calibration.memo")
    schedule = host.core("documents.schedule").Schedule
    latent = {"samples": torch.zeros(1, 3, 32, 32)}
    job = runner_module.Job(
        tiny_flux.model, demo_vae, [tiny_flux.negative], latent, 12, 2.5, "euler", "simple", 0
    )
    lpips = host.module("nodes.library.lpips").load_lpips()
    schedules = [
        schedule(12, (0, 2, 5, 11)),
        schedule(12, (0, 2, 4, 11)),
        schedule(12, (0, 2, 4, 11), slope_gain=(1.0, 0.5, 1.0)),
        schedule(12, (0, 3, 4, 11)),
    ]
    found = {}
    for place in memo.PLACES:
        runner = runner_module.HostRunner(job, [tiny_flux.positive], lpips, memo.PrefixMemo(place))
        _, picture = runner.full_run(0)
        losses = [runner.loss(s, 0, picture) for s in schedules]
        found[place] = (losses, runner.model_calls - 12)

    assert found["host memory"] == found["device"]
    assert found["off"][0] == found["host memory"][0]
    assert found["off"][1] == 16
    # The second shares steps 0 and 2 with the first; the third, whose estimates before step 4
    # differ, too; the fourth shares step 0 alone.
    assert found["host memory"][1] == 16 - 2 - 2 - 1


def test_states_on_the_way_are_those_of_the_run(host, tiny_flux, demo_vae):
    """Where nothing was skipped yet, a cached run is at the full run's states."""
    runner_module, full_runs = (
        host.module("nodes.calibration.runner"),
        host.core("calibration.full_runs"),
    )
    latent = {"samples": torch.zeros(1, 3, 32, 32)}
    job = runner_module.Job(
        tiny_flux.model, demo_vae, [tiny_flux.negative], latent, 12, 2.5, "euler", "simple", 0
    )
    lpips = host.module("nodes.library.lpips").load_lpips()
    runner = runner_module.HostRunner(job, [tiny_flux.positive], lpips)
    full = full_runs.FullRun.of(*runner.full_run(0))
    schedule = host.core("documents.schedule").Schedule(12, (0, 1, 2, 3, 8, 11))

    early, late = (torch.from_numpy(runner.state_at(schedule, 0, step)) for step in (3, 8))

    torch.testing.assert_close(early, torch.from_numpy(full.states[3]))
    assert late.shape == early.shape
    assert not torch.allclose(late, torch.from_numpy(full.states[8]))
    # Arriving at step 8 took the calls of steps 0 to 3, and those of 0 to 2 were remembered.
    assert runner.model_calls == 12 + 4
    assert runner.remembered_runs(4) == (1 << 30) // (4 * 3 * 32 * 32 * 4)


# Where it stands, for the page


def test_the_state_is_kept_by_workflow_and_node(host):
    state = host.module("nodes.calibration.state")
    place = state.NodePlace
    state.publish(place("one", "7"), {"done": 1})
    state.publish(place("two", "7"), {"done": 2})
    state.publish(
        place("one", None), {"done": 3}
    )  # outside of a workflow there is no node to show it on

    assert state.latest(place("one", "7")) == {"done": 1}
    assert state.latest(place("two", "7")) == {"done": 2}
    assert state.latest(place("", "7")) is None
    for number in range(state.MAX_KEPT):
        state.publish(place("many", str(number)), {})
    assert state.latest(place("one", "7")) is None  # the oldest goes


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"workflow": {"id": "8d4a-6af2"}}, "8d4a-6af2"),
        ({"workflow": {"id": "x" * 101}}, ""),
        ({"workflow": {"id": 7}}, ""),
        ({"workflow": []}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_workflow_of_a_run_is_read_from_what_the_page_sends(host, sent, expected):
    assert host.module("nodes.shared.news").workflow_id(sent) == expected
