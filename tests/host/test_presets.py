"""Which anchor suits which model, and what is said when a run is not as its anchor was made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.models.architectures import ARCHITECTURES

pytestmark = pytest.mark.host

CHOICES = {
    "Z-Image": "preset: z-image",
    "Lumina 2": "preset: flow-matching (generic)",
    "Qwen-Image": "preset: qwen-image",
    "FLUX.1 dev": "preset: flow-matching (generic)",
    "Wan 2.1 t2v": "preset: flow-matching (generic)",
    "SDXL": "preset: sdxl-like (generic)",
    "SD 1.5 (v)": "preset: sdxl-like (generic)",
}


@pytest.fixture
def build() -> Any:
    """`build(name)`: a small model of an architecture."""
    return lambda name: next(a for a in ARCHITECTURES if a.name == name).build().model


@pytest.mark.parametrize(("architecture", "preset"), CHOICES.items())
def test_automatic_takes_the_preset_for_the_architecture(host, build, architecture, preset):
    result = host.run("OTCacheLoadAnchor", anchor_name="automatic", model=build(architecture))

    assert result.outputs == host.run("OTCacheLoadAnchor", anchor_name=preset).outputs
    assert result.ui["text"][0].startswith(f"{preset}\n")


def test_automatic_knows_the_bundled_model(host, demo):
    assert _automatic(host, demo.model) == ("otcache-demo", "")


@pytest.fixture
def own_anchor(host: Any) -> Iterator[Callable[..., str]]:
    """`own_anchor("mine", weights=...)`: an anchor for some FLUX among the user's; its name."""
    folder = host.base / "models" / "otcache"
    preset = host.run("OTCacheLoadAnchor", anchor_name="preset: otcache-demo").outputs[0]
    made = []

    def make(name: str, **changes: Any) -> str:
        made.append(folder / f"{name}.otanchor.json")
        anchor = replace(preset, **{"name": name, "weights": "", **changes})
        host.module("nodes.library.files").store_anchor(anchor, made[-1])
        return made[-1].name

    yield make
    for path in made:
        path.unlink()


def _weights(host: Any, model: Any) -> str:
    return str(host.module("nodes.library.weights").weights_fingerprint(model))


def _automatic(host: Any, model: Any) -> tuple[str, str]:
    """The anchor's name, and the warning on the node."""
    result = host.run("OTCacheLoadAnchor", anchor_name="automatic", model=model)
    (shown,) = result.ui["otcache"]
    assert (result.ui["text"][0].splitlines()[0] == shown["warning"]) == bool(shown["warning"])
    return result.outputs[0].name, shown["warning"]


def test_automatic_prefers_an_anchor_of_the_very_model(host, build, own_anchor, demo):
    model = build("FLUX.1 dev")
    own_anchor("a toy's", weights=_weights(host, demo.model))
    own_anchor("an older one's")
    own_anchor("mine", weights=_weights(host, model))
    damaged = host.base / "models" / "otcache" / "a broken one.otanchor.json"
    damaged.write_text("{", encoding="utf-8")
    os.utime(damaged.parent)
    try:
        assert _automatic(host, model) == ("mine", "")
    finally:
        damaged.unlink()


def test_automatic_takes_no_other_models_anchor_where_there_is_a_preset(
    host, build, own_anchor, demo
):
    own_anchor("a toy's", weights=_weights(host, demo.model))
    own_anchor("an older one's")
    generic = host.run("OTCacheLoadAnchor", anchor_name="preset: flow-matching (generic)")
    assert _automatic(host, build("FLUX.1 dev")) == (generic.outputs[0].name, "")


@pytest.mark.parametrize(
    ("weights", "said"),
    [("0123456789abcdef", "was made on another Flux"), ("", "does not say on which Flux")],
)
def test_without_a_preset_another_models_anchor_comes_with_a_warning(
    host, build, own_anchor, monkeypatch, weights, said
):
    choice = host.module("nodes.library.choice")
    name = own_anchor("a toy's", weights=weights)
    monkeypatch.setattr(choice, "calibrated_names", lambda: [name])
    found, warning = _automatic(host, build("FLUX.1 dev"))
    assert found == "a toy's" and said in warning and "calibrate your own" in warning


def test_an_anchor_of_another_model_is_used_by_name_with_a_warning(host, build, own_anchor, demo):
    name = own_anchor("a toy's", weights=_weights(host, demo.model))
    warning = "was made on another Flux (other weights, or in another precision)"
    for model, said in ((build("FLUX.1 dev"), warning), (demo.model, "")):
        result = host.run("OTCacheLoadAnchor", anchor_name=name, model=model)
        (shown,) = result.ui["otcache"]
        assert said in shown["warning"] if said else shown["warning"] == ""


def test_an_older_anchor_of_ones_own_choice_is_not_doubted(host, build, own_anchor):
    name = own_anchor("an older one's")
    result = host.run("OTCacheLoadAnchor", anchor_name=name, model=build("FLUX.1 dev"))
    assert result.ui["otcache"][0]["warning"] == ""


def test_automatic_without_a_model_says_what_to_do(host):
    with pytest.raises(ValueError, match="connect the model that you sample, or choose"):
        host.run("OTCacheLoadAnchor", anchor_name="automatic")


def test_automatic_changes_when_an_anchor_is_added(host):
    node = host.node("OTCacheLoadAnchor")
    before = node.fingerprint_inputs(anchor_name="automatic")
    anchor = host.run("OTCacheLoadAnchor", anchor_name="preset: otcache-demo").outputs[0]
    path = host.base / "models" / "otcache" / "later.otanchor.json"
    host.module("nodes.library.files").store_anchor(anchor, path)
    try:
        assert node.fingerprint_inputs(anchor_name="automatic") != before
    finally:
        path.unlink()


def test_an_anchor_for_another_architecture_is_used_with_a_warning(host, caplog, build):
    name = "preset: qwen-image"
    result = host.run("OTCacheLoadAnchor", anchor_name=name, model=build("FLUX.1 dev"))

    assert result.outputs[0].name == "Qwen-Image"
    assert "is for QwenImage but the model is Flux" in result.ui["text"][0]
    assert [r.levelname for r in caplog.records if "QwenImage" in r.getMessage()] == ["WARNING"]


def _note(host: Any, parts: Any, sample: Any, preset: str, **options: Any) -> str:
    (anchor,) = host.run("OTCacheLoadAnchor", anchor_name=preset).outputs
    inputs = {"budget": 15, "rho": 1.3, "anchor_rho": True, "steps": 50}
    schedule = host.run("OTCachePredictSchedule", anchor=anchor, **inputs).outputs[0]
    _, done = sample(parts, schedule, **{"steps": 50, "cfg": 4.0, **options})
    return done["note"]


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"cfg": 2.5}, ""),
        ({"cfg": 4.0}, "Not as the anchor was calibrated: its cfg was 2.5, here it is 4."),
        ({"cfg": 2.5, "sampler_name": "dpmpp_2m"}, "its sampler was euler."),
        ({"cfg": 2.5, "sampler_name": "ddim"}, ""),  # the host's ddim is its euler
        ({"cfg": 2.5, "scheduler": "beta"}, "its scheduler was simple."),
    ],
)
def test_a_run_unlike_the_calibration_is_noted(host, demo, sample, options, note):
    found = _note(host, demo, sample, "preset: otcache-demo", **options)

    assert note in found if note else found == ""


def test_model_calls_stay_at_their_noise_levels_under_another_scheduler(host, demo, counted):
    anchor = host.run("OTCacheLoadAnchor", anchor_name="preset: otcache-demo").outputs[0]
    inputs = {"budget": 12, "rho": 1.1, "anchor_rho": True, "steps": 50}
    schedule = host.run("OTCachePredictSchedule", anchor=anchor, **inputs).outputs[0]
    made_at = [anchor.sampling.sigmas[t] for t in schedule.computed_steps]
    finished: list[Any] = []
    with counted(demo.model) as (model, calls):
        cached = host.module("nodes.sampling.host").apply_schedule(model, schedule, finished.append)
        host.run(
            "KSampler", model=cached, seed=1, steps=50, cfg=2.5, sampler_name="euler",
            scheduler="linear_quadratic", positive=demo.positive, negative=demo.negative,
            latent_image=demo.latent, denoise=1.0,
        )  # fmt: skip

    assert calls.predictions == 12
    # The other scheduler's own levels are apart, and its last steps are large.
    assert calls.sigmas[:-2] == pytest.approx(made_at[:-2], abs=0.04)
    assert "kept at the calibrated noise levels" in finished[0].note


def test_a_run_with_a_preset_for_another_model_is_noted(host, tiny_flux, sample):
    note = _note(host, tiny_flux, sample, "preset: qwen-image")

    assert "The anchor is for QwenImage but the model is Flux" in note


def test_a_generic_preset_has_no_cfg_of_its_own(host, tiny_flux, sample):
    assert _note(host, tiny_flux, sample, "preset: flow-matching (generic)") == ""


# Where anchors are saved


@pytest.mark.parametrize("time", ["once", "again"])
def test_what_a_test_saves_is_gone_for_the_next(host, time):
    path = host.base / "models" / "otcache" / "left behind.otanchor.json"
    assert not path.exists()
    anchor = host.run("OTCacheLoadAnchor", anchor_name="preset: otcache-demo").outputs[0]
    host.module("nodes.library.files").store_anchor(anchor, path)


def test_an_anchor_is_saved_to_the_first_folder_that_can_be_written(host, monkeypatch, tmp_path):
    import folder_paths

    library = host.module("nodes.library.files")
    locked, free = tmp_path / "locked", tmp_path / "free"
    locked.mkdir()
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda name: [str(locked), str(free)])
    # A process that may do anything writes to read-only folders, too; so the answer is given.
    monkeypatch.setattr(library.os, "access", lambda path, mode: Path(path) != locked)

    assert library.new_anchor_path("mine").parent == free
    monkeypatch.setattr(library.os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="must be writable but none is"):
        library.new_anchor_path("mine")
