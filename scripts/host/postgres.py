"""A PostgreSQL server on loopback, started as an ordinary user, for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

DEBIAN_FOLDERS = "/usr/lib/postgresql"
USERS = ("postgres", "nobody")
"""Users to run it as where this process is root: PostgreSQL refuses to run as root."""

USER, DATABASE = "otcache", "otcache"


def find_binaries() -> Path | None:
    """The folder that holds PostgreSQL's programs, or ``None`` if it is not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = sorted(Path(DEBIAN_FOLDERS).glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


class Postgres:
    """A server of one's own in a temporary folder; both are gone on leaving the context."""

    def __init__(self) -> None:
        binaries = find_binaries()
        if binaries is None:
            raise FileNotFoundError("PostgreSQL must be installed but is not.")
        self._binaries = binaries
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def place(self) -> str:
        """Its place, as ``OTCACHE_STORAGE`` takes it."""
        return f"postgresql+psycopg2://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        user = _user()
        if user is not None:
            command = ["setpriv", f"--reuid={user}", "--clear-groups", "--", *command]
        # Into a file: the server that pg_ctl starts would keep a pipe open.
        with tempfile.TemporaryFile() as log:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder,
                timeout=120,
            )  # fmt: skip
            log.seek(0)
            if done.returncode:
                raise OSError(f"{program} must end well but said: {log.read().decode()}")

    def __enter__(self) -> Postgres:
        """Makes the database and starts the server."""
        self._folder = Path(tempfile.mkdtemp(prefix="otcache-postgres-"))
        user = _user()
        if user is not None:
            shutil.chown(self._folder, user)
        data = str(self._folder / "data")
        form = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self._run("initdb", "-D", data, "-U", USER, *form)
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        log = str(self._folder / "server.log")
        self._run("pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "start")
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)
        self._run("createdb", *address, DATABASE)
        return self

    def __exit__(self, *raised: object) -> None:
        """Ends the server at once."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)


def _user() -> str | None:
    """The user to run as where this process is root, else ``None``."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in USERS if user in names)
