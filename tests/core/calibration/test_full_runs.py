import logging
from pathlib import Path

import numpy as np
import pytest

from otcache_core.calibration.full_runs import FullRun, FullRuns, evenly, rotated
from otcache_core.estimate.open_loop import run_products
from otcache_core.graph import LOOK_BACKS, PairCosts, TripleCosts
from otcache_core.trajectory import Trajectory

STEPS = 4


def _trajectory(seed: int) -> Trajectory:
    random = np.random.default_rng(seed)
    sigmas = np.linspace(1, 0, STEPS + 1)
    velocity = random.normal(size=(STEPS, 10)).astype(np.float32)
    x = np.cumsum(random.normal(size=(STEPS + 1, 10)), axis=0).astype(np.float32)
    return Trajectory(sigmas, x, velocity)


def _picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 3, 5, 3), dtype=np.uint8)


def _run(seed: int) -> FullRun:
    return FullRun.of(_trajectory(seed), _picture(seed))


def _same(one: FullRun | None, other: FullRun) -> bool:
    """Whether two runs agree in every bit and dtype."""
    if one is None:
        return False
    pairs = [(getattr(one, k), getattr(other, k)) for k in FullRun.__dataclass_fields__]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


@pytest.fixture(params=["memory", "folder"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> FullRuns:
    return FullRuns(tmp_path / "runs" if request.param == "folder" else None)


# The contract of both places


def test_a_run_is_the_costs_of_its_trajectory() -> None:
    trajectory, run = _trajectory(0), _run(0)

    assert np.array_equal(run.pairs, PairCosts(STEPS, LOOK_BACKS).of(trajectory))
    assert np.array_equal(run.triples, TripleCosts(STEPS).of(trajectory))
    assert np.array_equal(run.products, run_products(trajectory))
    assert run.pairs.shape == (len(LOOK_BACKS), STEPS, STEPS + 1)
    assert run.triples.shape == (STEPS, STEPS, STEPS + 1)
    assert np.array_equal(run.sigmas, trajectory.sigmas)


def test_runs_come_back(kept: FullRuns) -> None:
    for prompt in (0, 3, 12345):
        kept.put(prompt, _run(prompt))

    for prompt in (0, 3, 12345):
        assert _same(kept.get(prompt), _run(prompt))
        assert np.array_equal(kept.picture(prompt), _picture(prompt))


def test_runs_that_are_not_there(kept: FullRuns, caplog: pytest.LogCaptureFixture) -> None:
    assert kept.get(0) is None
    kept.put(0, _run(0))
    assert kept.get(1) is None

    assert not caplog.records  # nothing is wrong with it


def test_a_run_may_be_put_again(kept: FullRuns) -> None:
    kept.put(0, _run(0))
    kept.put(0, _run(1))

    assert _same(kept.get(0), _run(1))


# Files


def test_a_later_sitting_and_another_worker_find_them(tmp_path: Path) -> None:
    FullRuns(tmp_path).put(7, _run(7))

    assert _same(FullRuns(tmp_path).get(7), _run(7))
    assert [path.name for path in tmp_path.iterdir()] == ["prompt_0007.npz"]


def test_nothing_is_made_before_there_is_something_to_keep(tmp_path: Path) -> None:
    FullRuns(tmp_path / "runs").get(0)

    assert not (tmp_path / "runs").exists()


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _spoil(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(b ^ 0xFF for b in content[middle:]))


def _leave_out_pictures(path: Path) -> None:
    run = _run(0)
    np.savez(path, sigmas=run.sigmas, pairs=run.pairs, triples=run.triples)


def _pickle(path: Path) -> None:
    parts = {name: np.array([{}], dtype=object) for name in FullRun.__dataclass_fields__}
    np.savez(path, allow_pickle=True, **parts)


@pytest.mark.parametrize(
    "damage",
    [
        _cut_off,
        _spoil,
        _leave_out_pictures,
        _pickle,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a file of numpy"),
        lambda path: path.write_bytes(path.read_bytes()[:30]),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["cut off", "spoilt", "incomplete", "pickled", "empty", "text", "head only", "folder"],
)
def test_a_damaged_file_counts_as_none_and_is_told(
    damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = FullRuns(tmp_path)
    kept.put(0, _run(0))
    damage(tmp_path / "prompt_0000.npz")  # type: ignore[operator]

    assert kept.get(0) is None

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("otcache", logging.WARNING)
    assert "prompt_0000.npz is damaged and is made anew" in record.getMessage()
    assert str(tmp_path) not in record.getMessage().split(":")[1]


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    kept = FullRuns(tmp_path)
    (tmp_path / "prompt_0000.npz").write_bytes(b"half a fi")

    kept.put(0, _run(0))

    assert _same(kept.get(0), _run(0))


# Frames and workers


@pytest.mark.parametrize(
    ("frames", "most", "expected"),
    [
        (1, 16, [0]),
        (3, 3, [0, 1, 2]),
        (5, 3, [0, 2, 4]),
        (8, 4, [0, 2, 5, 7]),  # 7/3 = 2.3, 14/3 = 4.7
        (100, 2, [0, 99]),
    ],
)
def test_frames_by_hand(frames: int, most: int, expected: list[int]) -> None:
    assert evenly(frames, most) == expected


@pytest.mark.parametrize("frames", [*range(1, 40), 121, 1000])
def test_frames_are_distinct_and_begin_and_end_with_the_run(frames: int) -> None:
    picked = evenly(frames)

    assert len(picked) == min(frames, 16)
    assert picked == sorted(set(picked))
    assert (picked[0], picked[-1]) == (0, frames - 1)
    gaps = np.diff(picked)
    assert len(gaps) == 0 or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("count", "start", "expected"),
    [(4, 0, [0, 1, 2, 3]), (4, 3, [3, 0, 1, 2]), (4, 6, [2, 3, 0, 1]), (1, 5, [0]), (0, 2, [])],
)
def test_rotation_by_hand(count: int, start: int, expected: list[int]) -> None:
    assert list(rotated(count, start)) == expected
