"""A model is known again by its weights, wherever they lie, and told from others of its class."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host


@pytest.fixture
def fingerprint(host: Any) -> Any:
    """`fingerprint(model)`."""
    return host.module("nodes.library.weights").weights_fingerprint


@pytest.fixture
def build(host: Any) -> Any:
    """`build(**changes)`: the bundled model anew, the weights of these names changed."""
    parts = host.module("demo_model.parts")

    def make(change: Any = lambda name, weight: weight) -> Any:
        weights, _ = parts.read_weights(parts.WEIGHTS)
        return parts.build_model({name: change(name, w) for name, w in weights.items()})

    return make


def test_the_same_file_is_the_same_model(fingerprint, build):
    first, second = fingerprint(build()), fingerprint(build())
    assert first == second and len(first) == 16


def test_the_bundled_preset_knows_its_model(host, fingerprint, build):
    (preset,) = host.run("OTCacheLoadAnchor", anchor_name="preset: otcache-demo").outputs
    assert preset.weights == fingerprint(build())


def test_other_weights_are_another_model(fingerprint, build, tiny_flux):
    finetuned = build(lambda name, weight: weight * 1.01)
    precision = build(lambda name, weight: weight.bfloat16().float())
    found = {fingerprint(model) for model in (build(), finetuned, precision, tiny_flux.model)}
    assert len(found) == 4


def test_names_do_not_matter(fingerprint, build, monkeypatch):
    model = build()
    before = fingerprint(model)
    own = model.model.diffusion_model
    renamed = [(f"new.{name}", weight) for name, weight in own.named_parameters()]
    monkeypatch.setattr(own, "named_parameters", lambda: reversed(renamed))
    assert fingerprint(model) == before


def test_a_lora_does_not_matter_even_while_it_is_merged(host, fingerprint, build):
    import comfy.model_management

    model = build()
    before = fingerprint(model)
    key = next(name for name in model.model_state_dict() if name.endswith("img_in.weight"))
    patched = model.clone()
    patched.add_patches({key: (torch.ones_like(model.model.get_parameter(key)),)})
    comfy.model_management.load_models_gpu([patched])
    try:
        merged, kept = patched.model.get_parameter(key), patched.backup[key].weight
        assert not torch.equal(merged.cpu(), kept.cpu())
        assert fingerprint(patched) == before
    finally:
        comfy.model_management.unload_all_models()


def test_nothing_is_read_of_what_cannot_be_read(fingerprint, build):
    model = build()
    model.model.diffusion_model.to("meta")
    assert fingerprint(model) == ""
