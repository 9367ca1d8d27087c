"""What makes two calibrations the same: the workflow behind them, the model's weights, settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import torch

WATCHED_INPUTS = ("model", "vae", "positive", "negative", "latent_image")
SAMPLES = 8
"""Elements of each weight that are looked at."""

MAX_DEPTH = 200


def fingerprint(
    model: Any, settings: Any, prompt: Any, node_id: str | None, conditioning: Any
) -> str:
    """A short name for a calibration, the same in every process and on every machine.

    Two models behind one file name differ by their weights, and a changed node, prompt, LoRA or
    setting anywhere before the calibration makes another name.

    Args:
        model: The ModelPatcher, whose weights and patches are sampled.
        settings: Whatever else matters, with a stable ``repr``.
        prompt: The queued workflow, or ``None`` where the host gave none.
        node_id: The calibration's node in it.
        conditioning: Stands for the workflow where there is none.
    """
    digest = hashlib.sha256(repr(settings).encode())
    node = prompt.get(node_id) if isinstance(prompt, dict) else None
    if node is not None:
        inputs = {name: node["inputs"].get(name) for name in WATCHED_INPUTS}
        text = json.dumps(_behind(inputs, prompt, 0), sort_keys=True, default=repr)
        digest.update(text.encode())
    else:
        for tensor in _tensors(conditioning, 0):
            digest.update(_sample(tensor, 1 << 20))
    for name, weight in model.model.diffusion_model.named_parameters():
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(_sample(weight, SAMPLES))
    for key in sorted(model.patches, key=str):
        digest.update(repr(key).encode())
        for patch in model.patches[key]:
            digest.update(repr([part for part in patch if isinstance(part, (int, float))]).encode())
            for tensor in _tensors(patch, 0):
                digest.update(_sample(tensor, SAMPLES))
    return digest.hexdigest()[:16]


def _behind(value: Any, prompt: dict[str, Any], depth: int) -> Any:
    """An input with every link replaced by the node behind it, so that node ids do not matter."""
    if depth > MAX_DEPTH:
        return "..."
    if isinstance(value, dict):
        return {name: _behind(inner, prompt, depth + 1) for name, inner in value.items()}
    if isinstance(value, list) and len(value) == 2 and str(value[0]) in prompt:
        node = prompt[str(value[0])]
        inputs = _behind(node.get("inputs", {}), prompt, depth + 1)
        return [node.get("class_type"), inputs, value[1]]
    return value


def _tensors(value: Any, depth: int) -> Iterator[torch.Tensor]:
    """Every tensor in nested containers and weight adapters, in a stable order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif depth < 8:
        inner = value.values() if isinstance(value, dict) else getattr(value, "weights", value)
        if isinstance(inner, (list, tuple)) or isinstance(value, dict):
            for item in inner:
                yield from _tensors(item, depth + 1)


def _sample(tensor: torch.Tensor, count: int) -> bytes:
    """A few elements as bytes; nothing where a quantised weight cannot be read so."""
    try:
        flat = tensor.detach().reshape(-1)
        stride = max(flat.numel() // count, 1)
        return flat[::stride][:count].to("cpu", torch.float32).numpy().tobytes()
    except (RuntimeError, NotImplementedError, TypeError, AttributeError):
        return b""
