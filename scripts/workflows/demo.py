"""The workflows on the bundled model: demo, calibration, budgets side by side, OTCache Sigmas.

Each is described node by node, links as Python values; a canvas lays it out in titled columns.
"""

from __future__ import annotations

import json
from typing import Any

from scripts.host.find import REPOSITORY
from scripts.workflows import notes_zh
from scripts.workflows.canvas import Canvas, Output

PROMPTS = REPOSITORY / "demo_model" / "prompts.json"
DEMO, CALIBRATE = "OTCache demo", "OTCache calibration"
COMPARE, BUDGETS = "OTCache budgets side by side", (8, 15, 25)
SIGMAS, SIGMAS_SAMPLER = "OTCache Sigmas", "dpm_2"
PRESET = "preset: otcache-demo"
ONE_NODE, ONE_NODE_CALLS = "OTCache in one node", 11
OWN_STEPS, CONVERGED_STEPS = 20, 200
SAMPLING: dict[str, Any] = {"cfg": 2.5, "sampler_name": "euler", "scheduler": "simple"}
STEPS = 50

_ONE_NODE_NOTE = """\
## One node between model and sampler

Press **Run**. It needs no download and no GPU.

- **20 steps** is an ordinary graph.
- **OTCache** in front of the same sampler: 11 model calls instead of 20, on a finer grid.
- **200 steps** is the picture that ever more steps come to. **Compare Images** tells how far
  from it the other two are: LPIPS near 0 is the same picture to the eye.
- In your own workflow: put **OTCache** behind the model loader and its LoRAs, and leave *calls*
  at 0. Nothing else is needed.
"""

_DEMO_NOTE = """\
## The same picture, with a fifth of the model calls

Press **Run**. It needs no download and no GPU.

- **Every step** samples all 50 steps. **With a schedule** runs the model at *budget* of them and
  estimates the others.
- **Compare Images** tells how close the two are: LPIPS near 0 is the same picture to the eye.
- Drag *budget* on **Predict Cache Schedule**: any value from the anchor's 8 to all 50.
- On your own model: put your loader in place of **OTCache Demo Model**, and an anchor calibrated
  for it in **Load OT Anchor** (see the template *OTCache calibration*).
"""

_CALIBRATE_NOTE = """\
## Once per model: find the steps that matter

Press **Run**. The node says what it costs and, once it runs, how long. For a quick look set *size*
to *quick*: 3 prompts and no search, about 500 model calls instead of 6,600.

- **Calibration Prompts** holds one prompt a line. They become a list, so **CLIP Text Encode** runs
  once per prompt.
- **Calibrate OT Anchor** samples each prompt in full, then looks for the few steps whose pictures
  come closest to that. The best so far is always on disk; you may interrupt it.
- The result is saved in *models/otcache* as *my demo anchor*: choose it in **Load OT Anchor**.
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
        canvas.note(_DEMO_NOTE, notes_zh.DEMO, 150)
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
        canvas.note(_CALIBRATE_NOTE, notes_zh.CALIBRATE, 150)
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


def one_node() -> dict[str, Any]:
    """A stock graph, the same with one node added, and both beside the converged run."""
    canvas = Canvas(ONE_NODE)
    with canvas.column("1 Model", 380):
        model, vae, latent, positive, negative = _model_and_prompt(
            canvas, _ONE_NODE_NOTE, notes_zh.ONE_NODE, 190
        )
    shared: dict[str, Any] = {"positive": positive, "negative": negative, "latent_image": latent}
    shared |= {"seed": 3, "denoise": 1.0, **SAMPLING}
    images = []
    runs = (("200 steps", CONVERGED_STEPS), ("20 steps", OWN_STEPS), ("OTCache", OWN_STEPS))
    for number, (title, steps) in enumerate(runs, 2):
        with canvas.column(f"{number} {title}", 340):
            of = model
            if title == "OTCache":
                (of,) = canvas.add(
                    "OTCacheAuto", room=140, model=model, calls=ONE_NODE_CALLS, grid="fine"
                )
            (sampled,) = canvas.add("KSampler", title, model=of, steps=steps, **shared)
            images += canvas.add("VAEDecode", samples=sampled, vae=vae)
            _show(canvas, f"Picture, {title}", images[-1])
    with canvas.column("5 How far from 200 steps", 340):
        for title, image in zip(("20 steps", "OTCache"), images[1:], strict=True):
            canvas.add(
                "OTCacheCompareImages", f"Compare {title}", room=330, image=image,
                reference=images[0], net="alex", amplify=4.0,
            )  # fmt: skip
    return canvas.workflow()


def _model_and_prompt(canvas: Canvas, note: str, chinese: str, room: int) -> tuple[Any, ...]:
    """A note, the bundled model and a prompt: model, VAE, latent, positive and negative."""
    prompt = json.loads(PROMPTS.read_text(encoding="utf-8"))["held_out"][2]
    canvas.note(note, chinese, room)
    model, clip, vae, latent = canvas.add("OTCacheDemoModel", batch_size=1)
    (positive,) = canvas.add("CLIPTextEncode", "Prompt", clip=clip, text=prompt)
    (negative,) = canvas.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
    return model, vae, latent, positive, negative


def compare_budgets() -> dict[str, Any]:
    """One picture at three budgets side by side, each compared to the full run."""
    canvas = Canvas(COMPARE)
    with canvas.column("1 Model", 380):
        model, vae, latent, positive, negative = _model_and_prompt(
            canvas, _COMPARE_NOTE, notes_zh.COMPARE, 90
        )
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
    canvas = Canvas(SIGMAS)
    with canvas.column("1 Model", 380):
        model, vae, latent, positive, negative = _model_and_prompt(
            canvas, _SIGMAS_NOTE, notes_zh.SIGMAS, 130
        )
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


DEMO_WORKFLOWS = {
    ONE_NODE: one_node,
    DEMO: demo,
    CALIBRATE: calibrate_demo,
    COMPARE: compare_budgets,
    SIGMAS: sigmas,
}

DEMO_SCHEDULES = {COMPARE: (PRESET, 15, STEPS), SIGMAS: (PRESET, 10, STEPS)}
"""Preset, budget and steps of what a thumbnail plots, where it shows no pictures."""
