"""A real ComfyUI in this process, the pack loaded by its own loader, and small models to sample.

The loaded pack has its own copy of `otcache_core`. Tests here take core classes from that copy, by
`host.core("schedule")`, and never import `otcache_core` themselves.
"""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.host import REPOSITORY, ensure_host
from scripts.lpips_trunk import ensure_trunk
from scripts.torchvision_cpu import declare_missing_operators

EXTRA_NODES = ("nodes_custom_sampler", "nodes_easycache")

TINY_FLUX = {
    "image_model": "flux",
    "in_channels": 3,
    "out_channels": 3,
    "vec_in_dim": 8,
    "context_in_dim": 8,
    "hidden_size": 32,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [4, 6, 6],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": False,
}

TINY_UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [1],
    "transformer_depth_output": [1, 1],
    "transformer_depth_middle": 1,
    "context_dim": 8,
    "num_heads": 2,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "use_temporal_attention": False,
    "adm_in_channels": None,
    "legacy": False,
}

TINY_VIDEO = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "in_dim": 16,
    "out_dim": 16,
    "dim": 32,
    "ffn_dim": 32,
    "num_heads": 2,
    "num_layers": 1,
    "freq_dim": 16,
    "text_dim": 8,
}


@dataclass(frozen=True)
class Result:
    """What a node returned: its outputs, and what it shows on itself."""

    outputs: tuple[Any, ...]
    ui: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """A ComfyUI with the pack in it.

    Attributes:
        pack: The module name that the loader gave the pack.
        base: ComfyUI's base folder: models, outputs, user files.
    """

    pack: str
    base: Path

    def module(self, name: str) -> Any:
        """A module of the loaded pack, such as `nodes.host`."""
        return importlib.import_module(f"{self.pack}.{name}")

    def core(self, name: str) -> Any:
        """A module of the loaded pack's own `otcache_core`."""
        return self.module(f"otcache_core.{name}")

    def node(self, node_id: str) -> Any:
        """A node's class, the pack's or the host's own."""
        return importlib.import_module("nodes").NODE_CLASS_MAPPINGS[node_id]

    def run(self, node_id: str, **inputs: Any) -> Result:
        """Runs one node as the host does: on a copy of its class, without autograd."""
        cls = self.node(node_id)
        with torch.inference_mode():
            if not hasattr(cls, "PREPARE_CLASS_CLONE"):  # the host's older nodes
                return Result(tuple(getattr(cls(), cls.FUNCTION)(**inputs)))
            output = cls.PREPARE_CLASS_CLONE(None).execute(**inputs)
        return Result(tuple(output.args), output.ui or {})


@dataclass(frozen=True)
class Parts:
    """A model and all that a sampler needs beside it."""

    model: Any
    positive: Any
    negative: Any
    latent: dict[str, Any]

    def batch(self, size: int) -> Parts:
        """The same with a larger empty latent."""
        samples = self.latent["samples"]
        return replace(self, latent={"samples": samples.repeat_interleave(size, dim=0)})


@dataclass
class Calls:
    """What the model itself was asked.

    Attributes:
        forwards: Runs of the diffusion model's forward.
        rows: Batch rows over all of them: one per picture and cond.
        sigmas: Noise level of each guided prediction that the model worked for.
    """

    forwards: int = 0
    rows: int = 0
    sigmas: list[float] = field(default_factory=list)

    @property
    def predictions(self) -> int:
        """Guided predictions, the unit of a budget: all conds of a step count once."""
        return len(self.sigmas)


def _import_host(path: Path, base: Path) -> Host:
    declare_missing_operators()
    # The host comes first: its `nodes.py` must not be shadowed by the pack's `nodes/`.
    sys.path.insert(0, str(path))
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    args.base_directory = str(base)
    import comfy.utils

    import nodes

    comfy.utils.PROGRESS_BAR_ENABLED = False
    extras = [path / "comfy_extras" / f"{name}.py" for name in EXTRA_NODES]
    for source, parent in [(REPOSITORY, "custom_nodes"), *((e, "comfy_extras") for e in extras)]:
        assert asyncio.run(nodes.load_custom_node(str(source), module_parent=parent)), source
    # pytest may have imported the checkout as well, under another name; this is the host's copy.
    return Host(nodes.NODE_CLASS_MAPPINGS["OTCacheSampler"].__module__.split(".nodes.")[0], base)


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The host in this process, with the pack and the LPIPS trunk in it."""
    base = tmp_path_factory.mktemp("comfyui")
    for folder in ("models/lpips", "models/otcache", "custom_nodes", "input", "output", "user"):
        (base / folder).mkdir(parents=True)
    shutil.copyfile(ensure_trunk(), base / "models" / "lpips" / "alexnet.safetensors")
    # Models this small gain nothing from threads, and lose a lot to them on a busy machine.
    torch.set_num_threads(1)
    return _import_host(ensure_host(), base)


@pytest.fixture(scope="session")
def run_node(host: Host) -> Callable[..., Result]:
    """`run_node(node_id, **inputs)`."""
    return host.run


def _random_conditioning(seed: int) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(1, 6, 8, generator=generator)
    return [[context, {"pooled_output": torch.randn(1, 8, generator=generator)}]]


def _randomise(module: torch.nn.Module, spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * spread)


@pytest.fixture(scope="session")
def tiny_flux(host: Host) -> Parts:
    """The host's FLUX with random weights: a flow model, about 2 ms a call."""
    from training.twin import FluxTwin

    demo_model = host.module("nodes.demo_model")
    twin = FluxTwin(TINY_FLUX)
    _randomise(twin, 0.1)
    weights = {f"transformer.{name}": value for name, value in twin.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_model, "FLUX_CONFIG", TINY_FLUX)
        model = demo_model.build_model(weights)
    latent = {"samples": torch.zeros(1, 3, 8, 8)}
    return Parts(model, _random_conditioning(1), _random_conditioning(2), latent)


def _patcher(model: Any) -> Any:
    import comfy.model_management as management
    import comfy.model_patcher

    devices = (management.get_torch_device(), management.unet_offload_device())
    return comfy.model_patcher.ModelPatcher(model, *devices)


def _tiny_unet(kind: str) -> Parts:
    import comfy.model_base
    import comfy.model_management
    import comfy.supported_models

    family = comfy.supported_models.SD15(dict(TINY_UNET))
    family.set_inference_dtype(torch.float32, None)
    model_type = getattr(comfy.model_base.ModelType, kind)
    device = comfy.model_management.unet_offload_device()
    model = comfy.model_base.BaseModel(family, model_type=model_type, device=device)
    _randomise(model.diffusion_model, 0.03)
    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    return Parts(_patcher(model), _random_conditioning(1), _random_conditioning(2), latent)


@pytest.fixture(scope="session")
def tiny_eps(host: Host) -> Parts:
    """The host's UNet of SD 1.5 with random weights: it predicts noise, sigmas reach 14.6."""
    return _tiny_unet("EPS")


@pytest.fixture(scope="session")
def tiny_v(host: Host) -> Parts:
    """The same UNet, predicting v."""
    return _tiny_unet("V_PREDICTION")


@pytest.fixture(scope="session")
def tiny_video(host: Host) -> Parts:
    """The host's Wan 2.1 with random weights: latents of five dimensions, three frames of them."""
    import comfy.model_management
    import comfy.supported_models

    family = comfy.supported_models.WAN21_T2V(dict(TINY_VIDEO))
    family.set_inference_dtype(torch.float32, None)
    model = family.get_model({}, "", device=comfy.model_management.unet_offload_device())
    _randomise(model.diffusion_model, 0.1)
    latent = {"samples": torch.zeros(1, 16, 3, 8, 8)}
    return Parts(_patcher(model), _random_conditioning(1), _random_conditioning(2), latent)


@pytest.fixture(scope="session")
def demo(host: Host) -> Parts:
    """The bundled model with a prompt it knows."""
    model, clip, _, latent = host.run("OTCacheDemoModel", batch_size=1).outputs
    (positive,) = host.run("CLIPTextEncode", clip=clip, text="a big red house at night").outputs
    (negative,) = host.run("CLIPTextEncode", clip=clip, text="").outputs
    return Parts(model, positive, negative, latent)


@pytest.fixture(scope="session")
def demo_vae(host: Host) -> Any:
    """The VAE that goes with `demo`."""
    return host.run("OTCacheDemoModel", batch_size=1).outputs[2]


@pytest.fixture(scope="session")
def uniform(host: Host) -> Callable[..., Any]:
    """`uniform(steps, budget, estimator="slope")`: a schedule with even gaps."""
    schedule = host.core("schedule").Schedule

    def build(steps: int, budget: int, estimator: str = "slope") -> Any:
        nodes = (round(i * (steps - 1) / (budget - 1)) for i in range(budget))
        return schedule(steps, tuple(nodes), estimator)

    return build


@pytest.fixture(scope="session")
def plain(host: Host) -> Callable[..., torch.Tensor]:
    """The host's own KSampler: `plain(parts, steps=20, ...) -> samples`."""

    def sample(parts: Parts, model: Any = None, latent: Any = None, **options: Any) -> torch.Tensor:
        (result,) = host.run("KSampler", **_inputs(parts, model, latent, options)).outputs
        return result["samples"]

    return sample


@pytest.fixture(scope="session")
def sample(host: Host) -> Callable[..., tuple[torch.Tensor, dict[str, Any]]]:
    """OTCache Sampler: `sample(parts, schedule, steps=20, ...) -> samples, statistics`."""

    def run(
        parts: Parts, schedule: Any = None, model: Any = None, latent: Any = None, **options: Any
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        inputs = _inputs(parts, model, latent, options)
        result = host.run("OTCacheSampler", **inputs, schedule=schedule)
        return result.outputs[0]["samples"], result.ui["otcache"][0]

    return run


def _inputs(parts: Parts, model: Any, latent: Any, options: dict[str, Any]) -> dict[str, Any]:
    defaults = {"seed": 1, "steps": 20, "cfg": 1.0, "sampler_name": "euler", "denoise": 1.0}
    return {
        "model": parts.model if model is None else model,
        "positive": parts.positive,
        "negative": parts.negative,
        "latent_image": parts.latent if latent is None else latent,
        "scheduler": "simple",
        **defaults,
        **options,
    }


@pytest.fixture(scope="session")
def counted(host: Host) -> Callable[[Any], Any]:
    """`with counted(model) as (watched, calls)`: a clone whose work is counted."""
    from comfy.patcher_extension import WrappersMP

    @contextmanager
    def count(model: Any) -> Iterator[tuple[Any, Calls]]:
        calls = Calls()

        def forward(module: Any, args: tuple[Any, ...]) -> None:
            calls.forwards += 1
            calls.rows += len(args[0])

        def predict(
            executor: Any, model: Any, conds: Any, x: Any, sigma: Any, *rest: Any, **named: Any
        ) -> Any:
            calls.sigmas.append(float(sigma[0]))
            return executor(model, conds, x, sigma, *rest, **named)

        watched = model.clone()
        watched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "count", predict)
        hook = model.model.diffusion_model.register_forward_pre_hook(forward)
        try:
            yield watched, calls
        finally:
            hook.remove()

    return count


@pytest.fixture
def before_forward() -> Iterator[Callable[[Any, int, Callable[[], None]], None]]:
    """`before_forward(model, n, act)`: calls `act` just before the model's n-th forward, from 1."""
    hooks = []

    def arrange(model: Any, number: int, act: Callable[[], None]) -> None:
        seen = 0

        def hook(module: Any, args: tuple[Any, ...]) -> None:
            nonlocal seen
            seen += 1
            if seen == number:
                act()

        hooks.append(model.model.diffusion_model.register_forward_pre_hook(hook))

    yield arrange
    for hook in hooks:
        hook.remove()


@pytest.fixture
def nan_at_forward() -> Iterator[Callable[[Any, int], None]]:
    """`nan_at_forward(model, n)`: the model's n-th forward, from 1, returns NaN."""
    hooks = []

    def arrange(model: Any, number: int) -> None:
        seen = 0

        def hook(module: Any, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
            nonlocal seen
            seen += 1
            return output * torch.nan if seen == number else None

        hooks.append(model.model.diffusion_model.register_forward_hook(hook))

    yield arrange
    for hook in hooks:
        hook.remove()
