"""Calibrations that are cut short or shared: real ComfyUI processes on real storages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
import pytest

from otcache_core.search.storage import open_storage, sqlite_place
from otcache_core.search.trials import Trial, finished_trials
from scripts.host.find import REPOSITORY
from scripts.host.postgres import Postgres, find_binaries
from scripts.host.server import ComfyServer
from scripts.workflows.to_prompt import find_node, set_input, to_api

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(600)]

WORKFLOW = REPOSITORY / "example_workflows" / "OTCache calibration.json"
TRIALS, PROMPTS, STEPS = 14, 3, 16


def _workflow(server: ComfyServer, **changes: Any) -> tuple[dict[str, Any], str]:
    """The shipped calibration workflow with small numbers, and its Calibrate node."""
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    prompt = to_api(workflow, server.object_info())
    node = find_node(prompt, class_type="OTCacheCalibrateAnchor")
    small = {
        "size": "custom", "steps": STEPS, "reference_budget": 9, "anchor_budget": 4,
        "trials": TRIALS, "patience": 4, "name": "shared",
    }  # fmt: skip
    for key, value in (small | changes).items():
        set_input(prompt, node, key, value)
    set_input(prompt, find_node(prompt, class_type="OTCacheCalibrationPrompts"), "limit", PROMPTS)
    return prompt, node


def _anchor_study(storage: Any) -> optuna.Study | None:
    names = [name for name in optuna.get_all_study_names(storage) if " anchor " in name]
    return optuna.load_study(study_name=names[0], storage=storage) if names else None


def _wait_for_trials(place: str, count: int, seconds: float = 240.0) -> optuna.Study:
    """Waits until a search has so many finished candidates."""
    storage = None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if storage is None and not (place.startswith("sqlite") and not _file(place).is_file()):
            storage = open_storage(place)
        study = None if storage is None else _anchor_study(storage)
        if study is not None and len(finished_trials(study)) >= count:
            return study
        time.sleep(0.1)
    raise AssertionError(f"no {count} trials within {seconds:g} s")


def _file(place: str) -> Path:
    return Path(place.removeprefix("sqlite:///"))


def _place_of(server: ComfyServer, seconds: float = 120.0) -> str:
    """The place of the only calibration in a server's user folder."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = list((server.base / "user").glob("**/otcache/calibrations/*/study.sqlite3"))
        if found:
            return sqlite_place(found[0])
        time.sleep(0.1)
    raise AssertionError("no calibration has begun")


def _whole(folder: Path) -> list[str]:
    """Names of files but for one that a killed process was writing, which goes after an hour."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".partial")


def test_a_killed_calibration_goes_on(tmp_path: Path) -> None:
    """kill -9 in mid-search: the next ComfyUI goes on, and loses at most the candidate in flight"""
    with ComfyServer(tmp_path / "base") as first:
        prompt, _ = _workflow(first)
        first.queue(prompt)
        place = _place_of(first)
        study = _wait_for_trials(place, 4)
        first.kill()
    before = [trial.candidate for trial in finished_trials(study)]
    anchors = tmp_path / "base" / "models" / "otcache"
    assert _whole(anchors) == ["shared.otanchor.json"]  # the best so far

    with ComfyServer(tmp_path / "base") as second:
        prompt, node = _workflow(second)
        entry = second.wait(second.queue(prompt), timeout=300)
        said = second.log_text()

    after = finished_trials(_anchor_study(open_storage(place)))
    assert "goes on where it stopped" in said
    assert [trial.candidate for trial in after][: len(before)] == before
    assert len(after) <= TRIALS
    full_runs = list(Path(_file(place)).parent.glob("prompt_*.npz"))
    assert len(full_runs) == PROMPTS
    # The second one made no full run: with them, this process would have spent more.
    report = json.loads((Path(_file(place)).parent / "report.json").read_text(encoding="utf-8"))
    assert report["model_calls"] >= PROMPTS * STEPS
    assert entry["outputs"][node]["otcache"] == [{"saved": "shared.otanchor.json"}]
    assert _whole(anchors) == ["shared.otanchor.json"]


def test_another_seed_is_another_study(tmp_path: Path) -> None:
    with ComfyServer(tmp_path / "base") as server:
        for seed in (0, 1, 0):
            prompt, _ = _workflow(server, seed=seed, trials=2, patience=1)
            server.wait(server.queue(prompt), timeout=300)
        folders = list((server.base / "user").glob("**/otcache/calibrations/*"))
        said = server.log_text()

    assert len(folders) == 2
    # The third time ComfyUI itself still has the result, or the calibration finds all it needs.
    assert said.count("OTCache calibration starts") == 2


def _workers(study: optuna.Study) -> set[str]:
    return {t.user_attrs["candidate"]["worker"] for t in study.trials if t.user_attrs}


def _studies(place: str, role: str) -> list[list[Trial]]:
    storage = open_storage(place)
    names = [name for name in optuna.get_all_study_names(storage) if role in name]
    return [finished_trials(optuna.load_study(study_name=n, storage=storage)) for n in names]


def _mean_loss(trial: Trial) -> float:
    """The search compares roots of losses."""
    return sum(root**2 for root in trial.losses.values()) / len(trial.losses)


@pytest.fixture(params=["postgresql", "journal"])
def shared_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A storage that two processes share."""
    if request.param == "journal":
        yield f"journal:{tmp_path / 'study.log'}"
        return
    if find_binaries() is None:
        pytest.skip("PostgreSQL is not installed: the study on a database server is not tested")
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    with Postgres() as server:
        yield server.place


def test_two_workers_share_a_study_and_one_may_die(shared_place: str, tmp_path: Path) -> None:
    shared = {"OTCACHE_STORAGE": shared_place, "OTCACHE_CALIBRATIONS": str(tmp_path / "shared")}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ComfyServer(tmp_path / name, environment=shared))
            for name in ("survivor", "victim")
        ]
        queued = []
        for server in servers:
            prompt, node = _workflow(server, trials=24)
            queued.append((server.queue(prompt), node))
        deadline = time.monotonic() + 240
        while True:
            study = _wait_for_trials(shared_place, 6)
            if len(_workers(study)) == 2 or time.monotonic() > deadline:
                break
        servers[1].kill()
        entry = servers[0].wait(queued[0][0], timeout=300)

    assert len(_workers(study)) == 2  # both did some of it
    finished = finished_trials(study)
    assert len(finished) <= 25
    # Each candidate was evaluated once, but for what both took up at the same moment.
    complete = [
        repr(t.user_attrs["candidate"]["computed_steps"] + t.user_attrs["candidate"]["slope_gain"])
        for t in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        if "duplicate" not in t.user_attrs
    ]
    assert len(complete) - len(set(complete)) <= 2
    text = entry["outputs"][queued[0][1]]["text"][0]
    best = min((trial for trial in finished if trial.complete), key=lambda trial: trial.loss)
    refined = [trial for other in _studies(shared_place, " fidelity 4 ") for trial in other]
    assert any(f"-> {_mean_loss(trial):.4f} " in text for trial in (best, *refined))
    # The full runs were shared: each is there once, for both.
    assert len(list((tmp_path / "shared").glob("*/prompt_*.npz"))) == PROMPTS
