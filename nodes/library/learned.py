"""What the node OTCache has learned of models, kept between runs of the server.

One small anchor file for each model, guidance, sort of run and size of picture, in ComfyUI's user
folder. A model with a LoRA, or in another size, begins with what the model itself has taught.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths
import torch

from ...otcache_core.documents.anchor import SUFFIX, Anchor, Sampling, load_anchor, save_anchor
from ...otcache_core.errors import OTCacheError
from ...otcache_core.learning import ENOUGH, begin_learning, has_learned, learn
from ...otcache_core.message import Message
from ..sampling.origin import CFG_TOLERANCE, architecture_of
from .weights import few_values

PREFIX = "learned: "
MOST_FILES = 200
"""The oldest go."""
DIGITS = 8


@dataclass(frozen=True)
class Circumstances:
    """What steadiness depends on.

    Attributes:
        weights: Hash of the model's weights; see ``weights.weights_fingerprint``.
        patches: Hash of what is laid over them, such as LoRAs; empty for nothing.
        architecture: The model's class.
        cfg: Guidance scale.
        guidance: Distilled guidance of the conditioning, or ``None``.
        curve: The run's noise levels, roughly.
        size: The latent's, roughly.
    """

    weights: str
    patches: str
    architecture: str
    cfg: float
    guidance: float | None
    curve: str
    size: str

    @property
    def file(self) -> Path:
        """Where it is kept."""
        rest = f"{self.patches} {self.cfg:g} {self.guidance} {self.curve} {self.size}"
        digest = hashlib.sha256(rest.encode()).hexdigest()[:DIGITS]
        kind = "".join(c for c in self.architecture if c.isalnum())[:40]
        return folder() / f"{kind} cfg {self.cfg:g} {digest}-{self.weights}{SUFFIX}"


def folder() -> Path:
    """Where it is all kept."""
    return Path(folder_paths.get_system_user_directory("otcache")) / "learned"


def learned_files() -> dict[str, Path]:
    """Everything that was learned, by the name that a user sees; the newest first."""
    found = sorted(folder().glob(f"*{SUFFIX}"), key=_age)
    return {PREFIX + path.name.removesuffix(SUFFIX): path for path in found}


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # another process may have removed it
        return 0.0


class Memory:
    """What is known of one model, for ``AutoWrapper``.

    Args:
        weights: The hash of its weights; see ``weights.weights_fingerprint``.
        generic: What a model's document begins with.
        settles: Whether the first pictures teach alone; else every one does.
    """

    def __init__(self, weights: str, generic: Anchor, *, settles: bool = True) -> None:
        self._weights, self._generic, self._settles = weights, generic, settles

    def of(self, guider: Any, levels: Sequence[float], shape: Sequence[int]) -> Remembered:
        """What is known for one run.

        Args:
            guider: The host's guider.
            levels: The run's noise levels.
            shape: Its latents', the batch first.
        """
        patcher = guider.model_patcher
        circumstances = Circumstances(
            self._weights,
            _patches(patcher),
            architecture_of(patcher),
            _number(getattr(guider, "cfg", None)) or 0.0,  # guiders of others may have none
            _guidance(guider),
            _curve(levels),
            str(round(math.log2(max(math.prod(shape[1:]), 1)))),
        )
        return Remembered(circumstances, self._generic, settles=self._settles)


class Remembered:
    """What is known for one run, and what it adds."""

    def __init__(self, of: Circumstances, generic: Anchor, *, settles: bool = True) -> None:
        self._of, self._generic, self._settles = of, generic, settles
        self.anchor = _recall(of)

    @property
    def name(self) -> str:
        """The name under which a user finds it; empty where nothing is kept."""
        file = self._of.file
        return PREFIX + file.name.removesuffix(SUFFIX) if file.is_file() else ""

    def lines(self) -> list[str]:
        """What is known, for people; empty for nothing."""
        known = self.anchor.learned_in_runs if self.anchor is not None else None
        if known is None:
            return []
        count = min(known.pictures, ENOUGH) if self._settles else known.pictures
        return [Message("learned", "Learned from {count} pictures of this model.", count=count)]

    def teach(self, steadiness: float, pictures: int) -> list[str]:
        """Adds what the run has shown, unless enough is known.

        Args:
            steadiness, pictures: As for ``learning.learn``.

        Returns:
            What to tell the user; empty if nothing was added.
        """
        of = self._of
        known = _read(of.file) or begin_learning(
            self._generic, name=of.architecture, architecture=of.architecture, weights=of.weights,
            sampling=Sampling(cfg=of.cfg, guidance=of.guidance),
        )  # fmt: skip
        if self._settles and has_learned(known):
            return []
        learned = learn(known, steadiness, pictures)
        try:
            save_anchor(learned, of.file)
            for path in list(learned_files().values())[MOST_FILES:]:
                path.unlink(missing_ok=True)
        except (OSError, OTCacheError) as error:
            return [
                Message(
                    "not_kept", "What this run has taught could not be kept: {error}",
                    error=str(error),
                )
            ]  # fmt: skip
        count = learned.learned_in_runs.pictures if learned.learned_in_runs else 0
        if not self._settles:
            return [
                Message(
                    "teaches_on", "This run has taught OTCache the model: {count} pictures so far.",
                    count=count,
                )
            ]  # fmt: skip
        return [
            Message(
                "teaches", "This run has taught OTCache the model: {count} of {enough} pictures.",
                count=min(count, ENOUGH), enough=ENOUGH,
            )
        ]  # fmt: skip


def _recall(of: Circumstances) -> Anchor | None:
    """What is known under these circumstances, or nearly these: the same weights and guidance.

    Damaged files are passed over.
    """
    own = _read(of.file)
    if own is not None:
        return own
    for path in learned_files().values():
        if path.name.endswith(f"-{of.weights}{SUFFIX}"):
            like = _read(path)
            if like is not None and _alike(like.sampling, of):
                return like
    return None


def steadiness_of(name: str, cfg: float | None = None) -> float | None:
    """The steadiness to count on of something that was learned; ``None`` if it is not known.

    Args:
        name: Its name, see ``learned_files``; it may be gone.
        cfg: The guidance of the run it is to be counted on for, if that is known.
    """
    path = learned_files().get(name)
    known = _read(path) if path is not None else None
    if known is None or known.learned_in_runs is None:
        return None
    other = cfg is not None and abs(cfg - known.sampling.cfg) > CFG_TOLERANCE
    return None if other else known.learned_in_runs.believed


def forget_like(name: str) -> int:
    """Removes all that was learned of a model, by one of its names; returns how many files went.

    Raises:
        OTCacheError: If nothing of that name was learned.
    """
    path = learned_files().get(name)
    if path is None:
        raise OTCacheError(
            Message(
                "nothing_learned",
                '"{name}" must be something that was learned but is not: it may be gone already.',
                name=name,
            )
        )
    return forget(path.name.removesuffix(SUFFIX).rpartition("-")[2])


def forget(weights: str) -> int:
    """Removes all that was learned of a model; returns how many files went."""
    gone = 0
    for path in learned_files().values():
        if path.name.endswith(f"-{weights}{SUFFIX}"):
            with contextlib.suppress(OSError):
                path.unlink()
                gone += 1
    return gone


def _read(path: Path) -> Anchor | None:
    with contextlib.suppress(OTCacheError):
        anchor = load_anchor(path)
        if anchor.learned_in_runs is not None and anchor.learned_in_runs.pictures:
            return anchor
    return None


def _alike(made: Sampling, of: Circumstances) -> bool:
    """Whether guidance, which decides most, is the same."""
    distilled = abs((made.guidance or 0.0) - (of.guidance or 0.0)) <= CFG_TOLERANCE
    return distilled and abs(made.cfg - of.cfg) <= CFG_TOLERANCE


def _patches(patcher: Any) -> str:
    """A hash of what is laid over a model's weights: where, how strongly, and a few values."""
    patches = sorted(getattr(patcher, "patches", {}).items())
    if not patches:
        return ""
    told = [f"{key} {[(patch[0], patch[2]) for patch in laid]}" for key, laid in patches]
    values = [few_values(tensor).hex() for patch in patches[0][1] for tensor in _tensors(patch[1])]
    return hashlib.sha256("\n".join(told + values).encode()).hexdigest()[:DIGITS]


def _tensors(laid: Any) -> list[torch.Tensor]:
    """The tensors of one patch: the host has several kinds."""
    if isinstance(laid, torch.Tensor):
        return [laid] if laid.ndim else []
    parts = getattr(laid, "weights", laid)
    return [t for part in parts for t in _tensors(part)] if isinstance(parts, list | tuple) else []


def _guidance(guider: Any) -> float | None:
    """Distilled guidance of the positive conditioning, where it has any."""
    conds = getattr(guider, "conds", None) or getattr(guider, "original_conds", {})
    for cond in conds.get("positive") or ():
        value = _number(cond.get("guidance")) if isinstance(cond, dict) else None
        if value is not None:
            return value
    return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _curve(levels: Sequence[float]) -> str:
    """Where a run begins and ends, and how its levels fall, roughly."""
    last = len(levels) - 1
    quarters = (levels[last * k // 4] / levels[0] for k in (1, 2, 3))
    return " ".join([f"{levels[0]:.1g}", *(f"{q:.1f}" for q in quarters), str(levels[-1] == 0.0)])
