"""Where anchors live: the host's model folders, and the presets that ship with the pack."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import folder_paths

from ...otcache_core.documents.anchor import SUFFIX, Anchor, load_anchor, save_anchor
from ...otcache_core.errors import OTCacheError
from ...otcache_core.message import Message
from .learned import PREFIX as LEARNED_PREFIX
from .learned import learned_files

FOLDER = "otcache"
LPIPS_FOLDER = "lpips"
PRESETS = Path(__file__).resolve().parents[2] / "presets"
PRESET_PREFIX = "preset: "
GENERIC = PRESET_PREFIX + "flow-matching (generic)"
"""The preset whose steps serve where nothing is known of a model."""

AUTOMATIC = "automatic"
"""Instead of a name: the anchor that fits the model best."""

MAX_NAME = 100
DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "123456789\u00b9\u00b2\u00b3"
}
"""What Windows takes for a device, whatever follows after a dot."""


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
    """Every anchor one can load: files first, then presets, then what runs have taught."""
    return [*calibrated_names(), *learned_files()]


def calibrated_names() -> list[str]:
    """Those among which *automatic* chooses: what runs have taught belongs to their settings."""
    files = [n for n in folder_paths.get_filename_list(FOLDER) if n.endswith(SUFFIX)]
    presets = sorted(path.name.removesuffix(SUFFIX) for path in PRESETS.glob(f"*{SUFFIX}"))
    return [*sorted(files), *(PRESET_PREFIX + name for name in presets)]


def find_anchor(name: str) -> Path:
    """The file behind a name from ``anchor_names``.

    Raises:
        OTCacheError: If there is none; names are looked up, never used as paths.
    """
    if name.startswith(LEARNED_PREFIX) and (learned := learned_files().get(name)) is not None:
        return learned
    if name.startswith(PRESET_PREFIX):
        for path in PRESETS.glob(f"*{SUFFIX}"):
            if path.name.removesuffix(SUFFIX) == name.removeprefix(PRESET_PREFIX):
                return path
    else:
        listed = _listed(name)
        found = folder_paths.get_full_path(FOLDER, listed) if listed else None
        if found is not None:
            return Path(found)
    raise OTCacheError(
        Message(
            "anchor_missing",
            'anchor "{name}" must be one of the installed anchors but is not: put its file into '
            "ComfyUI's models/{folder} folder, or choose another one.",
            name=name,
            folder=FOLDER,
        )
    )


def _listed(name: str) -> str | None:
    """The listed name of the same file: a workflow may come from a system of other slashes."""
    names = anchor_names()
    slashes = {listed.replace("\\", "/"): listed for listed in names}
    return name if name in names else slashes.get(name.replace("\\", "/"))


def open_anchor(name: str) -> Anchor:
    """Loads an anchor by name."""
    return load_anchor(find_anchor(name))


def fingerprint(name: str) -> str:
    """Changes when what a name stands for changes."""
    names = calibrated_names() if name == AUTOMATIC else [name]
    contents = b"".join(find_anchor(n).read_bytes() for n in names)
    return hashlib.sha256("\n".join(names).encode() + contents).hexdigest()


def _check_name(name: str) -> str:
    stem = name.strip().removesuffix(SUFFIX)
    good = all(c.isalnum() or c in "._- " for c in stem) and not stem.startswith((".", " "))
    if not stem or not good or len(stem) > MAX_NAME:
        raise OTCacheError(
            f"an anchor's name must be 1 to {MAX_NAME} letters, digits, spaces or . _ - and not "
            f"begin with a dot, but is {name!r}."
        )
    if stem.partition(".")[0].rstrip().lower() in DEVICES:
        raise OTCacheError(
            f"an anchor's name must be none that Windows keeps for a device but is {name!r}: "
            "choose another, so that the file can travel."
        )
    return stem


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _anchor_folder() -> Path:
    """The first anchor folder that can be written to; extra model paths may be read-only."""
    folders = [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]
    for folder in folders:
        if _is_writable(folder):
            return folder
    raise OTCacheError(
        f"an anchor folder must be writable but none is ({', '.join(map(str, folders))}): "
        "change its permissions, or add another one to ComfyUI's extra model paths."
    )


def new_anchor_path(name: str, *, overwrite: bool = False) -> Path:
    """Where to save an anchor: in the first writable anchor folder, numbered if the name is taken.

    Raises:
        OTCacheError: If the name is not a plain file name, or no folder can be written to.
    """
    stem = _check_name(name)
    folder = _anchor_folder()
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
