"""Subgraph blueprints, which the front end's node library offers beside single nodes.

ComfyUI looks for them in a pack's folder `subgraphs/`. A blueprint is a workflow of one node, the
subgraph, and its definition. Links of a definition are objects; -10 and -20 stand for its border.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scripts.workflows.canvas import Canvas, Output, properties
from scripts.workflows.classes import CLASSES
from scripts.workflows.parts import file_of, load_parts
from scripts.workflows.stock import STOCK

INPUT_BORDER, OUTPUT_BORDER = -10, -20
SAMPLER, Z_IMAGE = "KSampler with OTCache", "Text to Image (Z-Image with OTCache)"

_BORDER_WIDTH, _ROW = 140, 20


@dataclass(frozen=True)
class Port:
    """An input of the subgraph: a socket or widget of a node inside.

    Attributes:
        node: The node inside.
        name: The input there.
        label: What the subgraph calls it; empty for the same name.
    """

    node: dict[str, Any]
    name: str
    label: str = ""


def _own_id(blueprint: str, part: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"otcache/blueprint/{blueprint}/{part}"))


class _Definition:
    """Turns what a canvas holds into a subgraph, port by port."""

    def __init__(self, canvas: Canvas) -> None:
        self.name, self.nodes = canvas.name, canvas.nodes
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        self.links = [dict(zip(keys, link, strict=True)) for link in canvas.links]
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []

    def _link(self, origin: int, slot: int, target: int, socket: int, kind: str) -> int:
        self.links.append({
            "id": len(self.links) + 1, "origin_id": origin, "origin_slot": slot,
            "target_id": target, "target_slot": socket, "type": kind,
        })  # fmt: skip
        return len(self.links)

    def _port(self, among: list[dict[str, Any]], name: str, kind: str, link: int) -> None:
        side = "in" if among is self.inputs else "out"
        own = {"id": _own_id(self.name, f"{side} {name}"), "name": name, "type": kind}
        among.append({**own, "linkIds": [link]})

    def let_in(self, port: Port) -> None:
        """Links an input of the border to a socket, or to a widget that becomes one."""
        sockets = port.node["inputs"]
        found = [i for i, socket in enumerate(sockets) if socket["name"] == port.name]
        if not found:
            words = dict(
                w.rstrip("!").split(":") for w in CLASSES[port.node["type"]].widgets.split()
            )
            kind = words[port.name].replace("TEXT", "STRING")
            sockets.append({"name": port.name, "type": kind, "widget": {"name": port.name}})
            found = [len(sockets) - 1]
        socket = sockets[found[0]]
        ends = (INPUT_BORDER, len(self.inputs), port.node["id"], found[0])
        socket["link"] = self._link(*ends, socket["type"])
        self._port(self.inputs, port.label or port.name, socket["type"], socket["link"])

    def let_out(self, output: Output) -> None:
        """Links an output to the border."""
        slot = output.node["outputs"][output.slot]
        ends = (output.node["id"], output.slot, OUTPUT_BORDER, len(self.outputs))
        slot["links"].append(self._link(*ends, slot["type"]))
        self._port(self.outputs, slot["name"], slot["type"], slot["links"][-1])


def _border(number: int, left: float, ports: Sequence[Any]) -> dict[str, Any]:
    return {"id": number, "bounding": [left, 0, _BORDER_WIDTH, (len(ports) + 2) * _ROW]}


def as_blueprint(
    canvas: Canvas, description: str, inputs: Sequence[Port], outputs: Sequence[Output]
) -> dict[str, Any]:
    """A blueprint of what a canvas holds.

    Args:
        canvas: The inside; its name is the blueprint's.
        description: What it does, in a sentence.
        inputs: In the order in which they are shown.
        outputs: Likewise.
    """
    inside = _Definition(canvas)
    for port in inputs:
        inside.let_in(port)
    for output in outputs:
        inside.let_out(output)
    own_id = _own_id(canvas.name, "subgraph")
    right = max(node["pos"][0] + node["size"][0] for node in canvas.nodes)
    definition = {
        "id": own_id, "version": 1, "revision": 0, "config": {}, "name": canvas.name,
        "state": {
            "lastGroupId": len(canvas.groups), "lastNodeId": len(canvas.nodes),
            "lastLinkId": len(inside.links), "lastRerouteId": 0,
        },
        "description": description, "category": "OTCache",
        "inputNode": _border(INPUT_BORDER, -_BORDER_WIDTH - 80, inputs),
        "outputNode": _border(OUTPUT_BORDER, right + 80, outputs),
        "inputs": inside.inputs, "outputs": inside.outputs, "widgets": [],
        "nodes": canvas.nodes, "groups": canvas.groups, "links": inside.links, "extra": {},
    }  # fmt: skip
    return {
        "id": _own_id(canvas.name, "workflow"), "revision": 0, "last_node_id": 1,
        "last_link_id": 0, "nodes": [_instance(own_id, canvas.name, inputs, inside)], "links": [],
        "groups": [], "definitions": {"subgraphs": [definition]}, "config": {},
        "extra": {"BlueprintDescription": description}, "version": 0.4,
    }  # fmt: skip


def _instance(own_id: str, name: str, ports: Sequence[Port], inside: _Definition) -> dict[str, Any]:
    """The one node of the workflow."""
    sockets = []
    for port, outer in zip(ports, inside.inputs, strict=True):
        inner = next(socket for socket in port.node["inputs"] if socket["name"] == port.name)
        shown = {"widget": {"name": outer["name"]}} if "widget" in inner else {}
        sockets.append({"name": outer["name"], "type": outer["type"], **shown, "link": None})
    slots = [{"name": out["name"], "type": out["type"], "links": []} for out in inside.outputs]
    return {
        "id": 1, "type": own_id, "title": name, "pos": [0, 0], "size": [380, 40 + 24 * len(ports)],
        "flags": {}, "order": 0, "mode": 0, "inputs": sockets, "outputs": slots,
        "properties": {key: properties("OTCacheAuto")[key] for key in ("cnr_id", "ver")},
        "widgets_values": [],
    }  # fmt: skip


def sampler() -> dict[str, Any]:
    """KSampler with the node in front of it."""
    canvas = Canvas(SAMPLER)
    with canvas.column("OTCache and sampler", 340):
        (cached,) = canvas.add("OTCacheAuto", room=140, calls=0, grid="fine")
        (latent,) = canvas.add(
            "KSampler", model=cached, seed=0, steps=20, cfg=4.0, sampler_name="euler",
            scheduler="simple", denoise=1.0,
        )  # fmt: skip
    inputs = [Port(cached.node, "model")]
    inputs += [Port(latent.node, name) for name in ("positive", "negative", "latent_image")]
    inputs.append(Port(cached.node, "calls"))
    widgets = ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
    inputs += [Port(latent.node, name) for name in widgets]
    said = "KSampler that makes fewer model calls: as many as calls says, at 0 a share of steps."
    return as_blueprint(canvas, said, inputs, [latent])


def z_image() -> dict[str, Any]:
    """Text to image with Z-Image, from its files to the picture."""
    stock = next(stock for stock in STOCK if stock.model == "Z-Image")
    canvas, turbo = Canvas(Z_IMAGE), "Comfy-Org/z_image_turbo"
    with canvas.column("Model", 400):
        model, clip, vae = load_parts(
            canvas, file_of("z_image_bf16.safetensors", "Comfy-Org/z_image", "diffusion_models"),
            [file_of("qwen_3_4b.safetensors", turbo, "text_encoders")], "lumina2",
            file_of("ae.safetensors", turbo, "vae"),
        )  # fmt: skip
        (shifted,) = canvas.add("ModelSamplingAuraFlow", model=model, shift=float(stock.shift))
    with canvas.column("Prompt", 380):
        (positive,) = canvas.add("CLIPTextEncode", "Prompt", room=60, clip=clip, text="")
        (negative,) = canvas.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
        (latent,) = canvas.add("EmptySD3LatentImage", width=1024, height=1024, batch_size=1)
    with canvas.column("OTCache and sampler", 340):
        (cached,) = canvas.add("OTCacheAuto", room=140, model=shifted, calls=0, grid="fine")
        (sampled,) = canvas.add(
            "KSampler", model=cached, positive=positive, negative=negative, latent_image=latent,
            seed=0, steps=sum(stock.steps), cfg=4.0, sampler_name=stock.sampler,
            scheduler=stock.scheduler, denoise=1.0,
        )  # fmt: skip
        (image,) = canvas.add("VAEDecode", samples=sampled, vae=vae)
    inputs = [
        Port(positive.node, "text", "prompt"), Port(negative.node, "text", "negative_prompt"),
        *(Port(latent.node, name) for name in ("width", "height")), Port(cached.node, "calls"),
        *(Port(sampled.node, name) for name in ("seed", "steps", "cfg")),
        Port(model.node, "unet_name"), Port(clip.node, "clip_name"), Port(vae.node, "vae_name"),
    ]  # fmt: skip
    said = "Pictures of Z-Image's base model with fewer model calls: at 0 four fifths of the steps."
    return as_blueprint(canvas, said, inputs, [image])


BLUEPRINTS = {SAMPLER: sampler, Z_IMAGE: z_image}
"""What makes each, by its name, which is its file's as well."""
