"""Small models stay small on every host, and get the fields that it asks for."""

from __future__ import annotations

import pytest
import torch

from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.models.fitting import MOST_BYTES, build_checked, taken
from benchmarks.models.sizes import FLUX, UNET, WAN
from benchmarks.models.tiny import build_model, randomise

pytestmark = pytest.mark.host


def test_a_model_that_is_too_large_is_never_built(host):
    full_size = FLUX | {"hidden_size": 3072, "num_heads": 24, "axes_dim": [16, 56, 56]}
    full_size |= {"depth": 19, "depth_single_blocks": 38, "mlp_ratio": 4.0}
    with pytest.raises(ValueError, match=r"at most 1024 MiB of weights but .* makes 4\d{4} MiB"):
        build_model("Flux", full_size)


def test_the_limit_is_met_to_the_byte():
    def make(device: torch.device) -> torch.nn.Module:
        built.append(device.type)
        return torch.nn.Linear(extra + MOST_BYTES // 4, 1, bias=False, device=device)

    built, extra = [], 1
    with pytest.raises(ValueError):
        build_checked(make, torch.device("meta"))
    extra = 0
    build_checked(make, torch.device("meta"))
    assert built == ["meta"] * 3


def test_a_class_that_reads_while_it_is_built_is_looked_at_afterwards():
    def make(device: torch.device) -> torch.nn.Module:
        torch.ones(2, device=device).sum().item()
        return torch.nn.Linear(size, 1, bias=False, device=device)

    size = 4
    assert build_checked(make, torch.device("cpu")).weight.shape == (1, 4)
    size = 1 + MOST_BYTES // 4
    with pytest.raises(ValueError, match="at most 1024 MiB"):
        build_checked(make, torch.device("cpu"))


def test_another_error_of_building_is_told():
    def make(device: torch.device) -> torch.nn.Module:
        raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        build_checked(make, torch.device("cpu"))


def test_sizes_that_a_family_sets_by_itself_are_ours(host):
    model = build_model("SD15", UNET | {"num_heads": 4}, "BaseModel", "EPS").model
    assert model.model_config.unet_config["num_heads"] == 4
    heads = {module.heads for module in model.modules() if hasattr(module, "heads")}
    assert heads == {4}


def test_parts_whose_size_no_configuration_sets_are_made_small(host):
    anima = next(each for each in ARCHITECTURES if each.name == "Anima")
    if not anima.exists:
        pytest.skip("this ComfyUI has no Anima")
    weights = sum(weight.numel() for weight in anima.build().model.model.parameters())
    assert weights < 1e6


def test_tables_that_come_with_the_weights_are_filled_and_others_left_alone():
    module = torch.nn.Linear(1, 1)
    module.register_buffer("table", torch.full((2,), torch.nan))
    module.register_buffer("counts", torch.tensor([3]))
    module.register_buffer("own", torch.ones(2), persistent=False)
    randomise(module)
    assert module.table.isfinite().all()
    assert module.counts.tolist() == [3] and module.own.tolist() == [1.0, 1.0]


def test_fields_that_came_later_are_left_out(host, monkeypatch):
    import dataclasses

    import comfy.ldm.flux.model as flux

    @dataclasses.dataclass
    class Old:
        depth: int

    monkeypatch.setattr(flux, "FluxParams", Old)
    assert set(FLUX) - set(taken(FLUX)) == {"txt_ids_dims", "vec_in_dim"}
    assert taken(WAN) == WAN
