"""A real ComfyUI with the pack in it, in a process of its own.

`python -m scripts.host.server` starts one to work with in a browser and leaves it running.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from scripts.host.client import ComfyClient
from scripts.host.fetch import SetupError
from scripts.host.find import REPOSITORY, ensure_host
from scripts.host.lpips_trunk import ensure_trunk
from scripts.host.torchvision_cpu import is_cpu_build

PACK_NAME = "otcache"
LOG_NAME = "comfyui.log"
DEFAULT_PORT = 8188

_POLL_SECONDS = 0.1
_DEVICES = ("cpu", "cuda", "auto")

# Every way in which ComfyUI's loader says that it went on without the pack.
_PACK_FAILURE = re.compile(
    r"^.*(IMPORT FAILED\)|Cannot import|comfy_entrypoint in|Skip ).*"
    rf"custom_nodes[\\/]+{PACK_NAME}\b.*$",
    re.MULTILINE,
)

logger = logging.getLogger("otcache")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _cuda_is_available() -> bool:
    """Ask torch in a process of its own: importing it here would cost every caller seconds."""
    if is_cpu_build():
        return False
    question = "import torch; raise SystemExit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", question], capture_output=True).returncode == 0


def device_arguments(device: str | None = None) -> list[str]:
    """Return the arguments that put ComfyUI on a device.

    Args:
        device: `cpu`, `cuda`, or `auto` for ComfyUI's own choice. Default: `OTCACHE_DEVICE`, else
            CUDA where there is one and the CPU where there is none.

    Raises:
        SetupError: The device is none of these.
    """
    device = device or os.environ.get("OTCACHE_DEVICE")
    if device is None:
        device = "cuda" if _cuda_is_available() else "cpu"
    if device not in _DEVICES:
        raise SetupError(f"OTCACHE_DEVICE must be one of {', '.join(_DEVICES)} but got {device!r}.")
    return ["--cpu"] if device == "cpu" else []


def is_left_out(
    checkout: Path, ignore_lists: Sequence[str] = (".gitignore", ".comfyignore")
) -> Callable[[Path], bool]:
    """Return what tells which paths of a checkout neither git nor the published package holds."""
    patterns = [".git"]  # a file in a second work tree
    for source in (checkout / name for name in ignore_lists):
        lines = source.read_text(encoding="utf-8").splitlines() if source.is_file() else []
        patterns += [line.strip() for line in lines if line.strip() and line[0] != "#"]
    # As git has it: one with a slash before its end is a path from the top, any other a name.
    paths = [p.strip("/") for p in patterns if "/" in p.rstrip("/")]
    names = [p.rstrip("/") for p in patterns if "/" not in p.rstrip("/")]

    def left_out(path: Path) -> bool:
        relative = path.relative_to(checkout).as_posix()
        return any(fnmatch(path.name, p) for p in names) or any(fnmatch(relative, p) for p in paths)

    return left_out


def copy_shipped(checkout: Path, target: Path) -> None:
    """Copy what a checkout ships, less all that git or the published package leaves out."""
    left_out = is_left_out(checkout)

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if left_out(Path(folder, name))}

    shutil.copytree(checkout, target, ignore=ignored)


def _link_or_copy(pack: Path, target: Path) -> None:
    """Put the pack at `target`: a link, or a copy of what it ships where links need a permit."""
    if target.is_symlink():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    try:
        target.symlink_to(pack, target_is_directory=True)
    except OSError:  # Windows without developer mode
        copy_shipped(pack, target)


def prepare_base_folder(base: Path, pack: Path | None) -> None:
    """Lay out a ComfyUI base folder: the pack in `custom_nodes/`, LPIPS weights in `models/`.

    Args:
        base: Folder to make or to bring up to date; what it holds already is kept.
        pack: Checkout of the pack, or None for a ComfyUI without it.
    """
    for name in ("custom_nodes", "models/lpips", "input", "output", "temp", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    trunk = base / "models" / "lpips" / "alexnet.safetensors"
    if not trunk.is_file():
        shutil.copyfile(ensure_trunk(), trunk)
    if pack is not None:
        _link_or_copy(pack, base / "custom_nodes" / PACK_NAME)


class ComfyServer(ComfyClient):
    """Starts a ComfyUI on entering the context and ends it, with all it started, on leaving.

    Inside the context, its `ComfyClient` methods queue workflows and fetch results.

    Args:
        base: Folder for its models, outputs, user files and log. Default: a temporary one that is
            removed afterwards.
        pack: Checkout to install in it, or None for none.
        port: Port on 127.0.0.1. Default: a free one.
        device: See `device_arguments`.
        timeout: Seconds to wait until it answers.
        extra_arguments: More arguments for ComfyUI's main.py.
        environment: Variables for it beside those of this process.
    """

    def __init__(
        self,
        base: Path | None = None,
        *,
        pack: Path | None = REPOSITORY,
        port: int | None = None,
        device: str | None = None,
        timeout: float = 180.0,
        extra_arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = dict(environment or {})
        self._temporary = base is None
        self.base = Path(tempfile.mkdtemp(prefix="otcache-")) if base is None else base.absolute()
        self.pack = pack
        super().__init__(port or _free_port())
        self.host = ensure_host()
        self._device_arguments = device_arguments(device)
        self._extra_arguments = list(extra_arguments)
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        """The file that receives everything ComfyUI prints."""
        return self.base / LOG_NAME

    def __enter__(self) -> ComfyServer:
        """Start ComfyUI and wait until it answers.

        Raises:
            SetupError: It ended, did not answer in time, or could not import the pack.
        """
        try:
            prepare_base_folder(self.base, self.pack)
            self._start()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        """End ComfyUI; remove the base folder if it was a temporary one."""
        self.stop()

    def _start(self) -> None:
        launcher = Path(__file__).absolute().with_name("launch_comfyui.py")
        command = [sys.executable, str(launcher), str(self.host)]
        command += ["--listen", "127.0.0.1", "--port", str(self.port)]
        command += ["--base-directory", str(self.base)]
        # By default this one file would lie in the host itself.
        command += ["--database-url", f"sqlite:///{(self.base / 'user/comfyui.db').as_posix()}"]
        command += [*self._device_arguments, *self._extra_arguments]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.host,
                env={
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONUTF8": "1",
                    **self._environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=os.name != "nt",  # a group of its own, to end it as a whole
            )

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + self._timeout
        while not self.answers():
            self.check_running()
            if time.monotonic() > end:
                raise SetupError(
                    f"ComfyUI must answer within {self._timeout:g} s but did not. The end of "
                    f"{self.log_path}:\n{self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)
        failure = _PACK_FAILURE.search(self.log_text()) if self.pack is not None else None
        if failure is not None:
            raise SetupError(
                f"ComfyUI must load the pack but said: {failure.group(0).strip()}\n"
                f"The end of {self.log_path}:\n{self.log_tail()}"
            )

    def check_running(self) -> None:
        """Raise `SetupError` with the end of the log if ComfyUI is not running."""
        if self._process is None or self._process.poll() is not None:
            status = None if self._process is None else self._process.returncode
            raise SetupError(
                f"ComfyUI must be running but ended with status {status}. The end of "
                f"{self.log_path}:\n{self.log_tail()}"
            )

    def log_text(self) -> str:
        """Return all that ComfyUI has printed so far."""
        if not self.log_path.is_file():
            return ""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def log_tail(self, lines: int = 60) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def stop(self) -> None:
        """End ComfyUI and everything it started."""
        process, self._process = self._process, None
        if process is not None:
            _end_process_tree(process)
        if self._temporary:
            shutil.rmtree(self.base, ignore_errors=True)

    def kill(self) -> None:
        """End ComfyUI as a power cut would: at once, with no time to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def join(self) -> None:
        """Wait until ComfyUI ends by itself."""
        if self._process is not None:
            self._process.wait()


def _end_process_tree(process: subprocess.Popen[bytes]) -> None:
    if os.name == "nt":
        kill = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(kill, stdin=subprocess.DEVNULL, capture_output=True)
        process.wait(timeout=30)
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):  # the whole group is gone
            break
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue


def main() -> int:
    """Start a ComfyUI with the pack, print its address, and keep it until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, help=f"default: {DEFAULT_PORT}, or a free one")
    parser.add_argument("--base", type=Path, default=REPOSITORY / ".serve")
    options, extra = parser.parse_known_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = options.port or (DEFAULT_PORT if _is_free(DEFAULT_PORT) else None)
    try:
        with ComfyServer(options.base, port=port, extra_arguments=extra) as server:
            print(f"ComfyUI with OTCache: {server.address}  (Ctrl-C ends it)")
            print(f"its models, outputs and log: {server.base}", flush=True)
            server.join()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
