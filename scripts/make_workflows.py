"""Writes the workflows that ship with the pack: `python -m scripts.make_workflows`.

Each is described below node by node, links as Python values; a canvas lays it out in titled
columns from left to right. With `--pictures FOLDER` and `--report PICTURE` it also makes the
thumbnails, from what `scripts.demo` has left in that folder and from a calibration's report.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from otcache_core.anchor import SUFFIX, load_anchor
from otcache_core.plots import contact_sheet, render_schedule
from otcache_core.transport import predict_schedule
from scripts.host import REPOSITORY
from scripts.model_workflows import MODEL_TEMPLATES, MODEL_WORKFLOWS, SCHEDULES
from scripts.workflow_canvas import Canvas, Output

FOLDER = REPOSITORY / "example_workflows"
PROMPTS = REPOSITORY / "demo_model" / "prompts.json"
DEMO, CALIBRATE, INDEX = "otcache_demo", "otcache_calibrate_demo", "index"
COMPARE, BUDGETS = "otcache_compare_budgets", (8, 15, 25)
SIGMAS, SIGMAS_SAMPLER = "otcache_sigmas", "dpm_2"
PRESET = "preset: otcache-demo"
SAMPLING: dict[str, Any] = {"cfg": 2.5, "sampler_name": "euler", "scheduler": "simple"}
STEPS = 50
THUMBNAIL_WIDTH, THUMBNAIL_PICTURES = 640, 4

_DEMO_NOTE = """\
## The same picture, with a fifth of the model calls

Press **Run**. It needs no download and no GPU.

- **Every step** samples all 50 steps. **With a schedule** runs the model at `budget` of them and
  estimates the others.
- **Compare Images** tells how close the two are: LPIPS near 0 is the same picture to the eye.
- Drag `budget` on **Predict Cache Schedule**: any value from the anchor's 8 to all 50.
- On your own model: put your loader in place of **OTCache Demo Model**, and an anchor calibrated
  for it in **Load OT Anchor** (see the template *otcache_calibrate_demo*).
"""

_CALIBRATE_NOTE = """\
## Once per model: find the steps that matter

Press **Run**. On two CPU cores this takes about half an hour; for a quick look lower `trials`, or
`limit` on **Calibration Prompts**.

- **Calibration Prompts** holds one prompt a line. They become a list, so **CLIP Text Encode** runs
  once per prompt.
- **Calibrate OT Anchor** samples each prompt in full, then looks for the few steps whose pictures
  come closest to that. The best so far is always on disk; you may interrupt it.
- The result is saved in `models/otcache` as *my demo anchor*: choose it in **Load OT Anchor**.
- On your own model: use your loader, prompts and latent size, and the sampler settings you will
  use later.
"""


_COMPARE_NOTE = """\
## What does a budget cost?

Press **Run**. Each column samples the same noise with another budget. **Compare Images** lays the
result over the picture of every step: drag its slider, and read LPIPS (0 is the same to the eye).
"""


_SIGMAS_NOTE = """\
## Let the sampler take the large steps

**OTCache Sigmas** keeps the noise levels of a schedule's computed steps only. The sampler then
takes 10 steps of uneven length, and nothing is cached. For most samplers caching comes closer to
the full run; for those that call the model twice a step, such as *dpm_2* here, this does. Press
**Run** and compare.
"""


def _show(canvas: Canvas, title: str, picture: Output) -> None:
    """Previews a picture of 64x64 pixels large enough to see."""
    (large,) = canvas.add(
        "ImageScaleBy", "Enlarge", collapsed=True, image=picture, upscale_method="nearest-exact",
        scale_by=4.0,
    )  # fmt: skip
    canvas.add("PreviewImage", title, room=300, images=large)


def demo() -> dict[str, Any]:
    """The demo model sampled in full and by a schedule, and the two compared."""
    prompt = json.loads(PROMPTS.read_text(encoding="utf-8"))["held_out"][1]
    canvas = Canvas(DEMO)
    with canvas.column("1 Model", 380):
        canvas.add("MarkdownNote", "About this workflow", room=150, text=_DEMO_NOTE)
        model, clip, vae, latent = canvas.add("OTCacheDemoModel", batch_size=1)
    with canvas.column("2 Prompt", 320):
        (positive,) = canvas.add("CLIPTextEncode", "Prompt", clip=clip, text=prompt)
        (negative,) = canvas.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
        (seed,) = canvas.add("PrimitiveInt", "Seed", value=1)
        (steps,) = canvas.add("PrimitiveInt", "Steps", value=STEPS)
    with canvas.column("3 Schedule", 480):
        (anchor,) = canvas.add("OTCacheLoadAnchor", room=130, anchor_name=PRESET, inline_anchor="")
        schedule, picture = canvas.add(
            "OTCachePredictSchedule", room=250, anchor=anchor, budget=10, rho=1.3, anchor_rho=True,
            steps=(steps, STEPS), target_lpips=0.0,
        )  # fmt: skip
        canvas.add("PreviewImage", "Schedule", room=300, images=picture)
    shared: dict[str, Any] = {"model": model, "positive": positive, "negative": negative}
    shared |= {
        "latent_image": latent,
        "seed": (seed, 1),
        "steps": (steps, STEPS),
        "denoise": 1.0,
        **SAMPLING,
    }
    with canvas.column("4 Sample", 320):
        cached, _ = canvas.add(
            "OTCacheSampler", "With a schedule", room=110, **shared, schedule=schedule
        )
        full, _ = canvas.add("OTCacheSampler", "Every step", room=110, **shared)
    with canvas.column("5 Pictures", 320):
        (image,) = canvas.add("VAEDecode", samples=cached, vae=vae)
        _show(canvas, "Picture with a schedule", image)
        (reference,) = canvas.add("VAEDecode", samples=full, vae=vae)
        _show(canvas, "Picture of every step", reference)
    with canvas.column("6 Compare", 320):
        *_, difference = canvas.add(
            "OTCacheCompareImages", room=330, image=image, reference=reference, net="alex",
            amplify=4.0,
        )  # fmt: skip
        _show(canvas, "Difference, amplified", difference)
        canvas.add("SaveImage", room=210, images=image, filename_prefix="otcache/demo")
    return canvas.workflow()


def calibrate_demo() -> dict[str, Any]:
    """The anchor of the demo model, made anew."""
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))["calibration"]
    canvas = Canvas(CALIBRATE)
    with canvas.column("1 Model", 380):
        canvas.add("MarkdownNote", "About this workflow", room=150, text=_CALIBRATE_NOTE)
        model, clip, vae, latent = canvas.add("OTCacheDemoModel", batch_size=1)
    with canvas.column("2 Prompts", 420):
        lines, _ = canvas.add(
            "OTCacheCalibrationPrompts", room=320, text="\n".join(prompts), limit=50,
            source="the text above",
        )  # fmt: skip
    with canvas.column("3 Conditioning", 320):
        (positive,) = canvas.add("CLIPTextEncode", "Each prompt", clip=clip, text=(lines, ""))
        (negative,) = canvas.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
    with canvas.column("4 Calibrate", 400):
        _, report, _ = canvas.add(
            "OTCacheCalibrateAnchor", room=380, model=model, vae=vae, positive=positive,
            negative=negative, latent_image=latent, name="my demo anchor", steps=STEPS, **SAMPLING,
            reference_budget=20, anchor_budget=8, trials=120, patience=20, seed=0,
            estimator="slope", size="standard", search="cma-es", middle_budget=0, minutes=0,
            memo="host memory",
        )  # fmt: skip
    with canvas.column("5 Report", 560):
        canvas.add("PreviewImage", "Report", room=340, images=report)
    return canvas.workflow()


def compare_budgets() -> dict[str, Any]:
    """One picture at three budgets side by side, each compared to the full run."""
    prompt = json.loads(PROMPTS.read_text(encoding="utf-8"))["held_out"][2]
    canvas = Canvas(COMPARE)
    with canvas.column("1 Model", 380):
        canvas.add("MarkdownNote", "About this workflow", room=90, text=_COMPARE_NOTE)
        model, clip, vae, latent = canvas.add("OTCacheDemoModel", batch_size=1)
        (positive,) = canvas.add("CLIPTextEncode", "Prompt", clip=clip, text=prompt)
        (negative,) = canvas.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
        (anchor,) = canvas.add("OTCacheLoadAnchor", room=130, anchor_name=PRESET, inline_anchor="")
    shared: dict[str, Any] = {"model": model, "positive": positive, "negative": negative}
    shared |= {"latent_image": latent, "seed": 3, "steps": STEPS, "denoise": 1.0, **SAMPLING}
    with canvas.column("2 Every step", 340):
        sampled, _ = canvas.add("OTCacheSampler", "Every step", room=110, **shared)
        (full,) = canvas.add("VAEDecode", samples=sampled, vae=vae)
        _show(canvas, "Picture of every step", full)
    for number, budget in enumerate(BUDGETS):
        with canvas.column(f"{number + 3} Budget {budget}", 340):
            schedule, _ = canvas.add(
                "OTCachePredictSchedule", room=250, anchor=anchor, budget=budget, rho=1.3,
                anchor_rho=True, steps=STEPS, target_lpips=0.0,
            )  # fmt: skip
            title = f"{budget} model calls"
            sampled, _ = canvas.add("OTCacheSampler", title, room=110, **shared, schedule=schedule)
            (image,) = canvas.add("VAEDecode", samples=sampled, vae=vae)
            canvas.add(
                "OTCacheCompareImages", room=330, image=image, reference=full, net="alex",
                amplify=4.0,
            )  # fmt: skip
    return canvas.workflow()


def sigmas() -> dict[str, Any]:
    """A sampler with two calls a step on a schedule's noise levels, beside all of them."""
    prompt = json.loads(PROMPTS.read_text(encoding="utf-8"))["held_out"][2]
    canvas = Canvas(SIGMAS)
    with canvas.column("1 Model", 380):
        canvas.add("MarkdownNote", "About this workflow", room=130, text=_SIGMAS_NOTE)
        model, clip, vae, latent = canvas.add("OTCacheDemoModel", batch_size=1)
        (positive,) = canvas.add("CLIPTextEncode", "Prompt", clip=clip, text=prompt)
        (negative,) = canvas.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
    with canvas.column("2 Noise levels", 400):
        (anchor,) = canvas.add("OTCacheLoadAnchor", room=130, anchor_name=PRESET, inline_anchor="")
        schedule, _ = canvas.add(
            "OTCachePredictSchedule", room=250, anchor=anchor, budget=10, rho=1.3,
            anchor_rho=True, steps=STEPS, target_lpips=0.0,
        )  # fmt: skip
        (levels,) = canvas.add(
            "BasicScheduler", model=model, scheduler=SAMPLING["scheduler"], steps=STEPS, denoise=1.0
        )
        (kept,) = canvas.add("OTCacheSigmas", room=60, sigmas=levels, schedule=schedule)
        (sampler,) = canvas.add("KSamplerSelect", sampler_name=SIGMAS_SAMPLER)
    shared: dict[str, Any] = {"model": model, "positive": positive, "negative": negative}
    shared |= {"sampler": sampler, "latent_image": latent, "add_noise": True, "noise_seed": 3}
    shared["cfg"] = SAMPLING["cfg"]
    images = []
    for number, (title, used) in enumerate((("Every level", levels), ("Levels kept", kept))):
        with canvas.column(f"{number + 3} {title}", 340):
            sampled, _ = canvas.add("SamplerCustom", title, room=60, **shared, sigmas=used)
            images += canvas.add("VAEDecode", samples=sampled, vae=vae)
            _show(canvas, f"Picture, {title.lower()}", images[-1])
    with canvas.column("5 Compare", 340):
        canvas.add(
            "OTCacheCompareImages", room=330, image=images[1], reference=images[0], net="alex",
            amplify=4.0,
        )  # fmt: skip
    return canvas.workflow()


_TEMPLATES = {
    DEMO: (
        "OTCache demo",
        "Samples the bundled model in full and by a cached schedule, and compares the pictures.",
    ),
    CALIBRATE: (
        "OTCache calibration",
        "Finds the anchor of the bundled model and saves it; swap in your own model.",
    ),
    COMPARE: (
        "OTCache: compare budgets",
        "The same picture with 8, 15 and 25 model calls, each against all 50 steps.",
    ),
    SIGMAS: (
        "OTCache Sigmas",
        "The noise levels of a schedule's computed steps, for a sampler that takes them itself.",
    ),
    **MODEL_TEMPLATES,
}


def index() -> dict[str, Any]:
    """The list of the others, for tools that read it.

    ComfyUI's template browser shows every JSON file of the folder as a workflow and no other one
    by its title, so the list is a workflow as well: a note about the others.
    """
    lines = [f"- **{name}**: {about}" for name, (_, about) in _TEMPLATES.items()]
    canvas = Canvas(INDEX)
    with canvas.column("OTCache", 480):
        text = "\n".join(["## Workflows of OTCache", "", *lines, "", "Open them from Templates."])
        canvas.add("MarkdownNote", "Start here", room=60, text=text)
    templates = [
        {
            "name": name,
            "title": title,
            "description": about,
            "mediaType": "image",
            "mediaSubtype": "jpg",
            "tags": ["OTCache"],
        }
        for name, (title, about) in _TEMPLATES.items()
    ]
    return {
        "moduleName": "otcache",
        "title": "OTCache",
        "templates": templates,
        **canvas.workflow(),
    }


WORKFLOWS = {
    DEMO: demo,
    CALIBRATE: calibrate_demo,
    COMPARE: compare_budgets,
    SIGMAS: sigmas,
    **MODEL_WORKFLOWS,
    INDEX: index,
}


def as_text(workflow: dict[str, Any]) -> str:
    """The file's content."""
    return json.dumps(workflow, indent=1) + "\n"


def _save_thumbnail(name: str, picture: Image.Image) -> None:
    picture = picture.convert("RGB")
    picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
    picture.save(FOLDER / f"{name}.jpg", quality=88, optimize=True)


def write_thumbnails(pictures: Path) -> None:
    """Makes the demo's and the index's thumbnail from a folder that `scripts.demo` has written.

    The demo's shows the first pictures of its full run over those of its run with 10 calls.
    """
    rows = []
    for label, run in (("every step", "full"), ("1 step in 5", "otcache_b10")):
        files = sorted((pictures / run).glob("*.png"))[:THUMBNAIL_PICTURES]
        rows.append((label, [np.asarray(Image.open(file).convert("RGB")) for file in files]))
    sheet = contact_sheet(rows=rows, columns=[""] * len(rows[0][1]), scale=2)
    _save_thumbnail(DEMO, Image.fromarray(sheet))
    _save_thumbnail(INDEX, Image.open(pictures / "schedule.png"))


_PLOTTED = {**SCHEDULES, COMPARE: (PRESET, 15, STEPS), SIGMAS: (PRESET, 10, STEPS)}


def write_schedule_thumbnails() -> None:
    """Shows which steps run, for workflows whose models cannot be run here."""
    for name, (preset, budget, steps) in _PLOTTED.items():
        file = f"{preset.removeprefix('preset: ')}{SUFFIX}"
        prediction = predict_schedule(
            load_anchor(REPOSITORY / "presets" / file), budget, steps=steps
        )
        picture = render_schedule(
            steps=steps,
            computed_steps=prediction.schedule.computed_steps,
            curves={name: curve.tolist() for name, curve in prediction.curves.items()},
            caption=_TEMPLATES[name][0],
        )
        _save_thumbnail(name, Image.fromarray(picture))


def main() -> int:
    """Write the workflows, and the thumbnails if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="a folder that scripts.demo has written")
    parser.add_argument("--report", type=Path, help="the report that a calibration has shown")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name, make in WORKFLOWS.items():
        (FOLDER / f"{name}.json").write_text(as_text(make()), encoding="utf-8", newline="\n")
    write_schedule_thumbnails()
    if options.pictures is not None:
        write_thumbnails(options.pictures)
    if options.report is not None:
        _save_thumbnail(CALIBRATE, Image.open(options.report))
    print(f"wrote {', '.join(WORKFLOWS)} to {FOLDER}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
