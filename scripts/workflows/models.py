"""Workflows for real models, on ComfyUI's own nodes: loaders with links, a schedule, a sampler."""

from __future__ import annotations

from typing import Any

from scripts.workflows import notes_zh
from scripts.workflows.canvas import Canvas, Model, Output
from scripts.workflows.parts import (
    file_at_top,
    file_of,
    load_parts,
    prompts,
    save_image,
    save_video,
)

GENERIC = "preset: flow-matching (generic)"

FLUX, QWEN = "FLUX.1 dev with OTCache", "Qwen-Image with OTCache"
Z_IMAGE, HUNYUAN = "Z-Image with OTCache", "HunyuanVideo with OTCache"
WAN = "Wan 2.2 with OTCache"

_NOTE = """\
## {title}

{calls} model calls instead of {steps}: {how}

- The loaders say which files they need and where to get them.
- Drag *budget* on **Predict Cache Schedule**: fewer calls are faster, more are closer to the full
  run.
- Want the full run to compare with? Bypass **{cached}**, or set *budget* to *steps*.
- {anchor}
"""
_GUESS = (
    "The anchor is a generic one, a starting point: calibrate your own with the template "
    "*OTCache calibration* and your loaders."
)
_PUBLISHED = "The anchor holds schedules that were published for this model; see its provenance."


_CLIP_L = file_at_top("clip_l.safetensors", "comfyanonymous/flux_text_encoders", "text_encoders")


def _schedule(canvas: Canvas, anchor_name: str, budget: int, steps: int) -> Output:
    (anchor,) = canvas.add("OTCacheLoadAnchor", room=200, anchor_name=anchor_name, inline_anchor="")
    schedule, _ = canvas.add(
        "OTCachePredictSchedule", room=250, anchor=anchor, budget=budget, rho=1.3, anchor_rho=True,
        steps=steps, target_lpips=0.0,
    )  # fmt: skip
    return schedule


def _note(canvas: Canvas, title: str, how: str, *, guess: bool, budget: int, steps: int) -> None:
    of_two = title.startswith("Wan")
    shared: dict[str, Any] = {"title": title, "calls": budget, "steps": steps}
    english = _NOTE.format(
        **shared,
        how=how,
        anchor=_GUESS if guess else _PUBLISHED,
        cached="Apply OTCache" if of_two else "OTCache Sampler's schedule",
    )
    chinese = notes_zh.MODEL.format(
        **shared,
        anchor=notes_zh.GENERIC_ANCHOR if guess else notes_zh.PUBLISHED_ANCHOR,
        cached="应用OTCache" if of_two else "OTCache采样器的缓存计划",
    )
    canvas.note(english, chinese, 170)


def _sample(canvas: Canvas, steps: int, cfg: float, **links: Output) -> Output:
    latent, _ = canvas.add(
        "OTCacheSampler", room=110, seed=1, steps=steps, cfg=cfg, sampler_name="euler",
        scheduler="simple", denoise=1.0, **links,
    )  # fmt: skip
    return latent


def flux_dev() -> dict[str, Any]:
    """FLUX.1 [dev], 20 steps."""
    canvas, steps, budget = Canvas(FLUX), 20, 12
    unet = file_at_top("flux1-dev.safetensors", "Comfy-Org/flux1-dev", "diffusion_models")
    t5 = file_at_top("t5xxl_fp16.safetensors", "comfyanonymous/flux_text_encoders", "text_encoders")
    vae_file = file_of("ae.safetensors", "Comfy-Org/Lumina_Image_2.0_Repackaged", "vae")
    with canvas.column("1 Model", 400):
        how = "one picture in three fifths of the time."
        _note(canvas, "FLUX.1 [dev]", how, guess=True, budget=budget, steps=steps)
        model, clip, vae = load_parts(canvas, unet, [_CLIP_L, t5], "flux", vae_file)
    with canvas.column("2 Prompt", 380):
        positive, negative = prompts(canvas, clip, "a lighthouse on a cliff at dusk, oil painting")
        (guided,) = canvas.add("FluxGuidance", conditioning=positive, guidance=3.5)
        (latent,) = canvas.add("EmptySD3LatentImage", width=1024, height=1024, batch_size=1)
    links = {"model": model, "positive": guided, "negative": negative, "latent_image": latent}
    _sample_picture(canvas, GENERIC, (budget, steps), 1.0, links, vae, "flux_dev")
    return canvas.workflow()


def _sample_picture(
    canvas: Canvas, anchor_name: str, calls: tuple[int, int], cfg: float,
    links: dict[str, Output], vae: Output, name: str,
) -> None:  # fmt: skip
    """The columns that end a picture's workflow: schedule, sampler, picture.

    Args:
        canvas: The workflow.
        anchor_name: What the schedule is predicted from.
        calls: Budget and steps.
        cfg: Guidance.
        links: The sampler's model, conditionings and latent.
        vae: Decodes.
        name: The saved file's.
    """
    budget, steps = calls
    with canvas.column("3 Schedule", 400):
        schedule = _schedule(canvas, anchor_name, budget, steps)
    with canvas.column("4 Sample", 340):
        sampled = _sample(canvas, steps, cfg, schedule=schedule, **links)
    with canvas.column("5 Picture", 400):
        save_image(canvas, sampled, vae, name)


def _shifted_image(
    name: str, title: str, unet: Model, clip_file: Model, kind: str, vae_file: Model,
    anchor_name: str, budget: int, size: int,
) -> dict[str, Any]:  # fmt: skip
    """A picture of a model with a shifted schedule and real guidance, 50 steps, as published."""
    canvas, steps = Canvas(name), 50
    with canvas.column("1 Model", 400):
        how = "the budget and steps that were published."
        _note(canvas, title, how, guess=False, budget=budget, steps=steps)
        model, clip, vae = load_parts(canvas, unet, [clip_file], kind, vae_file)
        (shifted,) = canvas.add("ModelSamplingAuraFlow", model=model, shift=3.0)
    with canvas.column("2 Prompt", 380):
        positive, negative = prompts(canvas, clip, "a lighthouse on a cliff at dusk, oil painting")
        (latent,) = canvas.add("EmptySD3LatentImage", width=size, height=size, batch_size=1)
    links = {"model": shifted, "positive": positive, "negative": negative, "latent_image": latent}
    saved = anchor_name.removeprefix("preset: ").replace("-", "_")
    _sample_picture(canvas, anchor_name, (budget, steps), 4.0, links, vae, saved)
    return canvas.workflow()


def qwen_image() -> dict[str, Any]:
    """Qwen-Image, 50 steps."""
    repository = "Comfy-Org/Qwen-Image_ComfyUI"
    return _shifted_image(
        QWEN, "Qwen-Image",
        file_of("qwen_image_fp8_e4m3fn.safetensors", repository, "diffusion_models"),
        file_of("qwen_2.5_vl_7b_fp8_scaled.safetensors", repository, "text_encoders"),
        "qwen_image", file_of("qwen_image_vae.safetensors", repository, "vae"),
        "preset: qwen-image", 17, 1328,
    )  # fmt: skip


def z_image() -> dict[str, Any]:
    """Z-Image, 50 steps; its Turbo version has too few steps to skip any."""
    turbo = "Comfy-Org/z_image_turbo"
    return _shifted_image(
        Z_IMAGE, "Z-Image",
        file_of("z_image_bf16.safetensors", "Comfy-Org/z_image", "diffusion_models"),
        file_of("qwen_3_4b.safetensors", turbo, "text_encoders"),
        "lumina2", file_of("ae.safetensors", turbo, "vae"), "preset: z-image", 20, 1024,
    )  # fmt: skip


def hunyuan_video() -> dict[str, Any]:
    """HunyuanVideo, text to video, 20 steps."""
    canvas, steps, budget = Canvas(HUNYUAN), 20, 12
    repository = "Comfy-Org/HunyuanVideo_repackaged"
    unet = file_of("hunyuan_video_t2v_720p_bf16.safetensors", repository, "diffusion_models")
    llava = file_of("llava_llama3_fp8_scaled.safetensors", repository, "text_encoders")
    vae_file = file_of("hunyuan_video_vae_bf16.safetensors", repository, "vae")
    with canvas.column("1 Model", 400):
        how = "a video in three fifths of the time."
        _note(canvas, "HunyuanVideo", how, guess=True, budget=budget, steps=steps)
        model, clip, vae = load_parts(canvas, unet, [_CLIP_L, llava], "hunyuan_video", vae_file)
        (shifted,) = canvas.add("ModelSamplingSD3", model=model, shift=7.0)
    with canvas.column("2 Prompt", 380):
        positive, negative = prompts(canvas, clip, "a sailing boat enters a harbour at sunrise")
        (guided,) = canvas.add("FluxGuidance", conditioning=positive, guidance=6.0)
        (latent,) = canvas.add(
            "EmptyHunyuanLatentVideo", width=848, height=480, length=73, batch_size=1
        )
    with canvas.column("3 Schedule", 400):
        schedule = _schedule(canvas, GENERIC, budget, steps)
    with canvas.column("4 Sample", 340):
        links = {"model": shifted, "positive": guided, "negative": negative}
        sampled = _sample(canvas, steps, 1.0, latent_image=latent, schedule=schedule, **links)
    with canvas.column("5 Video", 400):
        save_video(canvas, sampled, vae, "hunyuan_video", 24.0)
    return canvas.workflow()


def wan() -> dict[str, Any]:
    """Wan 2.2 14B, text to video: two experts, 20 steps, one schedule over both."""
    canvas, steps, budget, half = Canvas(WAN), 20, 12, 10
    repository = "Comfy-Org/Wan_2.2_ComfyUI_Repackaged"
    umt5 = file_of(
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
        "text_encoders",
    )  # fmt: skip
    experts = []
    with canvas.column("1 Models", 420):
        how = "one schedule serves both experts, each takes its half of the steps."
        _note(canvas, "Wan 2.2, two experts", how, guess=True, budget=budget, steps=steps)
        for noise in ("high", "low"):
            file = f"wan2.2_t2v_{noise}_noise_14B_fp8_scaled.safetensors"
            unet = file_of(file, repository, "diffusion_models")
            (loaded,) = canvas.add(
                "UNETLoader", f"Expert for {noise} noise", models=[unet], unet_name=file,
                weight_dtype="default",
            )  # fmt: skip
            experts += canvas.add("ModelSamplingSD3", model=loaded, shift=5.0)
        (clip,) = canvas.add(
            "CLIPLoader", models=[umt5], clip_name=umt5.name, type="wan", device="default"
        )
        vae_file = file_of("wan_2.1_vae.safetensors", repository, "vae")
        (vae,) = canvas.add("VAELoader", models=[vae_file], vae_name=vae_file.name)
    with canvas.column("2 Prompt", 380):
        positive, negative = prompts(canvas, clip, "a sailing boat enters a harbour at sunrise")
        (latent,) = canvas.add(
            "EmptyHunyuanLatentVideo", width=640, height=640, length=81, batch_size=1
        )
    with canvas.column("3 Schedule", 400):
        schedule = _schedule(canvas, GENERIC, budget, steps)
        cached = [
            canvas.add("OTCacheApply", room=60, model=expert, schedule=schedule)[0]
            for expert in experts
        ]
    shared: dict[str, Any] = {
        "positive": positive,
        "negative": negative,
        "steps": steps,
        "cfg": 3.5,
    }
    shared |= {"sampler_name": "euler", "scheduler": "simple"}
    with canvas.column("4 Sample", 340):
        (noisy,) = canvas.add(
            "KSamplerAdvanced", "First half", model=cached[0], latent_image=latent,
            add_noise="enable", noise_seed=1, start_at_step=0, end_at_step=half,
            return_with_leftover_noise="enable", **shared,
        )  # fmt: skip
        (sampled,) = canvas.add(
            "KSamplerAdvanced", "Second half", model=cached[1], latent_image=noisy,
            add_noise="disable", noise_seed=1, start_at_step=half, end_at_step=10_000,
            return_with_leftover_noise="disable", **shared,
        )  # fmt: skip
    with canvas.column("5 Video", 400):
        save_video(canvas, sampled, vae, "wan_2_2", 16.0)
    return canvas.workflow()


MODEL_WORKFLOWS = {
    FLUX: flux_dev,
    QWEN: qwen_image,
    Z_IMAGE: z_image,
    HUNYUAN: hunyuan_video,
    WAN: wan,
}

SCHEDULES = {
    FLUX: (GENERIC, 12, 20),
    QWEN: ("preset: qwen-image", 17, 50),
    Z_IMAGE: ("preset: z-image", 20, 50),
    HUNYUAN: (GENERIC, 12, 20),
    WAN: (GENERIC, 12, 20),
}
"""Anchor, budget and steps of each, for its thumbnail."""
