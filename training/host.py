"""The host's own classes, importable for training: no pack, no server, no LPIPS."""

from __future__ import annotations

import sys

import torch

from scripts.host.find import ensure_host
from scripts.host.torchvision_cpu import declare_missing_operators


def import_host() -> None:
    """Makes ``comfy`` importable, with an attention that autograd can follow; once per process."""
    if "comfy.model_management" in sys.modules:
        return
    declare_missing_operators()
    sys.path.insert(0, str(ensure_host()))
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    # The host's own default on a CPU writes into slices of a buffer.
    args.use_pytorch_cross_attention = True
    import comfy.model_management  # noqa: F401
