"""A real ComfyUI in this process, the pack loaded by its own loader, and small models to sample.

The loaded pack has its own copy of `otcache_core`. Tests here take core classes from that copy, by
`host.core("documents.schedule")`, and never import `otcache_core` themselves.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.architectures import even_schedule
from benchmarks.instruments.counting import counted as count_calls
from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.models.tiny import Parts, random_conditioning, randomise
from benchmarks.pages.compatibility import PAGE
from scripts.host.inprocess import Host, Result, start_host

EXTRA_NODES = (
    "nodes_custom_sampler", "nodes_easycache", "nodes_differential_diffusion", "nodes_pag",
    "nodes_slg", "nodes_perpneg", "nodes_context_windows", "nodes_hooks", "nodes_cond",
    "nodes_cfg", "nodes_model_advanced", "nodes_apg", "nodes_tcfg", "nodes_flux", "nodes_lt",
)  # fmt: skip

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what only a run on the CPU does, where the host samples on a GPU."""
    if torch.cuda.is_available():
        reason = "the host samples on a GPU here, which is asked nothing until a run ends"
        for item in items:
            if item.get_closest_marker("cpu"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The host in this process, with the pack and the LPIPS trunk in it."""
    # Models this small gain nothing from threads, and lose a lot to them on a busy machine.
    torch.set_num_threads(1)
    loaded = start_host(tmp_path_factory.mktemp("comfyui"), EXTRA_NODES)
    # Tests that look for what a run left behind collect garbage: not all of torch each time.
    gc.collect()
    gc.freeze()
    return loaded


@pytest.fixture(autouse=True)
def learned_folder(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the node OTCache keeps what it learns: a test's models know nothing from others."""
    folder = tmp_path / "learned"
    monkeypatch.setattr(host.module("nodes.library.learned"), "folder", lambda: folder)
    return folder


@pytest.fixture(autouse=True)
def no_anchors_left(host: Host) -> Iterator[None]:
    """Takes away what a test saved: *automatic* would give it to models of later tests."""
    folder = host.base / "models" / "otcache"
    before = set(folder.rglob("*"))
    yield
    for path in set(folder.rglob("*")) - before:
        if path.is_file():
            path.unlink()


@pytest.fixture(scope="session")
def run_node(host: Host) -> Callable[..., Result]:
    """`run_node(node_id, **inputs)`."""
    return host.run


@pytest.fixture(scope="session")
def needs_sampler(host: Host) -> Callable[[str], None]:
    """`needs_sampler(name)` skips a test where the host is too old to have the sampler."""
    import comfy.samplers

    def check(name: str) -> None:
        if name not in comfy.samplers.KSampler.SAMPLERS:
            pytest.skip(f"this ComfyUI has no sampler {name}")

    return check


@pytest.fixture(scope="session")
def needs_node(host: Host) -> Callable[[str], None]:
    """`needs_node(name)` skips a test where the host is too old to have the node."""

    def check(name: str) -> None:
        try:
            host.node(name)
        except KeyError:
            pytest.skip(f"this ComfyUI has no node {name}")

    return check


@pytest.fixture(scope="session")
def tiny_flux(host: Host) -> Parts:
    """The host's FLUX with random weights: a flow model, about 2 ms a call."""
    from training.twin import FluxTwin

    demo_model = host.module("demo_model.parts")
    twin = FluxTwin(TINY_FLUX)
    randomise(twin)
    weights = {f"transformer.{name}": value for name, value in twin.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_model, "FLUX_CONFIG", TINY_FLUX)
        model = demo_model.build_model(weights)
    latent = {"samples": torch.zeros(1, 3, 8, 8)}
    return Parts(model, random_conditioning(1), random_conditioning(2), latent)


def _small(name: str) -> Parts:
    return next(a for a in ARCHITECTURES if a.name == name).build()


@pytest.fixture(scope="session")
def tiny_eps(host: Host) -> Parts:
    """The host's UNet of SD 1.5 with random weights: it predicts noise, sigmas reach 14.6."""
    return _small("SD 1.5 (eps)")


@pytest.fixture(scope="session")
def tiny_v(host: Host) -> Parts:
    """The same UNet, predicting v."""
    return _small("SD 1.5 (v)")


@pytest.fixture(scope="session")
def tiny_video(host: Host) -> Parts:
    """The host's Wan 2.1 with random weights: latents of five dimensions, three frames of them."""
    return _small("Wan 2.1 t2v")


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
    return lambda *args: even_schedule(host, *args)


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
def counted() -> Callable[[Any], Any]:
    """`with counted(model) as (watched, calls)`: a clone whose work is counted."""
    return count_calls


def _shape_of(value: Any) -> Any:
    """A value's structure with the identity of each leaf, to compare before and after."""
    if isinstance(value, dict):
        return {key: _shape_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shape_of(item) for item in value]
    return id(value)


def _state_of(patcher: Any) -> Any:
    names = ("wrappers", "callbacks", "model_options", "patches", "object_patches", "attachments")
    # A replaced forward would lie in the instance.
    forwards = [name for name, m in patcher.model.named_modules() if "forward" in vars(m)]
    return [_shape_of(getattr(patcher, name)) for name in names], forwards


@pytest.fixture(scope="session")
def shape_of() -> Callable[[Any], Any]:
    """`shape_of(value)`: a nested value's structure, to compare before and after."""
    return _shape_of


@pytest.fixture(scope="session")
def state_of() -> Callable[[Any], Any]:
    """`state_of(patcher)`: all that a pack could leave behind in a model, to compare."""
    return _state_of


@pytest.fixture(scope="session")
def held_to_plain(host: Host) -> Callable[..., torch.Tensor]:
    """`held_to_plain(name, model, run)`: what holds for all that is sampled with a schedule.

    As many model calls as the budget says, a result near the plain run's, the plain run to the bit
    at full budget, nothing left behind, and a name on the page of what works. `run(model)` samples
    20 steps and gives the final latent; the plain run's is returned.
    """
    steps, budget = 20, 8
    page = " ".join(PAGE.read_text(encoding="utf-8").split())

    def apply(model: Any, budget: int) -> Any:
        schedule = even_schedule(host, steps, budget)
        return host.run("OTCacheApply", model=model, schedule=schedule).outputs[0]

    def check(name: str, model: Any, run: Callable[[Any], torch.Tensor]) -> torch.Tensor:
        before = _state_of(model)
        with count_calls(model) as (watched, calls):
            plain = run(watched)
            whole = calls.forwards
            cached = run(apply(watched, budget))
            forwards = calls.forwards - whole

        assert forwards * steps == whole * budget > 0  # as much work for each step that runs at all
        assert cached.isfinite().all()
        assert 0.0 < _rms(cached - plain) < _rms(plain)
        assert torch.equal(run(apply(model, steps)), plain)
        assert _state_of(model) == before
        assert name in page
        return plain

    return check


def _rms(difference: torch.Tensor) -> float:
    return float(difference.square().mean().sqrt())


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
