"""Stock graphs of real models with the node OTCache in front of the sampler, and nothing else new.

Steps, samplers, shifts and guidance are those of ComfyUI's own templates, which
`scripts.workflows.stock` has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.workflows import notes_zh
from scripts.workflows.canvas import Canvas, Output
from scripts.workflows.parts import (
    file_at_top,
    file_of,
    load_parts,
    prompts,
    save_image,
    save_video,
)
from scripts.workflows.stock import STOCK, Stock

_PICTURE = "a lighthouse on a cliff at dusk, oil painting"
_VIDEO = "a sailing boat enters a harbour at sunrise"

_NOTE = """\
## {title}, with one node

{steps} steps as in ComfyUI's own template. **OTCache** stands between the model and the sampler;
*calls* says how many of them run the model; at 0 the node chooses, and says how many it took.

- The loaders say which files they need and where to get them.
- Fewer *calls* are faster, more are closer to the picture of very many steps. Begin with 0.
- Bypass **OTCache** to compare: then the graph is the plain template.
{more}"""
_WITH_NOTHING_MORE = ("", "")
_TWO_EXPERTS = (
    "- Each of the two experts has a node of its own, which counts that expert's own steps.\n",
    notes_zh.TWO_EXPERTS,
)
_NO_REFINER = (
    "- The refiner is left out: it would take too few steps to skip any.\n",
    notes_zh.NO_REFINER,
)

_OTCACHE_ROOM = 140


def _stock(model: str) -> Stock:
    return next(stock for stock in STOCK if stock.model == model)


def _note(canvas: Canvas, stock: Stock, title: str, more: tuple[str, str]) -> None:
    shared = {"title": title, "steps": sum(stock.steps)}
    canvas.note(
        _NOTE.format(**shared, more=more[0]), notes_zh.WITH_ONE_NODE.format(**shared, more=more[1]),
        190,
    )  # fmt: skip


def _cached(canvas: Canvas, model: Output) -> Output:
    (cached,) = canvas.add("OTCacheAuto", room=_OTCACHE_ROOM, model=model, calls=0, grid="fine")
    return cached


def _k_sampler(canvas: Canvas, stock: Stock, cfg: float, **links: Output) -> Output:
    (sampled,) = canvas.add(
        "KSampler", seed=1, steps=sum(stock.steps), cfg=cfg, sampler_name=stock.sampler,
        scheduler=stock.scheduler, denoise=1.0, **links,
    )  # fmt: skip
    return sampled


def _guided(canvas: Canvas, stock: Stock, guider: Output, sigmas: Output, latent: Output) -> Output:
    """Sampling with a guider node."""
    (noise,) = canvas.add("RandomNoise", noise_seed=1)
    (sampler,) = canvas.add("KSamplerSelect", sampler_name=stock.sampler)
    links = {"noise": noise, "guider": guider, "sampler": sampler, "sigmas": sigmas}
    sampled, _ = canvas.add("SamplerCustomAdvanced", latent_image=latent, **links)
    return sampled


def z_image() -> dict[str, Any]:
    """Z-Image, the base model."""
    stock, turbo = _stock("Z-Image"), "Comfy-Org/z_image_turbo"
    return _shifted_picture(
        stock, "Z-Image", 1024, "lumina2",
        ("z_image_bf16.safetensors", "Comfy-Org/z_image"),
        ("qwen_3_4b.safetensors", turbo), ("ae.safetensors", turbo),
    )  # fmt: skip


def qwen_image() -> dict[str, Any]:
    """Qwen-Image 2512."""
    stock, repository = _stock("Qwen-Image 2512"), "Comfy-Org/Qwen-Image_ComfyUI"
    return _shifted_picture(
        stock, "Qwen-Image 2512", 1328, "qwen_image",
        ("qwen_image_2512_fp8_e4m3fn.safetensors", repository),
        ("qwen_2.5_vl_7b_fp8_scaled.safetensors", repository),
        ("qwen_image_vae.safetensors", repository),
    )  # fmt: skip


File = tuple[str, str]
"""A file's name and its repository."""


def _shifted_picture(
    stock: Stock, title: str, size: int, kind: str, unet: File, clip_file: File, vae_file: File
) -> dict[str, Any]:
    """A picture of a flow model with its noise levels shifted and real guidance."""
    canvas = Canvas(f"{NODE_FOR}{title}")
    with canvas.column("1 Model", 400):
        _note(canvas, stock, title, _WITH_NOTHING_MORE)
        model, clip, vae = load_parts(
            canvas, file_of(*unet, "diffusion_models"), [file_of(*clip_file, "text_encoders")],
            kind, file_of(*vae_file, "vae"),
        )  # fmt: skip
        (shifted,) = canvas.add("ModelSamplingAuraFlow", model=model, shift=float(stock.shift))
    with canvas.column("2 Prompt", 380):
        positive, negative = prompts(canvas, clip, _PICTURE)
        (latent,) = canvas.add("EmptySD3LatentImage", width=size, height=size, batch_size=1)
    with canvas.column("3 Sample", 340):
        links = {"positive": positive, "negative": negative, "latent_image": latent}
        sampled = _k_sampler(canvas, stock, 4.0, model=_cached(canvas, shifted), **links)
    with canvas.column("4 Picture", 400):
        save_image(canvas, sampled, vae, title.lower().replace("-", "_").replace(" ", "_"))
    return canvas.workflow()


def flux_dev() -> dict[str, Any]:
    """FLUX.1 [dev]: guidance is the model's own, and there is no negative prompt."""
    stock, canvas = _stock("FLUX.1 dev"), Canvas(f"{NODE_FOR}FLUX.1 dev")
    encoders = "comfyanonymous/flux_text_encoders"
    with canvas.column("1 Model", 400):
        _note(canvas, stock, "FLUX.1 [dev]", _WITH_NOTHING_MORE)
        model, clip, vae = load_parts(
            canvas, file_at_top("flux1-dev.safetensors", "Comfy-Org/flux1-dev", "diffusion_models"),
            [
                file_at_top(f"{name}.safetensors", encoders, "text_encoders")
                for name in ("clip_l", "t5xxl_fp16")
            ],
            "flux", file_of("ae.safetensors", "Comfy-Org/Lumina_Image_2.0_Repackaged", "vae"),
        )  # fmt: skip
    with canvas.column("2 Prompt", 380):
        (positive,) = canvas.add("CLIPTextEncode", "Prompt", room=60, clip=clip, text=_PICTURE)
        (nothing,) = canvas.add("ConditioningZeroOut", conditioning=positive)
        (latent,) = canvas.add("EmptySD3LatentImage", width=1024, height=1024, batch_size=1)
    with canvas.column("3 Sample", 340):
        links = {"positive": positive, "negative": nothing, "latent_image": latent}
        sampled = _k_sampler(canvas, stock, 1.0, model=_cached(canvas, model), **links)
    with canvas.column("4 Picture", 400):
        save_image(canvas, sampled, vae, "flux_1_dev")
    return canvas.workflow()


def flux_2_dev() -> dict[str, Any]:
    """FLUX.2 [dev]: its own noise levels, which depend on the picture's size."""
    stock, canvas = _stock("FLUX.2 dev"), Canvas(f"{NODE_FOR}FLUX.2 dev")
    repository, size = "Comfy-Org/flux2-dev", {"width": 1024, "height": 1024}
    with canvas.column("1 Model", 400):
        _note(canvas, stock, "FLUX.2 [dev]", _WITH_NOTHING_MORE)
        model, clip, vae = load_parts(
            canvas, file_of("flux2_dev_fp8mixed.safetensors", repository, "diffusion_models"),
            [file_of("mistral_3_small_flux2_bf16.safetensors", repository, "text_encoders")],
            "flux2", file_of("flux2-vae.safetensors", repository, "vae"),
        )  # fmt: skip
    with canvas.column("2 Prompt", 380):
        (positive,) = canvas.add("CLIPTextEncode", "Prompt", room=60, clip=clip, text=_PICTURE)
        (guided,) = canvas.add("FluxGuidance", conditioning=positive, guidance=4.0)
        (latent,) = canvas.add("EmptyFlux2LatentImage", **size, batch_size=1)
    with canvas.column("3 Sample", 340):
        cached = _cached(canvas, model)
        (guider,) = canvas.add("BasicGuider", model=cached, conditioning=guided)
        (sigmas,) = canvas.add("Flux2Scheduler", steps=sum(stock.steps), **size)
        sampled = _guided(canvas, stock, guider, sigmas, latent)
    with canvas.column("4 Picture", 400):
        save_image(canvas, sampled, vae, "flux_2_dev")
    return canvas.workflow()


def sdxl() -> dict[str, Any]:
    """SDXL, its base model."""
    stock, canvas = _stock("SDXL"), Canvas(f"{NODE_FOR}SDXL")
    file = file_at_top(
        "sd_xl_base_1.0.safetensors", "stabilityai/stable-diffusion-xl-base-1.0", "checkpoints"
    )
    with canvas.column("1 Model", 400):
        _note(canvas, stock, "SDXL", _NO_REFINER)
        model, clip, vae = canvas.add("CheckpointLoaderSimple", models=[file], ckpt_name=file.name)
    with canvas.column("2 Prompt", 380):
        positive, negative = prompts(canvas, clip, _PICTURE, "text, watermark")
        (latent,) = canvas.add("EmptyLatentImage", width=1024, height=1024, batch_size=1)
    with canvas.column("3 Sample", 340):
        links = {"positive": positive, "negative": negative, "latent_image": latent}
        sampled = _k_sampler(canvas, stock, 8.0, model=_cached(canvas, model), **links)
    with canvas.column("4 Picture", 400):
        save_image(canvas, sampled, vae, "sdxl")
    return canvas.workflow()


def hunyuan_video() -> dict[str, Any]:
    """HunyuanVideo 1.5, text to video."""
    stock, canvas = _stock("HunyuanVideo 1.5"), Canvas(f"{NODE_FOR}HunyuanVideo 1.5")
    repository = "Comfy-Org/HunyuanVideo_1.5_repackaged"
    with canvas.column("1 Model", 400):
        _note(canvas, stock, "HunyuanVideo 1.5", _WITH_NOTHING_MORE)
        model, clip, vae = load_parts(
            canvas,
            file_of("hunyuanvideo1.5_720p_t2v_fp16.safetensors", repository, "diffusion_models"),
            [
                file_of(f"{name}.safetensors", repository, "text_encoders")
                for name in ("qwen_2.5_vl_7b_fp8_scaled", "byt5_small_glyphxl_fp16")
            ],
            "hunyuan_video_15", file_of("hunyuanvideo15_vae_fp16.safetensors", repository, "vae"),
        )  # fmt: skip
        (shifted,) = canvas.add("ModelSamplingSD3", model=model, shift=float(stock.shift))
    with canvas.column("2 Prompt", 380):
        positive, negative = prompts(canvas, clip, _VIDEO)
        (latent,) = canvas.add(
            "EmptyHunyuanVideo15Latent", width=1280, height=720, length=121, batch_size=1
        )
    with canvas.column("3 Sample", 340):
        cached = _cached(canvas, shifted)
        conds = {"positive": positive, "negative": negative}
        (guider,) = canvas.add("CFGGuider", model=cached, cfg=6.0, **conds)
        (sigmas,) = canvas.add(
            "BasicScheduler", model=cached, scheduler=stock.scheduler, steps=sum(stock.steps),
            denoise=1.0,
        )  # fmt: skip
        sampled = _guided(canvas, stock, guider, sigmas, latent)
    with canvas.column("4 Video", 400):
        save_video(canvas, sampled, vae, "hunyuan_video_1_5", 24.0)
    return canvas.workflow()


def wan() -> dict[str, Any]:
    """Wan 2.2 14B, text to video: a node behind each of its two experts."""
    stock, canvas = _stock("Wan 2.2 14B, two experts"), Canvas(f"{NODE_FOR}Wan 2.2")
    repository, umt5 = "Comfy-Org/Wan_2.2_ComfyUI_Repackaged", "umt5_xxl_fp8_e4m3fn_scaled"
    text_file = file_of(
        f"{umt5}.safetensors", "Comfy-Org/Wan_2.1_ComfyUI_repackaged", "text_encoders"
    )
    vae_file = file_of("wan_2.1_vae.safetensors", repository, "vae")
    experts = []
    with canvas.column("1 Models", 420):
        _note(canvas, stock, "Wan 2.2", _TWO_EXPERTS)
        for noise in ("high", "low"):
            name = f"wan2.2_t2v_{noise}_noise_14B_fp8_scaled.safetensors"
            file = file_of(name, repository, "diffusion_models")
            (loaded,) = canvas.add(
                "UNETLoader", f"Expert for {noise} noise", models=[file], unet_name=name,
                weight_dtype="default",
            )  # fmt: skip
            experts += canvas.add("ModelSamplingSD3", model=loaded, shift=float(stock.shift))
        (clip,) = canvas.add(
            "CLIPLoader", models=[text_file], clip_name=text_file.name, type="wan", device="default"
        )
        (vae,) = canvas.add("VAELoader", models=[vae_file], vae_name=vae_file.name)
    with canvas.column("2 Prompt", 380):
        positive, negative = prompts(canvas, clip, _VIDEO)
        (latent,) = canvas.add(
            "EmptyHunyuanLatentVideo", width=640, height=640, length=81, batch_size=1
        )
    with canvas.column("3 Sample", 340):
        sampled = _two_halves(canvas, stock, experts, positive, negative, latent)
    with canvas.column("4 Video", 400):
        save_video(canvas, sampled, vae, "wan_2_2", 16.0)
    return canvas.workflow()


def _two_halves(
    canvas: Canvas, stock: Stock, experts: list[Output], positive: Output, negative: Output,
    latent: Output,
) -> Output:  # fmt: skip
    """One run, of which the first model takes the noisy half and the second one the rest."""
    shared: dict[str, Any] = {
        "positive": positive, "negative": negative, "steps": sum(stock.steps), "cfg": 3.5,
        "sampler_name": stock.sampler, "scheduler": stock.scheduler, "noise_seed": 1,
    }  # fmt: skip
    cached = [_cached(canvas, expert) for expert in experts]
    (noisy,) = canvas.add(
        "KSamplerAdvanced", "First half", model=cached[0], latent_image=latent, add_noise="enable",
        start_at_step=0, end_at_step=stock.steps[0], return_with_leftover_noise="enable", **shared,
    )  # fmt: skip
    (sampled,) = canvas.add(
        "KSamplerAdvanced", "Second half", model=cached[1], latent_image=noisy,
        add_noise="disable", start_at_step=stock.steps[0], end_at_step=10_000,
        return_with_leftover_noise="disable", **shared,
    )  # fmt: skip
    return sampled


NODE_FOR = "OTCache node for "

ONE_NODE_WORKFLOWS: dict[str, tuple[Callable[[], dict[str, Any]], Stock]] = {
    f"{NODE_FOR}{title}": (make, _stock(model))
    for title, make, model in (
        ("Z-Image", z_image, "Z-Image"),
        ("Qwen-Image 2512", qwen_image, "Qwen-Image 2512"),
        ("FLUX.1 dev", flux_dev, "FLUX.1 dev"),
        ("FLUX.2 dev", flux_2_dev, "FLUX.2 dev"),
        ("SDXL", sdxl, "SDXL"),
        ("Wan 2.2", wan, "Wan 2.2 14B, two experts"),
        ("HunyuanVideo 1.5", hunyuan_video, "HunyuanVideo 1.5"),
    )
}
"""What makes each, and the model as ComfyUI's template samples it."""
