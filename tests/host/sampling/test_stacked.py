"""What people put on models beside a cache: other forwards, other attention, more inputs."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.models.sizes import FLUX
from benchmarks.models.tiny import Parts, build_model

pytestmark = pytest.mark.host

STEPS, CFG, CALLS = 20, 3.0, 11


def _small(name: str) -> Parts:
    return next(a for a in ARCHITECTURES if a.name == name).build()


class _OtherForward(torch.nn.Module):
    """A class of a pack's own in place of the host's, as engines of 4-bit weights have it.

    Its weights are 15 levels each, its forward takes what the host hands a FLUX, and the host's own
    forward, with the wrappers and patches in it, is never called by that name.
    """

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.engine, self.dtype = deepcopy(inner), inner.dtype
        for weight in self.engine.parameters():
            most = weight.data.abs().max().clamp(min=1e-9)
            weight.data = (weight.data / most * 7).round() / 7 * most

    def forward(
        self, x: Any, timestep: Any, context: Any, y: Any = None, guidance: Any = None,
        control: Any = None, transformer_options: Any = None, **rest: Any,
    ) -> torch.Tensor:  # fmt: skip
        return self.engine(x, timestep, context, y, guidance, transformer_options={})


def _other_forward(parts: Parts) -> Parts:
    inner = parts.model.model
    inner.diffusion_model = _OtherForward(inner.diffusion_model)
    return parts


def _fp8(parts: Parts) -> Parts:
    return replace(parts, model=build_model("Flux", FLUX, dtype=torch.float8_e4m3fn))


def _other_attention(parts: Parts) -> Parts:
    """Attention of 8-bit keys, put in by the host's own option for it."""

    def attend(attention: Any, q: Any, k: Any, v: Any, *args: Any, **rest: Any) -> Any:
        most = k.abs().amax(-1, keepdim=True).clamp(min=1e-9)
        return attention(q, (k / most * 127).round() / 127 * most, v, *args, **rest)

    model = parts.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = attend
    return replace(parts, model=model)


def _face(parts: Parts) -> Parts:
    """A face on FLUX: an embedding among the options, met in a block for part of a run."""
    generator = torch.Generator().manual_seed(7)
    face = torch.randn(1, 1, FLUX["hidden_size"], generator=generator)

    def block(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        done = extra["original_block"](args)
        options = args["transformer_options"]
        if float(options["sigmas"][0]) > 0.2:
            done["img"] = done["img"] + 0.5 * options["face"].to(done["img"])
        return done

    model = parts.model.clone()
    model.set_model_patch_replace(block, "dit", "double_block", 0)
    model.model_options["transformer_options"]["face"] = face
    return replace(parts, model=model)


def _input_patch(parts: Parts) -> Parts:
    """Other tokens before the first block, as image prompts of FLUX bring them."""

    def more(args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "img": args["img"] + 0.3 * args["img"].mean(1, keepdim=True)}

    model = parts.model.clone()
    model.set_model_patch(more, "post_input")
    return replace(parts, model=model)


def _all_at_once(parts: Parts) -> Parts:
    return _other_attention(_input_patch(_face(_fp8(parts))))


def _as_it_is(parts: Parts) -> Parts:
    return parts


def _without_control(parts: Parts) -> Parts:
    def off(conds: Any) -> Any:
        return [[context, {**values, "vace_strength": [0.0]}] for context, values in conds]

    return replace(parts, positive=off(parts.positive), negative=off(parts.negative))


Change = Callable[[Parts], Parts]

STACKED: dict[str, tuple[str, Change]] = {
    "Nunchaku, by a stand-in": ("FLUX.1 dev", _other_forward),
    "fp8 weights": ("FLUX.1 dev", _fp8),
    "attention overrides (SageAttention)": ("FLUX.1 dev", _other_attention),
    "attention overrides": ("Wan 2.1 t2v", _other_attention),
    "PuLID, by a stand-in": ("FLUX.1 dev", _face),
    "input patches": ("FLUX.1 dev", _input_patch),
    "all of these at once": ("FLUX.1 dev", _all_at_once),
    "VACE": ("Wan 2.1 VACE", _as_it_is),
}
"""By its name on the page of what works: the small model, and what puts it there."""


@pytest.fixture(scope="module", params=STACKED)
def stacked(request: pytest.FixtureRequest, host: Any) -> tuple[str, Parts, Parts]:
    """A name, the parts of a graph with it, and those without."""
    name, (model, change) = request.param, STACKED[request.param]
    bare = _without_control(_small(model)) if name == "VACE" else _small(model)
    return name, change(_small(model)), bare


@pytest.fixture
def sampled(plain) -> Callable[[Parts], Callable[[Any], torch.Tensor]]:
    """`sampled(parts)`: a function that samples a model with guidance."""
    return lambda parts: lambda model: plain(parts, model, steps=STEPS, cfg=CFG)


def test_with_a_schedule(held_to_plain, sampled, stacked):
    name, parts, bare = stacked
    plain = held_to_plain(name, parts.model, sampled(parts))

    assert not torch.equal(plain, sampled(bare)(bare.model))  # it does something


@pytest.mark.parametrize("grid", ["fine", "as sampled"])
def test_with_the_one_node(run_node, counted, state_of, sampled, stacked, grid):
    _, parts, _ = stacked
    before = state_of(parts.model)
    with counted(parts.model) as (watched, calls):
        (cached,) = run_node("OTCacheAuto", model=watched, calls=CALLS, grid=grid).outputs
        result = sampled(parts)(cached)

    assert calls.predictions == CALLS
    assert result.isfinite().all()
    plain = sampled(parts)(parts.model)
    assert 0.0 < (result - plain).square().mean() < plain.square().mean()
    assert state_of(parts.model) == before
