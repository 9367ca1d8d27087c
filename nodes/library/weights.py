"""A short hash of a model's weights, for anchors to tell it from others of its class."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

VALUES = 4
"""Elements of each matrix that are looked at: they lie together, so that little is read."""

DIGITS = 16
PREFIX = "diffusion_model."
"""How the host calls a model's own weights in what it keeps of them."""


def weights_fingerprint(model: Any) -> str:
    """A hash over the shapes and a few values of a model's matrices; empty if none can be read.

    Names are left out, and with them the order: the host renames weights now and then. Vectors are
    left out because some loaders add scales of their own. LoRAs do not change it, other checkpoints
    and other precisions do.

    Args:
        model: A ModelPatcher. Nothing is moved or loaded.
    """
    before_patches = getattr(model, "backup", {})
    found = []
    readable = False
    for name, weight in model.model.diffusion_model.named_parameters():
        if weight.ndim < 2:
            continue
        kept = before_patches.get(PREFIX + name)
        values = few_values(weight if kept is None else kept.weight)
        readable = readable or bool(values)
        found.append(f"{tuple(weight.shape)} {values.hex()}")
    if not readable:
        return ""
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:DIGITS]


def few_values(weight: torch.Tensor) -> bytes:
    """Elements from the middle; nothing where a quantised weight cannot be read so."""
    try:
        middle = weight.detach()[tuple(size // 2 for size in weight.shape[:-1])]
        return middle[:VALUES].to("cpu", torch.float32).numpy().tobytes()
    except (RuntimeError, NotImplementedError, TypeError, AttributeError, IndexError):
        return b""
