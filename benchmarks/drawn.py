"""The node OTCache in settings that are drawn by chance, so that none of them was tuned on.

    nox -s bench -- drawn [--first N] [--settings N] [--work FOLDER]

A setting is a model, its guidance and shift, a scheduler, a sampler and a number of steps, all
drawn by the setting's number: whoever doubts the record draws others by ``--first``. Nothing is
known of the model, as with somebody's first picture. The node's default is beside all steps of the
sampler that it stands behind, and the node at few calls beside as many Euler steps; pictures are
compared with those of 200 Euler steps of the same scheduler. Settings that are left out keep their
rows.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.auto import CONVERGED, FIRST_SEED, PROMPTS, Way, measure_ways, with_node
from benchmarks.contestants.loading import ensure_extra
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.numbers import rounded_ratio
from benchmarks.instruments.record import read_results, write_record
from benchmarks.models import grounds
from benchmarks.models.ground_model import GroundModel
from benchmarks.models.sampled import SampledModel
from scripts.host.inprocess import Host, start_host

GUIDANCE = {"demo": (1.5, 11.0), "latent": (1.5, 11.0), "unet": (1.5, 25.0), "video": (1.5, 13.0)}
"""From mild to hard for each model; drawn evenly in its logarithm."""
UNGUIDED = 0.1
"""Share of settings without guidance."""
SHIFTS = {"latent": (1.0, 3.0, 6.0), "video": (1.0, 3.0, 6.0)}
"""Of models whose kind people shift; the others keep their own."""
SCHEDULERS = (
    "simple", "simple", "normal", "sgm_uniform", "beta", "karras", "kl_optimal", "exponential",
    "ddim_uniform", "linear_quadratic",
)  # fmt: skip
SAMPLERS = (
    "euler", "euler", "euler", "res_multistep", "dpmpp_2m", "uni_pc", "deis", "heun", "ipndm",
    "gradient_estimation",
)  # fmt: skip
STEPS = (14, 18, 20, 20, 22, 24, 25, 28, 30, 35, 50)
"""What is named more often is drawn more often."""

SETTINGS = 32
FEW = (8, 11)
FEW_OF = 0.7
"""Few calls are fewer than this share of the setting's steps."""


@dataclass(frozen=True)
class Setting:
    """How a model is sampled.

    Attributes:
        number: What it is drawn by.
        model, cfg, scheduler, sampler, steps: As KSampler has them.
        shift: Of the model's sampling; None where it keeps its own.
    """

    number: int
    model: str
    cfg: float
    shift: float | None
    scheduler: str
    sampler: str
    steps: int


def drawn(number: int) -> Setting:
    """The setting of a number, the same on any machine; models take turns."""
    chance = random.Random(f"otcache setting {number}")  # noqa: S311
    model = list(GUIDANCE)[number % len(GUIDANCE)]
    guidance = math.exp(chance.uniform(*map(math.log, GUIDANCE[model])))
    return Setting(
        number,
        model,
        1.0 if chance.random() < UNGUIDED else round(guidance, 1),
        chance.choice(SHIFTS[model]) if model in SHIFTS else None,
        chance.choice(SCHEDULERS),
        chance.choice(SAMPLERS),
        chance.choice(STEPS),
    )


def few(setting: Setting) -> list[int]:
    """The few calls that are worth looking at beside so many steps."""
    return [calls for calls in FEW if calls < FEW_OF * setting.steps]


def _ground(host: Host, setting: Setting) -> GroundModel:
    ground = grounds.build(host, setting.model)
    model = ground.model
    if setting.shift is not None:
        ensure_extra("ModelSamplingSD3", "nodes_model_advanced")
        (model,) = host.run("ModelSamplingSD3", model=model, shift=setting.shift).outputs
    return replace(ground, model=model, cfg=setting.cfg, scheduler=setting.scheduler)


def _ways(host: Host, ground: GroundModel, setting: Setting) -> Iterator[Way]:
    node, at = partial(with_node, host, ground.model), (setting.steps, setting.sampler)
    yield Way("plain", lambda: ground.model, *at)
    yield Way("default", partial(node, 0), *at)
    for calls in few(setting):
        yield Way(f"plain {calls}", lambda: ground.model, calls)
        yield Way(f"ours {calls}", partial(node, calls), *at)


def row_of(setting: Setting, lines: Mapping[str, Any]) -> dict[str, Any]:
    """A setting's row: losses, and the node's over plain ones with their intervals."""

    def over(ours: str, plain: str) -> list[float]:
        return rounded_ratio(*(lines[name]["lpips"] for name in (ours, plain)))

    return {
        **asdict(setting),
        "calls": round(lines["default"]["calls"], 2),
        "plain_calls": round(lines["plain"]["calls"], 2),
        "plain_lpips": round(float(np.mean(lines["plain"]["lpips"])), 6),
        "default": over("default", "plain"),
        "few": {str(calls): over(f"ours {calls}", f"plain {calls}") for calls in few(setting)},
    }


def measure(host: Host, setting: Setting, folder: Path) -> dict[str, Any]:
    """One setting's row: what is not kept in its folder yet is measured."""
    folder.mkdir(parents=True, exist_ok=True)
    ground = _ground(host, setting)
    sampled = SampledModel(host, ground, ground.prompts("held_out")[:PROMPTS], seed=FIRST_SEED)
    sampled.keep_references(folder / "converged.pt", steps=CONVERGED)
    kept = Kept(folder / "drawn.json")
    measure_ways(sampled, _ways(host, ground, setting), kept)
    return row_of(setting, kept.lines)


def main(arguments: Sequence[str]) -> None:
    """Measures, prints the rows and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first one's number")
    parser.add_argument("--settings", type=int, default=SETTINGS, metavar="N", help="how many")
    parser.add_argument("--work", type=Path, help="folder to keep what was done in")
    options = parser.parse_args(arguments)
    work = options.work or Path(tempfile.mkdtemp())
    host = start_host(Path(tempfile.mkdtemp()))
    results = read_results("drawn") or {"settings": []}
    results |= {"converged": CONVERGED, "prompts": PROMPTS}
    rows = {row["number"]: row for row in results["settings"]}
    for number in range(options.first, options.first + options.settings):
        row = measure(host, drawn(number), work / str(number))
        print(row, flush=True)
        rows[number] = row
        results["settings"] = [rows[known] for known in sorted(rows)]
        write_record("drawn", "nox -s bench -- drawn", results)
