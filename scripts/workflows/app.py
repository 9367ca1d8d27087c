"""The template that newer front ends open as an app: a prompt, calls and a seed, and the picture.

App mode hides the graph. What it shows is in the workflow's `extra.linearData`: widgets by node and
name, and the nodes whose output is the result. Front ends without it open the graph.
"""

from __future__ import annotations

import json
from typing import Any

from scripts.workflows import notes_zh
from scripts.workflows.canvas import Canvas
from scripts.workflows.demo import OWN_STEPS, PROMPTS, SAMPLING

APP = "OTCache app"
CALLS = 11

_NOTE = """\
## An app around one node

Front ends with an app mode show a prompt, *calls* and a seed here, and the picture. Press **Run**:
it needs no download and no GPU.

- **OTCache** makes 11 model calls instead of 20.
- For an app of your own: put **OTCache** in front of its sampler, and choose *calls* among the
  inputs in the app's builder.
- The bundled model draws things such as a house, a boat or a cat, in the snow or at sunset.
"""


def app() -> dict[str, Any]:
    """The bundled model with one node, as an app."""
    canvas = Canvas(APP)
    prompt = json.loads(PROMPTS.read_text(encoding="utf-8"))["held_out"][2]
    with canvas.column("1 Model", 380):
        canvas.note(_NOTE, notes_zh.APP, 190)
        model, clip, vae, latent = canvas.add("OTCacheDemoModel", batch_size=1)
        (cached,) = canvas.add("OTCacheAuto", room=140, model=model, calls=CALLS, grid="fine")
    with canvas.column("2 Prompt", 380):
        (positive,) = canvas.add("CLIPTextEncode", "Prompt", clip=clip, text=prompt)
        (negative,) = canvas.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
        (sampled,) = canvas.add(
            "KSampler", model=cached, positive=positive, negative=negative, latent_image=latent,
            seed=3, steps=OWN_STEPS, denoise=1.0, **SAMPLING,
        )  # fmt: skip
    with canvas.column("3 Picture", 340):
        (image,) = canvas.add("VAEDecode", samples=sampled, vae=vae)
        (large,) = canvas.add(
            "ImageScaleBy", "Enlarge", image=image, upscale_method="nearest-exact", scale_by=8.0
        )
        canvas.add("SaveImage", room=300, images=large, filename_prefix="otcache/app")
        shown = canvas.nodes[-1]["id"]
    _call(positive.node, "text", "STRING", "prompt")
    inputs = [
        [positive.node["id"], "text"],
        [cached.node["id"], "calls"],
        [sampled.node["id"], "seed"],
    ]
    workflow = canvas.workflow()
    workflow["extra"] |= {"linearMode": True, "linearData": {"inputs": inputs, "outputs": [shown]}}
    return workflow


def _call(node: dict[str, Any], widget: str, kind: str, label: str) -> None:
    """Gives a widget a name of its own, which is what an app shows."""
    socket = {"name": widget, "label": label, "type": kind, "widget": {"name": widget}}
    node["inputs"].append({**socket, "link": None})
