"""The bundled model in the host: its parts, its stock nodes, and the twin it was trained as."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from demo_model.config import FLUX_CONFIG
from training.twin import FluxTwin

pytestmark = pytest.mark.host

ROUNDING = 5e-3 if torch.cuda.is_available() else 1e-5
"""Of the VAE, for which the host chooses 16 bits on a GPU."""


@pytest.fixture(scope="module")
def parts(host: Any) -> Any:
    return host.run("OTCacheDemoModel", batch_size=2).outputs


def _encode(host: Any, clip: Any, text: str) -> Any:
    return host.run("CLIPTextEncode", clip=clip, text=text).outputs[0]


def _picture(host: Any, parts: Any, prompt: str, cfg: float = 2.5, steps: int = 12) -> torch.Tensor:
    model, clip, vae, latent = parts
    positive, negative = _encode(host, clip, prompt), _encode(host, clip, "")
    (samples,) = host.run(
        "KSampler", model=model, seed=3, steps=steps, cfg=cfg, sampler_name="euler",
        scheduler="simple", positive=positive, negative=negative, latent_image=latent, denoise=1.0,
    ).outputs  # fmt: skip
    return host.run("VAEDecode", samples=samples, vae=vae).outputs[0]


def test_it_is_the_hosts_own_flux(parts):
    import comfy.ldm.flux.model
    import comfy.model_base
    import comfy.model_patcher

    model, _, _, latent = parts
    assert isinstance(model, comfy.model_patcher.ModelPatcher)
    assert type(model.model) is comfy.model_base.Flux
    assert type(model.model.diffusion_model) is comfy.ldm.flux.model.Flux
    assert latent["samples"].shape == (2, 3, 64, 64) and latent["samples"].count_nonzero() == 0


def test_stock_nodes_make_pictures_of_it(host, parts):
    pictures = _picture(host, parts, "a big red house at night")

    assert pictures.shape == (2, 64, 64, 3)
    assert pictures.min() >= 0.0 and pictures.max() <= 1.0
    assert not torch.equal(pictures[0], pictures[1])  # the noise of each is its own


def test_prompts_and_guidance_matter(host, parts):
    night = _picture(host, parts, "a big red house at night")

    assert torch.equal(_picture(host, parts, "A big RED house, at night!"), night)
    for other in (
        _picture(host, parts, "a small green tree by day"),
        _picture(host, parts, "a big red house at night", cfg=1.0),
    ):
        assert float((night - other).abs().mean()) > 0.02


def test_latents_go_through_the_vae_and_back(host, parts):
    vae = parts[2]
    picture = torch.rand(1, 64, 64, 3)
    (latent,) = host.run("VAEEncode", pixels=picture, vae=vae).outputs

    torch.testing.assert_close(
        host.run("VAEDecode", samples=latent, vae=vae).outputs[0], picture, rtol=0, atol=ROUNDING
    )


def test_words_it_does_not_know_change_nothing(host, parts):
    clip = parts[1]
    (known, extra), (same, _) = (
        _encode(host, clip, text)[0] for text in ("a red house", "a red qwertyuiop house")
    )

    assert torch.equal(known, same)
    assert known.shape == (1, 12, 64) and extra["pooled_output"].shape == (1, 64)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"not a safetensors file", (8).to_bytes(8, "little") + b"{}      "],
    ids=["missing", "empty", "damaged", "without the demo's metadata"],
)
def test_weights_that_cannot_be_read_are_a_clear_error(host, monkeypatch, tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(host.module("demo_model.parts"), "WEIGHTS", path)

    with pytest.raises(host.core("errors").OTCacheError) as caught:
        host.run("OTCacheDemoModel", batch_size=1)
    message = str(caught.value)
    assert "demo_model/model.safetensors" in message and "install the pack again" in message
    assert str(tmp_path) not in message or content is None  # no more of the path than it needs


def test_the_twin_is_the_hosts_flux(host):
    torch.manual_seed(0)
    twin = FluxTwin(FLUX_CONFIG)
    for parameter in twin.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    weights = {f"transformer.{name}": value for name, value in twin.state_dict().items()}
    model = host.module("demo_model.parts").build_model(weights).model.diffusion_model

    x, context, pooled = torch.randn(2, 3, 64, 64), torch.randn(2, 12, 64), torch.randn(2, 64)
    sigma = torch.tensor([0.3, 0.9])
    with torch.no_grad():
        expected = model(x, sigma, context=context, y=pooled)
        found = twin(x, sigma, context, pooled)

    assert float(expected.std()) > 0.1
    assert float((found - expected).abs().max()) < 1e-4 * max(1.0, float(expected.std()))
