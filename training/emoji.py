"""Captioned pictures of the proving ground's ``latent``: shaded emoji over plain backgrounds.

The pictures are Microsoft's Fluent Emoji as npm's ``@lobehub/fluent-emoji-3d`` packs them (MIT);
their names are Unicode's, from Python itself.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from demo_model.text import split_words

PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
PACKAGE_SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
SIZE, INNER = 64, 60
"""Side of a picture, and of the emoji in it, which moves by the difference."""

BACKGROUNDS = {
    "white": (246, 246, 244),
    "grey": (176, 178, 184),
    "blue": (166, 200, 240),
    "green": (176, 222, 180),
    "yellow": (248, 232, 160),
    "pink": (248, 196, 210),
    "purple": (206, 188, 236),
    "brown": (196, 168, 140),
}
NAME_WORDS, EVERY = 2, 10
"""Names are that short, and every so-manieth emoji is taken: more would need longer training."""
HELD_OUT_SHARE = 8
"""One in so many pairs of an emoji and a background is never trained on."""

_SYMBOLS = {"squared", "sign", "symbol", "arrow", "clock", "ideograph", "latin", "mark", "button"}
_SYMBOLS |= {"circled", "input", "cjk", "triangle", "digit", "katakana", "banknote", "regional"}


@dataclass(frozen=True)
class Emoji:
    """Named emoji: premultiplied RGBA ``(N, 4, INNER, INNER)`` uint8."""

    names: tuple[str, ...]
    pictures: Tensor


def fetch(folder: Path) -> Path:
    """The package's archive in ``folder``; npm brings it where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "lobehub-fluent-emoji-3d-1.1.0.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != PACKAGE_SHA256:
        raise ValueError(f"{archive.name} must have the hash {PACKAGE_SHA256} but has {found}")
    return archive


def name_of(file: str) -> str | None:
    """What an emoji is called, None where its name says nothing of a picture.

    Args:
        file: Code points in hexadecimal, such as ``1f34e.webp``.
    """
    points = [int(part, 16) for part in file.removesuffix(".webp").split("-")]
    points = [point for point in points if point != 0xFE0F]
    if len(points) != 1:
        return None
    words = split_words(unicodedata.name(chr(points[0]), ""))
    if not words or len(words) > NAME_WORDS or _SYMBOLS & set(words):
        return None
    return " ".join(words)


def _read(archive: Path) -> Iterator[tuple[str, Tensor]]:
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if not member.name.endswith(".webp"):
                continue
            image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGBa")
            small = image.resize((INNER, INNER), Image.Resampling.BOX, reducing_gap=3.0)
            pixels = np.frombuffer(small.tobytes(), np.uint8).reshape(INNER, INNER, 4)
            yield Path(member.name).name, torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def load(folder: Path) -> tuple[Emoji, Tensor]:
    """The named emoji, and all pictures, those without a name too; decoded once, then kept."""
    kept = folder / f"emoji-{INNER}.pt"
    if kept.exists():
        state = torch.load(kept, weights_only=True)
    else:
        read = list(_read(fetch(folder)))
        state = {"files": [f for f, _ in read], "pictures": torch.stack([p for _, p in read])}
        torch.save(state, kept)
    named = {}
    for i, file in enumerate(state["files"]):
        name = name_of(file)
        if name is not None:
            named.setdefault(name, i)
    names, pictures = tuple(named)[::EVERY], state["pictures"]
    return Emoji(names, pictures[[named[name] for name in names]]), pictures


def compose(pictures: Tensor, colours: Tensor, corners: Tensor) -> Tensor:
    """Emoji over plain colours.

    Args:
        pictures: Premultiplied RGBA ``(N, 4, INNER, INNER)`` uint8.
        colours: ``(N, 3)`` in [0, 255].
        corners: Rows and columns of the emoji's upper left corner ``(N, 2)``.

    Returns:
        ``(N, 3, SIZE, SIZE)`` in [-1, 1].
    """
    full = torch.zeros(len(pictures), 4, SIZE, SIZE)
    for i, (row, column) in enumerate(corners.tolist()):
        full[i, :, row : row + INNER, column : column + INNER] = pictures[i]
    mixed = full[:, :3] + colours[:, :, None, None] * (1 - full[:, 3:] / 255)
    return mixed.clamp(0, 255) / 127.5 - 1


def jitter(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Colours of a slightly other shade, and random corners, from torch's own generator."""
    shade = colours + torch.randn(len(colours), 1) * 4
    return shade, torch.randint(SIZE - INNER + 1, (len(colours), 2))


def held_out(emoji: int, background: int) -> bool:
    """Whether a pair, by position in its list, is kept from training."""
    return (EVERY // 2 * emoji + 3 * background) % HELD_OUT_SHARE == 0


def prompt(name: str, background: str) -> str:
    """As a person would ask for the pair."""
    return f"{name} on {background}"


def vocabulary(names: tuple[str, ...]) -> list[str]:
    """Every word of a prompt, in a fixed order."""
    words = [word for name in names for word in name.split()]
    return list(dict.fromkeys([*BACKGROUNDS, "on", *words]))
