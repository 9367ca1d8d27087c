"""The anchor of a ground model: made by the pack's own node, kept, and known for its weights."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.models import demo, grounds
from benchmarks.models.sampled import SampledModel
from benchmarks.runs import anchors

pytestmark = pytest.mark.host


@pytest.fixture
def seen(host: Any) -> SampledModel:
    return SampledModel(host, grounds.build(host, "demo-hard"), demo.prompts("calibration")[:2])


@pytest.mark.slow
def test_an_anchor_is_calibrated_once_at_the_models_own_guidance(
    seen: SampledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors, "KEPT", tmp_path / "records")
    work = tmp_path / "work"
    work.mkdir()

    made = anchors.anchor_of("demo-hard", seen, work, tiny=True, anew=False)

    assert anchors.CALIBRATIONS not in os.environ  # whoever calibrates next has a place of its own
    assert made.sampling.cfg == seen.ground.hard_cfg != demo.build(seen.host).cfg
    assert made.anchor.budget == 8 and made.calibration.prompts == 2
    assert made.provenance.endswith("Its size was custom.")
    assert anchors.suits(made, "demo-hard", seen)
    monkeypatch.setattr(anchors, "calibrated", None)  # what is there is not made again
    again = anchors.anchor_of("demo-hard", seen, work, tiny=True, anew=False)
    assert again.anchor == made.anchor
    anchors.keep_anchor("demo-hard", work)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = anchors.anchor_of("demo-hard", seen, elsewhere, tiny=False, anew=False)
    assert kept.anchor == made.anchor


def test_an_anchor_of_other_weights_or_settings_does_not_suit(
    seen: SampledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = seen.host.core("documents.anchor")
    shipped = documents.load_anchor(demo.ANCHOR)
    sampling = replace(shipped.sampling, cfg=seen.ground.cfg)
    told = anchors.provenance("demo-hard")
    good = replace(shipped, sampling=sampling, provenance=told)
    assert anchors.suits(good, "demo-hard", seen)
    assert not anchors.suits(shipped, "demo-hard", seen)
    assert not anchors.suits(replace(good, sampling=shipped.sampling), "demo-hard", seen)
    monkeypatch.setattr(grounds, "digest", lambda name: "0123456789ab")
    assert not anchors.suits(good, "demo-hard", seen)


def test_the_shipped_anchor_is_the_easy_models_own(host: Any, tmp_path: Path) -> None:
    documents = host.core("documents.anchor")
    easy = SampledModel(host, demo.build(host), [])
    found = anchors.anchor_of("demo", easy, tmp_path, tiny=True, anew=True)
    assert found == documents.load_anchor(demo.ANCHOR)
    anchors.keep_anchor("demo", tmp_path)
    assert not (anchors.KEPT / f"demo{anchors.SUFFIX}").exists()
