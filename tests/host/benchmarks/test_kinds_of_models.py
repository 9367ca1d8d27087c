"""The proving ground on models that are not the bundled one: noise prediction, and videos.

Weights are random: what is tested is that every contestant samples such a model, makes the asked
calls and is judged, and not how close it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.contestants.contestant import ON_OURS
from benchmarks.contestants.everyone import everyone
from benchmarks.contestants.generic import GENERIC
from benchmarks.contestants.lemica import _measure_end
from benchmarks.contestants.meancache import MEANCACHE
from benchmarks.contestants.measuring import measure_missing, rows_of
from benchmarks.contestants.vde import VDE
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import OURS
from benchmarks.models import grounds
from benchmarks.models.ground_model import GroundModel
from benchmarks.models.sampled import STEPS
from benchmarks.models.tiny import random_conditioning
from benchmarks.runs.fidelity_bench import QUICK, FidelityBench

pytestmark = [pytest.mark.host, pytest.mark.slow]

SIDE = 64
KINDS = {"tiny_eps": "karras", "tiny_video": "simple"}


class Vae:
    """Three channels of a latent as colours, large enough to be compared."""

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        frames = latent[:, :3].unsqueeze(2) if latent.ndim == 4 else latent[:, :3]
        count = frames.shape[2]
        flat = torch.sigmoid(frames.float()).movedim(2, 1).flatten(0, 1)
        large = torch.nn.functional.interpolate(flat, (SIDE, SIDE)).movedim(1, -1)
        videos = large.unflatten(0, (-1, count))
        return videos[:, 0] if latent.ndim == 4 else videos

    def spacial_compression_decode(self) -> int:
        return 8


class Clip:
    """Another random text for each prompt."""

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, tokens: str) -> list[Any]:
        return random_conditioning(len(tokens))


class Ground(GroundModel):
    def prompts(self, kind: str) -> list[str]:
        return [kind, f"another {kind}"]


@pytest.fixture(params=KINDS)
def bench(
    request: pytest.FixtureRequest, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FidelityBench:
    parts = request.getfixturevalue(request.param)

    def build(host: Any) -> GroundModel:
        return Ground(
            name="other", model=parts.model, clip=Clip(), vae=Vae(),
            latent=parts.latent["samples"], cfg=1.5, hard_cfg=4.0, sampler="euler",
            scheduler=KINDS[request.param], shift=None,
        )  # fmt: skip

    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"random")
    module = SimpleNamespace(NAME="other", build=build, WEIGHTS=weights)
    monkeypatch.setattr(grounds, "_module", lambda name: module)
    return FidelityBench(host, "other", tmp_path / "work", QUICK)


def test_every_way_to_skip_samples_and_is_judged(bench: FidelityBench, tmp_path: Path) -> None:
    listed = everyone()
    chosen = {OURS, MEANCACHE, GENERIC, VDE, "fewer steps: dpmpp_2m", "OTCache Sigmas, dpmpp_2m"}
    chosen |= {name for name in listed if name.endswith(ON_OURS)}
    contestants = {name: listed[name] for name in listed if name in chosen}
    kept = Kept(tmp_path / "kept.json")

    measure_missing(bench, contestants, kept, 12)
    rows = rows_of(contestants, kept.lines, (12,), QUICK.seeds)

    assert {row["contestant"]: row["calls"] for row in rows} == dict.fromkeys(contestants, 12.0)
    assert all(0.0 <= row["lpips"] < 2.0 for row in rows)
    assert max(row["lpips"] for row in rows) > 0.0
    assert bench.anchor.sampling.scheduler == bench.ground.scheduler


def test_a_run_goes_on_from_its_middle(bench: FidelityBench) -> None:
    shape = bench.ground.latent.shape[1:]
    runs = bench.trajectories
    states = torch.stack([torch.from_numpy(run.x[30]).view(shape) for run in runs])
    last = bench.seen.resume([0, 1], states, bench.sigmas[30:])
    expected = torch.stack([torch.from_numpy(run.x[-1]).view(shape) for run in runs])
    assert torch.allclose(last, expected, rtol=1e-3, atol=1e-3)


def test_segments_of_lemicas_graph_are_measured(bench: FidelityBench) -> None:
    costs = _measure_end(bench, 46)
    assert sorted(costs) == [(32, 46), (38, 46), (41, 46), (43, 46), (44, 46)]
    assert min(costs.values()) > 0.0


def test_a_full_schedule_is_at_no_distance(bench: FidelityBench) -> None:
    full = bench.host.core("documents.schedule").Schedule.full(STEPS)
    assert bench.seen.losses(full).max() < 1e-6


@pytest.mark.parametrize("name", ["AlignYourSteps grid, euler", "OptimalSteps grid, euler"])
def test_grids_serve_the_kind_of_model_that_they_are_made_for(
    bench: FidelityBench, name: str
) -> None:
    made: Callable[..., Any] = everyone()[name]
    noise = bench.ground.scheduler == "karras"
    assert (made(bench, 10) is not None) is (noise == name.startswith("Align"))
