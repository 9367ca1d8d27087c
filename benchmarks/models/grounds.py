"""The proving ground's models by name: which there are, and how each is built.

A model is a module beside this one with ``NAME`` and ``build(host)``, whose trained weights lie in
the folder of that name. ``NAME-hard`` is the same model at its ``hard_cfg``.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.models.ground_model import FOLDER, GroundModel

HARD = "-hard"
ALWAYS_HARD = ("demo", "latent", "unet")
"""Models that are measured at their hard guidance as well, unless names are asked for."""


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.models.{name.removesuffix(HARD)}")


def known() -> list[str]:
    """Names of all models, their weights here or not."""
    modules = [module.name for module in pkgutil.iter_modules([str(FOLDER)])]
    return [name for name in modules if name == getattr(_module(name), "NAME", None)]


def usual() -> list[str]:
    """Names of the grounds that are measured unless some are asked for, the hard ones first."""
    listed = known()
    return [*(name + HARD for name in ALWAYS_HARD if name in listed), *listed]


def _weights(name: str) -> list[Path]:
    folder: Path = getattr(_module(name), "WEIGHTS", FOLDER / name.removesuffix(HARD))
    return sorted(folder.glob("*.safetensors"))


def choose(asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of grounds to measure, and why others are left out.

    Args:
        asked: Names, of which each must be there; else all that are.

    Raises:
        SystemExit: If a name is unknown or its weights are not there.
    """
    listed = known()
    for name in asked:
        if name.removesuffix(HARD) not in listed:
            raise SystemExit(f"--model must be one of {', '.join(listed)} but got {name!r}.")
        if not _weights(name):
            raise SystemExit(f"{name} must have its weights in {_folder(name)} but has none.")
    every = list(asked) or usual()
    absent = [name for name in every if not _weights(name)]
    return (
        [name for name in every if name not in absent],
        [f"{name} is left out: {_folder(name)} has no weights." for name in absent],
    )


def _folder(name: str) -> str:
    return f"benchmarks/models/{name.removesuffix(HARD)}"


def digest(name: str) -> str:
    """Tells one state of a model's weights from another."""
    found = hashlib.sha256()
    for path in _weights(name):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def shipped_anchor(name: str) -> Path | None:
    """The anchor that ships for a model, where there is one."""
    path: Path | None = getattr(_module(name), "ANCHOR", None)
    return None if name.endswith(HARD) else path


def build(host: Any, name: str) -> GroundModel:
    """A model in the host, at the guidance that its name says.

    Args:
        host: A ``scripts.host.inprocess.Host``.
        name: One of ``known``, with ``-hard`` or without.
    """
    made: GroundModel = _module(name).build(host)
    return replace(made, cfg=made.hard_cfg) if name.endswith(HARD) else made
