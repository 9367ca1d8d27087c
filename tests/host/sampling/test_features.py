"""What graphs combine with sampling: each against its plain run, at full and at small budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from benchmarks.models.tiny import Parts, random_conditioning, randomise

pytestmark = pytest.mark.host

STEPS, BUDGET, CFG = 20, 8, 3.0

Change = Callable[[Any, Parts], Parts]


def _with_model(node_id: str, **inputs: Any) -> Change:
    """A node that takes a model and gives one."""

    def change(host: Any, parts: Parts) -> Parts:
        wanted = host.node(node_id).INPUT_TYPES()["required"]
        # Newer hosts ask for more: what the page would send for an input that nobody touched.
        untouched = {
            name: declared[1]["default"]
            for name, declared in wanted.items()
            if name not in inputs and len(declared) > 1 and "default" in declared[1]
        }
        values = {"model": parts.model, **untouched, **inputs}
        return replace(parts, model=host.run(node_id, **values).outputs[0])

    return change


def _area(host: Any, parts: Parts) -> Parts:
    """Another prompt for a corner of the picture."""
    other = random_conditioning(7)
    (corner,) = host.run(
        "ConditioningSetAreaPercentage", conditioning=other, width=0.5, height=0.5, x=0.5, y=0.0,
        strength=1.0,
    ).outputs  # fmt: skip
    return replace(parts, positive=parts.positive + corner)


def _masked(host: Any, parts: Parts) -> Parts:
    """Two prompts, each under its mask."""
    mask = torch.zeros(1, 8, 8)
    mask[..., :4] = 1.0
    conds = []
    for cond, where in ((parts.positive, mask), (random_conditioning(7), 1.0 - mask)):
        inputs = {"strength": 1.0, "set_cond_area": "default"}
        conds += host.run("ConditioningSetMask", conditioning=cond, mask=where, **inputs).outputs[0]
    return replace(parts, positive=conds)


def _timed(host: Any, parts: Parts) -> Parts:
    """One prompt for the first half of the run, another for the second."""
    conds = []
    for cond, start, end in ((parts.positive, 0.0, 0.5), (random_conditioning(7), 0.5, 1.0)):
        inputs = {"start": start, "end": end}
        conds += host.run("ConditioningSetTimestepRange", conditioning=cond, **inputs).outputs[0]
    return replace(parts, positive=conds)


def _differential(host: Any, parts: Parts) -> Parts:
    """A soft mask that opens step by step, over a picture."""
    generator = torch.Generator().manual_seed(3)
    shape = parts.latent["samples"].shape
    mask = torch.linspace(0.0, 1.0, 8).expand(1, 1, 8, 8)
    latent = {"samples": torch.rand(shape, generator=generator), "noise_mask": mask}
    (model,) = host.run("DifferentialDiffusion", model=parts.model).outputs
    return replace(parts, model=model, latent=latent)


def _control_net(host: Any, parts: Parts) -> Parts:
    """The host's ControlNet with random weights, on both prompts."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.model_management as management
    import comfy.ops

    network = comfy.cldm.cldm.ControlNet(
        image_size=32, in_channels=4, model_channels=32, hint_channels=3, num_res_blocks=[1],
        channel_mult=(1,), num_heads=2, use_spatial_transformer=True, transformer_depth=[1],
        context_dim=8, legacy=False, transformer_depth_middle=1,
        operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    randomise(network)
    control = comfy.controlnet.ControlNet(network, load_device=management.get_torch_device())
    image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(4))
    positive, negative = host.run(
        "ControlNetApplyAdvanced", positive=parts.positive, negative=parts.negative,
        control_net=control, image=image, strength=1.0, start_percent=0.0, end_percent=1.0,
    ).outputs  # fmt: skip
    return replace(parts, positive=positive, negative=negative)


def _lora(model: Any) -> dict[str, Any]:
    key = "diffusion_model.img_in.weight"
    weight = model.model_state_dict()[key]
    values = torch.linspace(-0.2, 0.2, weight.numel()).reshape(weight.shape)
    return {key: ("diff", (values,))}


def _model_lora(host: Any, parts: Parts) -> Parts:
    model = parts.model.clone()
    assert model.add_patches(_lora(model))
    return replace(parts, model=model)


def _hooked_lora(host: Any, parts: Parts) -> Parts:
    """A LoRA that works for one prompt only, by the host's hooks."""
    import comfy.hooks

    hook = comfy.hooks.WeightHook(strength_model=1.0)
    hook.weights = _lora(parts.model)
    hook.need_weight_init = False
    group = comfy.hooks.HookGroup()
    group.add(hook)
    conds = comfy.hooks.set_hooks_for_conditioning(parts.positive, group)
    return replace(parts, positive=conds)


def _attention_patch(host: Any, parts: Parts) -> Parts:
    """More keys and values in every cross-attention, as image adapters add them."""

    def more(n: Any, context: Any, value: Any, extra_options: Any) -> Any:
        return n, torch.cat((context, context * 0.5), 1), torch.cat((value, value * 2.0), 1)

    model = parts.model.clone()
    model.set_model_attn2_patch(more)
    return replace(parts, model=model)


def _block_patch(host: Any, parts: Parts) -> Parts:
    """Other weights for what a UNet's outer blocks hand on."""
    model = parts.model.clone()
    model.set_model_output_block_patch(lambda h, skipped, options: (h * 1.2, skipped * 0.8))
    return replace(parts, model=model)


NAG_SCALE, NAG_TAU, NAG_ALPHA = 3.0, 2.5, 0.5
NAG_ROWS = 2
"""Marks rows of the third batch, where the host marks positive rows 0 and negative ones 1."""


def _steer(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Normalised attention guidance, arXiv 2505.21179: away from the negative, up to tau."""
    away = NAG_SCALE * positive - (NAG_SCALE - 1.0) * negative
    growth = away.abs().sum(-1, keepdim=True) / positive.abs().sum(-1, keepdim=True)
    away = away * (growth.clamp(max=NAG_TAU) / growth)
    return NAG_ALPHA * away + (1.0 - NAG_ALPHA) * positive


def _nag(host: Any, parts: Parts) -> Parts:
    """NAG as packs build it: positive rows again with a third text, met in each cross-attention."""
    from comfy.patcher_extension import WrappersMP

    third = random_conditioning(6)[0][0]

    def with_third_batch(
        executor: Any, x: Any, timesteps: Any, context: Any, y: Any, control: Any, options: Any,
        **rest: Any,
    ) -> torch.Tensor:  # fmt: skip
        kinds = options["cond_or_uncond"]
        size = len(x) // len(kinds)
        rows = torch.arange(len(x), device=x.device).split(size)
        again = torch.cat([part for part, k in zip(rows, kinds, strict=True) if k == 0])
        texts = torch.cat([context, third.to(context).expand(len(again), -1, -1)])
        options = options | {"cond_or_uncond": [*kinds, *[NAG_ROWS] * kinds.count(0)]}
        both = (torch.cat([part, part[again]]) for part in (x, timesteps))
        return executor(*both, texts, y, control, options, **rest)[: len(x)]

    def steer(attended: torch.Tensor, options: Any) -> torch.Tensor:
        kinds = options["cond_or_uncond"]
        parts = list(attended.chunk(len(kinds)))
        thirds = iter([part for part, kind in zip(parts, kinds, strict=True) if kind == NAG_ROWS])
        return torch.cat([
            _steer(part, next(thirds)) if kind == 0 else part
            for part, kind in zip(parts, kinds, strict=True)
        ])  # fmt: skip

    model = parts.model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "nag", with_third_batch)
    model.set_model_attn2_output_patch(steer)
    return replace(parts, model=model)


def _split_conds(host: Any, parts: Parts) -> Parts:
    """A negative prompt of another length, which cannot share a forward with the positive one."""
    context, values = random_conditioning(5)[0]
    return replace(parts, negative=[[torch.cat((context, context[:, :3]), 1), values]])


def _image_to_image(host: Any, parts: Parts) -> Parts:
    generator = torch.Generator().manual_seed(3)
    samples = torch.rand(parts.latent["samples"].shape, generator=generator)
    return replace(parts, latent={"samples": samples})


def _late_guidance(host: Any, parts: Parts) -> Parts:
    """Another guidance for the last part, as the template of Ideogram 4 has it."""
    node = {"cfg": 1.5, "start_percent": 0.7, "end_percent": 1.0}
    return replace(parts, model=host.run("CFGOverride", model=parts.model, **node).outputs[0])


@dataclass(frozen=True)
class Feature:
    """Something to sample with.

    Attributes:
        name: What people call it.
        family: The fixture of the small model.
        change: Puts it into a graph's parts.
        guider: The guider node where it is not KSampler's own.
    """

    name: str
    family: str
    change: Change
    guider: str = ""

    def __str__(self) -> str:
        return self.name


FEATURES = (
    Feature("area conds", "tiny_eps", _area),
    Feature("masked conds", "tiny_flux", _masked),
    Feature("timed conds", "tiny_flux", _timed),
    Feature("img2img", "tiny_flux", _image_to_image),
    Feature("differential diffusion", "tiny_flux", _differential),
    Feature("ControlNet", "tiny_eps", _control_net),
    Feature("LoRA", "tiny_flux", _model_lora),
    Feature("LoRA by hooks", "tiny_flux", _hooked_lora),
    Feature("attention patches (IP-Adapter)", "tiny_eps", _attention_patch),
    Feature("PAG", "tiny_eps", _with_model("PerturbedAttentionGuidance", scale=3.0)),
    Feature("NAG", "tiny_eps", _nag),
    Feature("block patches (FreeU)", "tiny_eps", _block_patch),
    Feature("RescaleCFG", "tiny_eps", _with_model("RescaleCFG", multiplier=0.7)),
    Feature("CFG-Zero", "tiny_flux", _with_model("CFGZeroStar")),
    Feature("APG", "tiny_flux", _with_model("APG", eta=1.0, norm_threshold=5.0, momentum=0.0)),
    Feature(
        "skip layer guidance", "tiny_flux",
        _with_model(
            "SkipLayerGuidanceDiT", scale=3.0, start_percent=0.0, end_percent=1.0,
            double_layers="0", single_layers="0",
        ),
    ),
    Feature("model shift", "tiny_flux", _with_model("ModelSamplingSD3", shift=5.0)),
    Feature(
        "context windows", "tiny_video",
        _with_model(
            "ContextWindowsManual", context_length=2, context_overlap=1,
            context_schedule="standard_static", context_stride=1, closed_loop=False,
            fuse_method="pyramid", dim=2,
        ),
    ),
    Feature("split conds", "tiny_flux", _split_conds),
    Feature("perp-neg guider", "tiny_flux", lambda host, parts: parts, "PerpNegGuider"),
    Feature("dual CFG guider", "tiny_flux", lambda host, parts: parts, "DualCFGGuider"),
    Feature("two models (Ideogram 4)", "tiny_flux", _late_guidance, "DualModelGuider"),
)  # fmt: skip

GUIDER_INPUTS: dict[str, Callable[[Parts], dict[str, Any]]] = {
    "PerpNegGuider": lambda parts: {
        "positive": parts.positive, "negative": parts.negative, "cfg": CFG, "neg_scale": 1.0,
        "empty_conditioning": random_conditioning(9),
    },
    "DualCFGGuider": lambda parts: {
        "cond1": parts.positive, "cond2": random_conditioning(9), "negative": parts.negative,
        "cfg_conds": CFG, "cfg_cond2_negative": 2.0, "style": "regular",
    },
    "DualModelGuider": lambda parts: {
        "positive": parts.positive, "negative": parts.negative, "cfg": CFG,
        "model_negative": parts.model,
    },
}  # fmt: skip


def _run(host: Any, feature: Feature, parts: Parts, model: Any) -> torch.Tensor:
    if not feature.guider:
        (latent,) = host.run(
            "KSampler", model=model, seed=1, steps=STEPS, cfg=CFG, sampler_name="euler",
            scheduler="simple", positive=parts.positive, negative=parts.negative,
            latent_image=parts.latent, denoise=0.6 if feature.name == "img2img" else 1.0,
        ).outputs  # fmt: skip
        return latent["samples"]
    inputs = {"scheduler": "simple", "steps": STEPS, "denoise": 1.0}
    outputs = host.run(
        "SamplerCustomAdvanced",
        noise=host.run("RandomNoise", noise_seed=1).outputs[0],
        guider=host.run(
            feature.guider, model=model, **GUIDER_INPUTS[feature.guider](parts)
        ).outputs[0],
        sampler=host.run("KSamplerSelect", sampler_name="euler").outputs[0],
        sigmas=host.run("BasicScheduler", model=model, **inputs).outputs[0],
        latent_image=parts.latent,
    ).outputs
    return outputs[0]["samples"]


@pytest.mark.parametrize("feature", FEATURES, ids=str)
def test_a_feature_with_a_schedule(request, host, held_to_plain, needs_node, feature):
    if feature.guider:
        needs_node(feature.guider)
    bare = request.getfixturevalue(feature.family)
    parts = feature.change(host, bare)

    plain = held_to_plain(feature.name, parts.model, lambda m: _run(host, feature, parts, m))

    if not feature.guider:  # it does something, or nothing was tested
        assert not torch.equal(_run(host, replace(feature, name=""), bare, bare.model), plain)


def test_tiles_of_several_sizes_in_one_node(host, tiny_flux, plain, counted, uniform):
    # As tiled upscalers do: one model, one run a tile, the last ones smaller.
    tiles = [torch.rand(1, 3, height, 8) for height in (8, 8, 12, 4)]
    schedule = uniform(STEPS, BUDGET)
    with counted(tiny_flux.model) as (model, calls):
        (cached,) = host.run("OTCacheApply", model=model, schedule=schedule).outputs
        done = [plain(tiny_flux, cached, {"samples": t}, denoise=0.5) for t in tiles]

    assert calls.predictions == len(tiles) * BUDGET
    for tile, result in zip(tiles, done, strict=True):
        (fresh,) = host.run("OTCacheApply", model=tiny_flux.model, schedule=schedule).outputs
        assert torch.equal(plain(tiny_flux, fresh, {"samples": tile}, denoise=0.5), result)


@pytest.mark.parametrize("start", [6, 10])
def test_two_experts_of_wan_share_one_schedule(host, tiny_video, counted, uniform, start):
    # Two models with a shift of their own, so that neither runs at the schedule's noise levels.
    schedule, latent, counts = uniform(STEPS, BUDGET), tiny_video.latent, []
    ranges = ((0, start, "enable", 5.0), (start, STEPS, "disable", 8.0))
    for begin, end, leftover, shift in ranges:
        (model,) = host.run("ModelSamplingSD3", model=tiny_video.model, shift=shift).outputs
        with counted(model) as (watched, calls):
            (cached,) = host.run("OTCacheApply", model=watched, schedule=schedule).outputs
            (latent,) = host.run(
                "KSamplerAdvanced", model=cached, add_noise="enable" if begin == 0 else "disable",
                noise_seed=1, steps=STEPS, cfg=CFG, sampler_name="euler", scheduler="simple",
                positive=tiny_video.positive, negative=tiny_video.negative, latent_image=latent,
                start_at_step=begin, end_at_step=end, return_with_leftover_noise=leftover,
            ).outputs  # fmt: skip
        counts.append(calls.predictions)

    inside = [
        sum(t < start for t in schedule.computed_steps),
        sum(t >= start for t in schedule.computed_steps),
    ]
    ends = [start - 1 not in schedule.computed_steps, start not in schedule.computed_steps]
    assert counts == [count + cut for count, cut in zip(inside, ends, strict=True)]
    assert latent["samples"].isfinite().all()
