"""Weights that are not simply there: in 8 bits, packed in a GGUF file, left on another device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch

from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.models.sizes import FLUX, UNET
from benchmarks.models.tiny import Parts, build_model

pytestmark = pytest.mark.host

STEPS, BUDGET, CFG = 20, 8, 3.0

SAME = {"atol": 2e-3, "rtol": 0.2} if torch.cuda.is_available() else {"atol": 1e-5, "rtol": 1.3e-6}
"""How near weights with a LoRA come to the same computed elsewhere or in another order."""


@pytest.fixture
def sampled(plain) -> Callable[[Parts], Callable[[Any], torch.Tensor]]:
    """`sampled(parts)`: a function that samples a model with guidance."""
    return lambda parts: lambda model: plain(parts, model, steps=STEPS, cfg=CFG)


def test_fp8(tiny_eps, held_to_plain, sampled):
    model = build_model("SD15", UNET, "BaseModel", "EPS", torch.float8_e4m3fn)
    assert model.model.get_dtype() == torch.float8_e4m3fn

    plain = held_to_plain("fp8 weights", model, sampled(tiny_eps))

    assert not torch.equal(plain, sampled(tiny_eps)(tiny_eps.model))


# GGUF


def _write_gguf(path: Path, weights: dict[str, torch.Tensor], kind: Any) -> None:
    """Weights as GGUF files hold them: the blocks' matrices packed, the rest as it is.

    Packed are 32 values of a row at a time.
    """
    writer = gguf.GGUFWriter(path, "flux")
    for name, weight in weights.items():
        values = weight.detach().float().numpy()
        if "_blocks." in name and values.ndim == 2 and values.shape[1] % 32 == 0:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read_gguf(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """A file's tensors, packed ones as their bytes, and how each is packed."""
    tensors = gguf.GGUFReader(path).tensors
    weights = {tensor.name: torch.from_numpy(tensor.data.copy()) for tensor in tensors}
    return weights, {tensor.name: tensor.tensor_type for tensor in tensors}


def _unpacking_layers(kinds: dict[str, Any]) -> Any:
    """Layers that keep a file's bytes and unpack them in every forward, as GGUF loaders do."""
    import comfy.ops

    class Layers(comfy.ops.manual_cast):
        class Linear(comfy.ops.manual_cast.Linear):
            def _load_from_state_dict(self, weights: Any, prefix: str, *rest: Any) -> None:
                self.kind = kinds[f"{prefix}weight"]
                for name in ("weight", "bias"):
                    if f"{prefix}{name}" in weights:
                        value = torch.nn.Parameter(weights[f"{prefix}{name}"], requires_grad=False)
                        setattr(self, name, value)

            def forward_comfy_cast_weights(self, x: torch.Tensor) -> torch.Tensor:
                unpacked = gguf.quants.dequantize(self.weight.cpu().numpy(), self.kind)
                return torch.nn.functional.linear(x, torch.from_numpy(unpacked).to(x), self.bias)

    return Layers


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0"])
def test_a_gguf_file(host, tmp_path, held_to_plain, sampled, name):
    flux = next(a for a in ARCHITECTURES if a.name == "FLUX.1 dev").build()
    whole = flux.model.model.diffusion_model.state_dict()
    path = tmp_path / f"flux-{name}.gguf"
    _write_gguf(path, whole, gguf.GGMLQuantizationType[name])
    weights, kinds = _read_gguf(path)
    model = build_model("Flux", FLUX, operations=_unpacking_layers(kinds))
    model.model.load_model_weights(dict(weights), "")
    held = model.model.diffusion_model.double_blocks[0].img_attn.qkv.weight
    assert held.dtype == torch.uint8  # packed while it lies there

    plain = held_to_plain("GGUF files", model, sampled(flux))

    assert not torch.equal(plain, sampled(flux)(flux.model))


# Low VRAM


@pytest.fixture
def room_for(host, monkeypatch) -> Iterator[Callable[[Any, float], None]]:
    """`room_for(model, n)`: the host takes its CPU for a GPU that has room for n bytes of weights.

    All else is the host's own: what it leaves behind on the offload device, how such weights come
    to each forward, and how they are patched on the way.
    """
    import comfy.model_management as management

    def arrange(model: Any, size: float) -> None:
        management.unload_all_models()
        room = management.minimum_inference_memory() + size

        def free_memory(device: Any = None, torch_free_too: bool = False) -> Any:
            free = room - model.loaded_size()
            return (free, 0.0) if torch_free_too else free

        monkeypatch.setattr(management, "is_device_cpu", lambda device: False)
        monkeypatch.setattr(management, "vram_state", management.VRAMState.LOW_VRAM)
        monkeypatch.setattr(management, "get_free_memory", free_memory)

    yield arrange
    monkeypatch.undo()
    management.unload_all_models()


def _with_lora(parts: Parts) -> Parts:
    """A patch on every matrix: weights that are not loaded are patched at each forward."""
    model = parts.model.clone()
    weights = model.model_state_dict()
    patches = {
        key: ("diff", (torch.full_like(weight, 0.01),))
        for key, weight in weights.items()
        if weight.ndim == 2
    }
    assert set(model.add_patches(patches)) == set(patches)
    return replace(parts, model=model)


@pytest.mark.parametrize("share", [0.0, 0.8])
def test_weights_left_on_the_offload_device(tiny_flux, held_to_plain, sampled, room_for, share):
    parts = _with_lora(tiny_flux)
    size = parts.model.model_size()
    expected = sampled(parts)(parts.model)
    room_for(parts.model, max(share * size, 1.0))

    inner, loaded = parts.model.model, []

    def run(model: Any) -> torch.Tensor:
        samples = sampled(parts)(model)
        loaded.append(inner.model_loaded_weight_memory)
        assert inner.model_lowvram and inner.lowvram_patch_counter > 0
        return samples

    plain = held_to_plain("low-VRAM offload", parts.model, run)

    assert all(0 < memory < size if share else memory == 0 for memory in loaded)
    torch.testing.assert_close(plain, expected, **SAME)


def test_weights_that_leave_and_come_back_between_computed_steps(
    host, tiny_flux, counted, uniform, sampled, room_for
):
    # As when another model needs the room for a while.
    import comfy.model_management as management
    import comfy.sample

    parts = _with_lora(tiny_flux)
    inner, size = parts.model.model, parts.model.model_size()
    schedule = uniform(STEPS, BUDGET)  # 0, 3, 5, 8, 11, 14, 16, 19
    room_for(parts.model, 2 * size)
    device = parts.model.load_device
    seen = {}

    def disturb(step: int, denoised: Any, x: Any, steps: int) -> None:
        if step == 6:
            management.free_memory(management.get_free_memory() + size / 2, device)
        if step == 12:
            (loaded,) = management.current_loaded_models
            management.use_more_memory(10 * size, [loaded], device)
        seen[step] = inner.model_lowvram

    def run(model: Any, callback: Any = None) -> torch.Tensor:
        latent = parts.latent["samples"]
        with torch.inference_mode():
            return comfy.sample.sample(
                model, comfy.sample.prepare_noise(latent, 1), STEPS, CFG, "euler", "simple",
                parts.positive, parts.negative, latent, seed=1, callback=callback,
            )  # fmt: skip

    with counted(parts.model) as (model, calls):
        (cached,) = host.run("OTCacheApply", model=model, schedule=schedule).outputs
        expected = run(cached)
        disturbed = run(cached, disturb)

    assert calls.predictions == 2 * BUDGET
    assert [seen[step] for step in (5, 6, 11, 12, 19)] == [False, True, True, False, False]
    torch.testing.assert_close(disturbed, expected, **SAME)
