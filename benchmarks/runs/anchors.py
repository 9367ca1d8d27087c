"""The anchor that a ground model is measured with: the pack's own node calibrates it, once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.instruments.record import RECORDS
from benchmarks.models import grounds
from benchmarks.models.sampled import STEPS, SampledModel

KEPT = RECORDS / "anchors"
"""Beside the records that were made with them, so that those can be repeated."""

SUFFIX = ".otanchor.json"
CALIBRATIONS = "OTCACHE_CALIBRATIONS"
STANDARD: Mapping[str, Any] = {"size": "standard", "reference_budget": 20}
TINY: Mapping[str, Any] = {
    "size": "custom", "trials": 2, "patience": 1, "reference_budget": 9, "estimator": "reuse",
}  # fmt: skip
"""Exercises the node in seconds, without gains to fit; good for nothing else."""


def provenance(name: str) -> str:
    """What a kept anchor says of itself."""
    return f"Calibrated by Calibrate OT Anchor on {name}, weights {grounds.digest(name)}."


def suits(anchor: Any, name: str, seen: SampledModel) -> bool:
    """Whether an anchor was made for these weights, sampled as they are now."""
    ground, made = seen.ground, anchor.sampling
    settings = (ground.sampler, ground.scheduler, ground.cfg)
    return (
        anchor.provenance.startswith(provenance(name))
        and (made.sampler, made.scheduler, made.cfg) == settings
        and anchor.anchor.steps == STEPS
    )


@contextmanager
def _calibrations_in(folder: Path) -> Iterator[None]:
    """Has calibrations keep what they have in a folder, as whoever runs a server may."""
    before = os.environ.get(CALIBRATIONS)
    os.environ[CALIBRATIONS] = str(folder)
    try:
        yield
    finally:
        del os.environ[CALIBRATIONS]
        if before is not None:
            os.environ[CALIBRATIONS] = before


def calibrated(name: str, seen: SampledModel, work: Path, size: Mapping[str, Any]) -> Any:
    """An anchor by Calibrate OT Anchor on calibration prompts; goes on where it was cut short."""
    host, ground = seen.host, seen.ground
    inputs = {
        "model": ground.model, "vae": ground.vae, "latent_image": {"samples": ground.latent},
        "name": name, "steps": STEPS, "cfg": ground.cfg, "sampler_name": ground.sampler,
        "scheduler": ground.scheduler, "seed": 0, "anchor_budget": 8, "trials": 0, "patience": 0,
        "estimator": "slope", **size,
    }  # fmt: skip
    with _calibrations_in(work / "calibrations"):
        anchor = host.run(
            "OTCacheCalibrateAnchor",
            positive=[seen.encode(text) for text in seen.texts],
            negative=[seen.encode("")],
            **{key: [value] for key, value in inputs.items()},
        ).outputs[0]
    told = f"{provenance(name)} Its size was {size['size']}."
    return replace(anchor, provenance=told)


def anchor_of(name: str, seen: SampledModel, work: Path, *, tiny: bool, anew: bool) -> Any:
    """A ground's anchor, kept in its folder: shipped, of the last record, or calibrated now.

    Args:
        name: The ground.
        seen: Its model on calibration prompts.
        work: Its folder.
        tiny: Whether one that is made now may be good for nothing.
        anew: Whether to make one now, whatever the records hold.
    """
    documents = seen.host.core("documents.anchor")
    path = work / f"anchor{SUFFIX}"
    if path.is_file():
        return documents.load_anchor(path)
    shipped, kept = grounds.shipped_anchor(name), KEPT / f"{name}{SUFFIX}"
    if shipped is not None:
        shutil.copyfile(shipped, path)
        return documents.load_anchor(path)
    if kept.is_file() and not anew:
        anchor = documents.load_anchor(kept)
        if suits(anchor, name, seen):
            documents.save_anchor(anchor, path)
            return anchor
    anchor = calibrated(name, seen, work, TINY if tiny else STANDARD)
    documents.save_anchor(anchor, path)
    return anchor


def keep_anchor(name: str, work: Path) -> None:
    """Puts a ground's anchor beside its record, but for one that ships anyway."""
    if grounds.shipped_anchor(name) is None:
        KEPT.mkdir(exist_ok=True)
        shutil.copyfile(work / f"anchor{SUFFIX}", KEPT / f"{name}{SUFFIX}")
