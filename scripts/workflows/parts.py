"""Parts that workflows of real models share: files and their loaders, prompts, what saves."""

from __future__ import annotations

from scripts.workflows.canvas import Canvas, Model, Output

HUB = "https://huggingface.co/"


def file_of(name: str, repository: str, directory: str, path: str = "") -> Model:
    """A file where the host's makers keep their repackaged ones."""
    folder = path or f"split_files/{directory}"
    return Model(name, f"{HUB}{repository}/resolve/main/{folder}/{name}", directory)


def file_at_top(name: str, repository: str, directory: str) -> Model:
    """A file at the top of its repository."""
    return Model(name, f"{HUB}{repository}/resolve/main/{name}", directory)


def load_parts(
    canvas: Canvas, unet: Model, clips: list[Model], kind: str, vae: Model
) -> tuple[Output, Output, Output]:
    """Model, text encoder and VAE."""
    (model,) = canvas.add("UNETLoader", models=[unet], unet_name=unet.name, weight_dtype="default")
    if len(clips) == 2:
        names = {"clip_name1": clips[0].name, "clip_name2": clips[1].name}
        (clip,) = canvas.add("DualCLIPLoader", models=clips, **names, type=kind, device="default")
    else:
        name = clips[0].name
        (clip,) = canvas.add(
            "CLIPLoader", models=clips, clip_name=name, type=kind, device="default"
        )
    (loaded_vae,) = canvas.add("VAELoader", models=[vae], vae_name=vae.name)
    return model, clip, loaded_vae


def prompts(canvas: Canvas, clip: Output, text: str, negative: str = "") -> tuple[Output, Output]:
    """What to show and what not."""
    (positive,) = canvas.add("CLIPTextEncode", "Prompt", room=60, clip=clip, text=text)
    (without,) = canvas.add("CLIPTextEncode", "Negative prompt", clip=clip, text=negative)
    return positive, without


def save_image(canvas: Canvas, latent: Output, vae: Output, name: str) -> None:
    """Decodes and saves a picture."""
    (image,) = canvas.add("VAEDecode", samples=latent, vae=vae)
    canvas.add("SaveImage", room=300, images=image, filename_prefix=f"otcache/{name}")


def save_video(canvas: Canvas, latent: Output, vae: Output, name: str, fps: float) -> None:
    """Decodes and saves a video."""
    (frames,) = canvas.add("VAEDecode", samples=latent, vae=vae)
    (video,) = canvas.add("CreateVideo", images=frames, fps=fps)
    canvas.add(
        "SaveVideo", room=300, video=video, filename_prefix=f"otcache/{name}", format="auto",
        codec="auto",
    )  # fmt: skip
