"""Where a search keeps its trials: a file, a database server, or a proxy in front of one.

All of them are Optuna's own storages. The place comes from whoever runs the server, never from a
workflow.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import OTCacheError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

HEARTBEAT_SECONDS = 60
GRACE_SECONDS = 300
"""A database marks a trial as failed when its worker has been silent for so long."""

DEFAULT_PROXY_PORT = 13_000
ATTEMPTS = 5
BUSY_SECONDS = 60.0
"""A SQLite file that another process writes to is waited for so long."""

DATABASES = ("sqlite", "postgresql", "mysql", "mariadb")
KINDS = (*DATABASES, "journal", "grpc")
PLACES = ", ".join(f"{kind}:..." for kind in KINDS)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna without its log: it tells of every new study, and of an interrupt with a traceback."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def sqlite_place(path: PurePath) -> str:
    """The place of a SQLite file."""
    return f"sqlite:///{path.as_posix()}"


def open_storage(place: str, *, timeout: float = 30.0) -> BaseStorage:
    """Opens an Optuna storage.

    Args:
        place: A SQLite file for one machine, a journal for a folder that machines share, a
            PostgreSQL or MySQL server, or Optuna's proxy in front of one.
        timeout: Seconds to wait for a proxy.

    Raises:
        OTCacheError: If the place is none of these or cannot be reached. Messages leave out
            passwords.
    """
    # sqlite:///FILE, journal:FILE, postgresql://USER:PASSWORD@HOST/DATABASE, grpc://HOST:PORT
    kind = place.partition(":")[0].partition("+")[0].lower()
    if kind not in KINDS:
        raise OTCacheError(f"a study's storage must be {PLACES} but is {without_secrets(place)!r}.")
    try:
        if kind == "journal":
            return _open_journal(Path(place.partition(":")[2]))
        if kind == "grpc":
            return _open_proxy(place, timeout)
        return _open_database(place)
    except OTCacheError:
        raise
    except Exception as error:  # each kind of storage has errors of its own
        raise OTCacheError(
            f"the study's storage {without_secrets(place)} must be reachable but is not "
            f"({type(error).__name__}): check that its server runs and that its driver is "
            "installed."
        ) from error


def without_secrets(place: str) -> str:
    """The place without user, password and options."""
    scheme, separator, rest = place.partition("://")
    if not separator:
        kind, _, path = place.partition(":")
        return f"{kind}:..." if "@" in path or kind not in KINDS else place
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0].partition('#')[0]}"


def _open_database(place: str) -> BaseStorage:
    import optuna

    waits = {"connect_args": {"timeout": BUSY_SECONDS}} if place.startswith("sqlite") else {}
    for attempt in range(ATTEMPTS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
                return optuna.storages.RDBStorage(
                    place,
                    engine_kwargs={"pool_pre_ping": True, **waits},
                    heartbeat_interval=HEARTBEAT_SECONDS,
                    grace_period=GRACE_SECONDS,
                )
        except Exception:
            # Another process may be making the tables at this very moment.
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("unreachable")


def _open_journal(path: Path) -> BaseStorage:
    from optuna.storages import journal

    if not path.parent.is_dir():
        raise OTCacheError(f"the folder of the journal {path.name} must exist but does not.")
    # Links need rights on Windows; elsewhere they are the lock that works on shared folders too.
    lock_of = journal.JournalFileOpenLock if os.name == "nt" else journal.JournalFileSymlinkLock
    backend = journal.JournalFileBackend(str(path), lock_obj=lock_of(str(path)))
    return journal.JournalStorage(backend)


def _open_proxy(place: str, timeout: float) -> BaseStorage:
    from optuna.storages import GrpcStorageProxy

    parts = urlsplit(place)
    port = parts.port or DEFAULT_PROXY_PORT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls its proxy experimental
        proxy = GrpcStorageProxy(host=parts.hostname or "localhost", port=port)
    proxy.wait_server_ready(timeout=timeout)
    return proxy
