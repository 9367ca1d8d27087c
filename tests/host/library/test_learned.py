"""What the node OTCache learns of a model: from which runs, for which runs, and where it stays."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

ENOUGH = 4


@pytest.fixture
def node(host, run_node, monkeypatch):
    """`node(model, calls=11, **inputs)`: the node's model; `node.told` is what it said of runs."""
    module = host.module("nodes.auto")
    monkeypatch.setattr(module, "own_anchors", lambda weights: [])

    def run(model: Any, calls: int = 11, **inputs: Any) -> Any:
        given = {"grid": "fine", "learn": "first pictures"} | inputs
        return run_node("OTCacheAuto", model=model, calls=calls, **given).outputs[0]

    run.told = []
    monkeypatch.setattr(
        module, "show_text", lambda said, place, report=None: run.told.append((list(said), report))
    )
    return run


def _known(folder: Any) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.otanchor.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _pictures(folder: Any) -> list[int]:
    return sorted(known["learned_in_runs"]["pictures"] for known in _known(folder))


def test_the_first_pictures_teach_and_later_ones_go_by_it(
    demo, plain, counted, node, learned_folder
):
    """How much closer they are is for ``nox -s bench -- auto``."""

    def picture(calls: int, learn: str) -> tuple[torch.Tensor, int]:
        with counted(demo.model) as (model, seen):
            got = plain(demo, node(model, calls, learn=learn), seed=20, steps=20, cfg=2.5)
        assert seen.predictions == calls
        return got, node.told[-1][1]["steps"]

    for seed in range(ENOUGH):
        plain(demo, node(demo.model, 11), seed=seed, steps=20, cfg=2.5)
        assert _pictures(learned_folder) == [seed + 1]

    (taught, fine), (alone, coarse) = (picture(16, how) for how in ("first pictures", "never"))
    assert fine > 2 * coarse and not torch.equal(taught, alone)
    assert _pictures(learned_folder) == [ENOUGH]
    # With fewer calls each run's first edge tells all that counts.
    (taught, _), (alone, _) = (picture(15, how) for how in ("first pictures", "never"))
    assert torch.equal(taught, alone)


@pytest.fixture
def calls_of(demo, plain, counted, node):
    """`calls_of(**run)`: model calls of the bundled model's run at the node's default."""

    def calls(learn: str = "first pictures", grid: str = "fine", **run: Any) -> int:
        with counted(demo.model) as (model, seen):
            plain(demo, node(model, 0, learn=learn, grid=grid), **{"steps": 20, "cfg": 2.5} | run)
        return seen.predictions

    return calls


def test_a_model_that_goes_straight_on_is_run_less_often_by_default(demo, plain, node, calls_of):
    made = [calls_of(seed=seed) for seed in range(ENOUGH + 2)]
    assert made[0] == 16 and made == sorted(made, reverse=True)
    assert made[-2] == made[-1] in (12, 13)
    said = f"{made[-1]} calls do for your 20 steps"
    assert any(said in line for line in node.told[-1][0])

    # Where that was not measured, or is not known, the default is as it was.
    picture = {"samples": plain(demo, steps=20, cfg=2.5)}
    others = [
        {"sampler_name": "res_multistep"}, {"cfg": 8.0}, {"learn": "never"},
        {"grid": "as sampled"}, {"denoise": 0.6, "latent": picture},
    ]  # fmt: skip
    assert [calls_of(**other) for other in others] == [16] * len(others)
    assert not any("do for your" in line for line in node.told[-1][0])


def test_a_model_that_takes_back_what_it_said_keeps_its_default(calls_of):
    assert [calls_of(seed=seed, cfg=8.0) for seed in range(ENOUGH + 1)] == [16] * (ENOUGH + 1)


def test_every_picture_teaches_where_that_is_asked_for(demo, plain, node, learned_folder):
    for seed in range(ENOUGH + 2):
        plain(demo, node(demo.model, learn="every picture"), seed=seed, steps=20)

    assert _pictures(learned_folder) == [ENOUGH + 2]
    said, _ = node.told[-1]
    assert f"This run has taught OTCache the model: {ENOUGH + 2} pictures so far." in said
    plain(demo, node(demo.model), seed=0, steps=20)
    assert _pictures(learned_folder) == [ENOUGH + 2]


def test_what_is_known_stays_and_so_does_a_seeds_picture(demo, plain, node, learned_folder):
    for seed in range(ENOUGH):
        plain(demo, node(demo.model), seed=seed, steps=20)
    [before] = _known(learned_folder)

    first, second = (plain(demo, node(demo.model), seed=9, steps=20) for _ in range(2))

    assert torch.equal(first, second)
    assert node.told[-1][0][-1] == "Learned from 4 pictures of this model."
    assert _known(learned_folder) == [before]
    assert before["weights"] and before["learned_in_runs"]["steadiness"] > 0.1


def test_each_run_says_what_it_taught(demo, plain, node):
    plain(demo, node(demo.model), steps=20)
    lines, report = node.told[-1]

    assert lines[-1] == "This run has taught OTCache the model: 1 of 4 pictures."
    assert report["learned"].startswith("learned: ")
    assert report["steadiness"] > 0.0


def test_a_batch_teaches_as_many_pictures(tiny_flux, plain, node, learned_folder):
    plain(tiny_flux, node(tiny_flux.model), {"samples": torch.zeros(3, 3, 8, 8)}, steps=20)

    assert _pictures(learned_folder) == [3]


def test_never_keeps_nothing_and_uses_nothing(demo, plain, node, learned_folder):
    alone = plain(demo, node(demo.model, 16, learn="never"), steps=20)
    assert not learned_folder.exists()

    for seed in range(ENOUGH):
        plain(demo, node(demo.model), seed=seed, steps=20)
    again = plain(demo, node(demo.model, 16, learn="never"), steps=20)

    assert torch.equal(again, alone)
    assert not torch.equal(plain(demo, node(demo.model, 16), steps=20), alone)


def test_other_guidance_is_learned_apart(demo, plain, node, learned_folder):
    for cfg in (2.5, 8.0):
        plain(demo, node(demo.model), steps=20, cfg=cfg)

    mild, strong = sorted(_known(learned_folder), key=lambda known: known["sampling"]["cfg"])
    assert (mild["sampling"]["cfg"], strong["sampling"]["cfg"]) == (2.5, 8.0)
    assert mild["learned_in_runs"]["steadiness"] > 0.0 > strong["learned_in_runs"]["steadiness"]


def _with_lora(model: Any, strength: float) -> Any:
    clone = model.clone()
    weights = {k: w for k, w in clone.model_state_dict().items() if w.ndim == 2}
    assert clone.add_patches(
        {key: ("diff", (torch.full_like(weight, 1e-3),)) for key, weight in weights.items()},
        strength,
    )
    return clone


def test_a_lora_begins_with_what_the_model_has_taught_and_is_kept_apart(
    demo, plain, node, learned_folder
):
    for seed in range(ENOUGH):
        plain(demo, node(demo.model), seed=seed, steps=20)
    changed = replace(demo, model=_with_lora(demo.model, 1.0))

    plain(changed, node(changed.model, 16, learn="never"), steps=20)
    alone = node.told[-1][1]["steps"]
    plain(changed, node(changed.model, 16), steps=20)

    assert node.told[-1][1]["steps"] > 2 * alone  # finer, by what the model had taught
    assert _pictures(learned_folder) == [1, ENOUGH]
    plain(demo, node(_with_lora(demo.model, 0.5)), steps=20)
    assert _pictures(learned_folder) == [1, 1, ENOUGH]


def test_another_model_knows_nothing_of_it(demo, tiny_flux, plain, node, learned_folder):
    for seed in range(ENOUGH):
        plain(demo, node(demo.model), seed=seed, steps=20)
    plain(tiny_flux, node(tiny_flux.model), steps=20)

    assert _pictures(learned_folder) == [1, ENOUGH]
    assert "1 of 4" in node.told[-1][0][-1]


def test_a_guider_without_one_guidance_scale_learns_too(tiny_flux, node, learned_folder):
    import comfy.samplers

    class Guider(comfy.samplers.CFGGuider):  # as of packs that guide by several scales
        def predict_noise(self, x, timestep, model_options=None, seed=None):
            conds, options = self.conds, model_options or {}
            return comfy.samplers.sampling_function(
                self.inner_model, x, timestep, conds["negative"], conds["positive"], 2.0,
                model_options=options, seed=seed,
            )  # fmt: skip

    guider = Guider(node(tiny_flux.model))
    guider.cfg = None
    guider.set_conds(tiny_flux.positive, tiny_flux.negative)
    shape, levels = (1, 3, 8, 8), torch.linspace(1.0, 0.0, 21)
    with torch.inference_mode():
        guider.sample(
            torch.randn(shape), torch.zeros(shape), comfy.samplers.sampler_object("euler"), levels
        )

    assert _pictures(learned_folder) == [1]


@pytest.mark.parametrize("sampler_name", ["euler_ancestral", "dpmpp_2m_sde", "lcm"])
def test_runs_with_noise_teach_nothing(tiny_flux, plain, node, learned_folder, sampler_name):
    plain(tiny_flux, node(tiny_flux.model), sampler_name=sampler_name, steps=20)

    assert not learned_folder.exists()


def test_runs_on_the_samplers_own_steps_teach_nothing(tiny_flux, plain, node, learned_folder):
    plain(tiny_flux, node(tiny_flux.model, grid="as sampled"), steps=20)

    assert not learned_folder.exists()


def test_inpainting_teaches_nothing(tiny_flux, plain, node, learned_folder):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1.0
    latent = {"samples": torch.rand(1, 3, 8, 8), "noise_mask": mask}
    plain(tiny_flux, node(tiny_flux.model), latent, steps=20)

    assert not learned_folder.exists()


def test_a_run_that_ended_in_nan_teaches_nothing(
    tiny_flux, plain, node, nan_at_forward, learned_folder
):
    nan_at_forward(tiny_flux.model, 5)
    plain(tiny_flux, node(tiny_flux.model), steps=20)

    assert not learned_folder.exists()


def test_an_interrupted_run_teaches_nothing(tiny_flux, plain, node, before_forward, learned_folder):
    import comfy.model_management as management

    def interrupt() -> None:
        raise management.InterruptProcessingException

    before_forward(tiny_flux.model, 5, interrupt)
    with pytest.raises(management.InterruptProcessingException):
        plain(tiny_flux, node(tiny_flux.model), steps=20)

    assert not learned_folder.exists()


def test_an_anchor_is_taken_as_it_is(host, demo, plain, node, learned_folder):
    anchor = host.module("nodes.library.files").open_anchor("preset: otcache-demo")
    plain(demo, node(demo.model, anchor=anchor), steps=20)

    assert not learned_folder.exists()


@pytest.mark.parametrize("content", ["", "{", '{"format": "otcache-anchor"}', "[1]"])
def test_a_damaged_file_is_learned_anew(tiny_flux, plain, node, learned_folder, content):
    plain(tiny_flux, node(tiny_flux.model), steps=20)
    [file] = learned_folder.glob("*.json")
    file.write_text(content, encoding="utf-8")

    plain(tiny_flux, node(tiny_flux.model), steps=20)

    assert _pictures(learned_folder) == [1]


def test_a_folder_that_cannot_be_written_is_told(tiny_flux, plain, node, learned_folder):
    learned_folder.write_text("no folder", encoding="utf-8")

    latent = plain(tiny_flux, node(tiny_flux.model), steps=20)

    assert latent.isfinite().all()
    assert "could not be kept" in node.told[-1][0][-1]


def test_the_oldest_files_go(host, tiny_flux, plain, node, learned_folder, monkeypatch):
    module = host.module("nodes.library.learned")
    monkeypatch.setattr(module, "MOST_FILES", 2)
    for cfg in (2.0, 3.0, 4.0):
        plain(tiny_flux, node(tiny_flux.model), steps=20, cfg=cfg)
        for path in learned_folder.iterdir():  # a second apart, whatever the clock
            stat = path.stat()
            os.utime(path, (stat.st_atime, stat.st_mtime - 1.0))

    kept = sorted(known["sampling"]["cfg"] for known in _known(learned_folder))
    assert kept == [3.0, 4.0]


# Beside other anchors


def test_what_was_learned_is_listed_and_can_be_loaded_saved_and_forgotten(
    host, run_node, demo, plain, node, learned_folder
):
    files, learned = host.module("nodes.library.files"), host.module("nodes.library.learned")
    plain(demo, node(demo.model), steps=20)
    name = node.told[-1][1]["learned"]

    assert name in files.anchor_names()
    anchor = run_node("OTCacheLoadAnchor", anchor_name=name, model=demo.model).outputs[0]
    assert anchor.learned_in_runs.pictures == 1
    schedule = run_node(
        "OTCachePredictSchedule", anchor=anchor, budget=11, steps=50, rho=1.0, anchor_rho=True
    ).outputs[0]
    assert (schedule.estimator, schedule.steadiness) == (
        "adaptive",
        anchor.learned_in_runs.believed,
    )

    assert learned.forget_like(name) == 1
    assert name not in files.anchor_names()
    with pytest.raises(host.core("errors").OTCacheError, match="may be gone already"):
        learned.forget_like(name)


@pytest.mark.parametrize("name", ["learned: ../../x", "learned: /etc/passwd", "../x", ""])
def test_only_listed_names_are_forgotten(host, demo, plain, node, learned_folder, name):
    plain(demo, node(demo.model), steps=20)

    with pytest.raises(host.core("errors").OTCacheError):
        host.module("nodes.library.learned").forget_like(name)
    assert _pictures(learned_folder) == [1]


def test_automatic_never_chooses_it(host, demo, plain, node):
    choice = host.module("nodes.library.choice")
    weights = host.module("nodes.library.weights").weights_fingerprint(demo.model)
    files = host.module("nodes.library.files")
    before = files.fingerprint("automatic")
    chosen = choice.choose_anchor(["Flux", "flow matching"], weights)
    plain(demo, node(demo.model), steps=20)

    assert choice.choose_anchor(["Flux", "flow matching"], weights) == chosen
    assert choice.own_anchors("0" * 16) == []
    assert files.fingerprint("automatic") == before
