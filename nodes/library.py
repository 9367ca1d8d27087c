"""Where anchors live: the host's model folders, and the presets that ship with the pack."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ..otcache_core.anchor import SUFFIX, Anchor, load_anchor, save_anchor
from ..otcache_core.documents import MAX_BYTES
from ..otcache_core.errors import OTCacheError

FOLDER = "otcache"
LPIPS_FOLDER = "lpips"
PRESETS = Path(__file__).resolve().parents[1] / "presets"
PRESET_PREFIX = "preset: "
IN_WORKFLOW = "in this workflow"
"""Chosen as an anchor's name where only the workflow has it."""
MAX_NAME = 100


def register_folders() -> None:
    """Tells ComfyUI of ``models/otcache`` and ``models/lpips``; extra model paths add to them."""
    for name in (FOLDER, LPIPS_FOLDER):
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))
    # add_model_folder_path admits every file; the list below is filtered by suffix instead, for
    # ComfyUI compares the last extension only.


def lpips_folders() -> tuple[Path, ...]:
    """Folders searched for LPIPS trunks."""
    return tuple(Path(folder) for folder in folder_paths.get_folder_paths(LPIPS_FOLDER))


def anchor_names() -> list[str]:
    """Every anchor one can load: files first, then presets."""
    files = [n for n in folder_paths.get_filename_list(FOLDER) if n.endswith(SUFFIX)]
    presets = sorted(path.name for path in PRESETS.glob(f"*{SUFFIX}"))
    return [*sorted(files), *(PRESET_PREFIX + name.removesuffix(SUFFIX) for name in presets)]


def find_anchor(name: str) -> Path:
    """The file behind a name from ``anchor_names``.

    Raises:
        OTCacheError: If there is none; names are looked up, never used as paths.
    """
    if name.startswith(PRESET_PREFIX):
        for path in PRESETS.glob(f"*{SUFFIX}"):
            if path.name.removesuffix(SUFFIX) == name.removeprefix(PRESET_PREFIX):
                return path
    elif name in anchor_names():
        found = folder_paths.get_full_path(FOLDER, name)
        if found is not None:
            return Path(found)
    raise OTCacheError(
        f'anchor "{name}" must be one of the installed anchors but is not: put its file into '
        f"ComfyUI's models/{FOLDER} folder, or choose another one."
    )


def open_anchor(name: str) -> Anchor:
    """Loads an anchor by name."""
    return load_anchor(find_anchor(name))


def anchor_text(name: str, inline: str = "") -> bytes:
    """An anchor's JSON as bytes: the named file's, else the one that a workflow carries.

    Raises:
        OTCacheError: If there is neither.
    """
    if name == IN_WORKFLOW and not inline:
        raise OTCacheError(
            "the workflow must carry an anchor but carries none: choose an installed one."
        )
    try:
        path = find_anchor(name)
    except OTCacheError:
        if inline:
            return inline.encode("utf-8", "surrogatepass")  # JSON may hold halves of characters
        raise
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)  # one too many, for the reader to refuse


def _check_name(name: str) -> str:
    stem = name.strip().removesuffix(SUFFIX)
    good = all(c.isalnum() or c in "._- " for c in stem) and not stem.startswith((".", " "))
    if not stem or not good or len(stem) > MAX_NAME:
        raise OTCacheError(
            f"an anchor's name must be 1 to {MAX_NAME} letters, digits, spaces or . _ - and not "
            f"begin with a dot, but is {name!r}."
        )
    return stem


def new_anchor_path(name: str, *, overwrite: bool = False) -> Path:
    """Where to save an anchor: in the first anchor folder, numbered if the name is taken.

    Raises:
        OTCacheError: If the name is not a plain file name.
    """
    stem = _check_name(name)
    folder = Path(folder_paths.get_folder_paths(FOLDER)[0])
    path = folder / (stem + SUFFIX)
    number = 2
    while not overwrite and path.exists():
        path = folder / f"{stem}_{number}{SUFFIX}"
        number += 1
    return path


def store_anchor(anchor: Anchor, path: Path) -> None:
    """Saves an anchor and has ComfyUI look at the folder again."""
    save_anchor(anchor, path)
    # ComfyUI lists a folder again when its time changes; replacing a file may not change it.
    os.utime(path.parent)
