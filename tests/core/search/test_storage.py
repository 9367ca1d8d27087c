import sqlite3
import warnings
from pathlib import Path, PureWindowsPath
from typing import Any

import optuna
import pytest
from sqlalchemy import make_url

from otcache_core.errors import OTCacheError
from otcache_core.search.storage import BUSY_SECONDS, open_storage, sqlite_place, without_secrets

PLACES = "must be sqlite:..., postgresql:..., mysql:..., mariadb:..., journal:..., grpc:..."


def _place(kind: str, folder: Path) -> str:
    return sqlite_place(folder / "study.db") if kind == "sqlite" else f"journal:{folder / 'study'}"


# The contract of both kinds of file


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_trials_are_there_when_a_file_is_opened_again(kind: str, tmp_path: Path) -> None:
    place = _place(kind, tmp_path)
    study = optuna.create_study(storage=open_storage(place), study_name="anchor")
    trial = study.ask()
    trial.report(0.5, 3)
    trial.set_user_attr("computed_steps", [0, 4, 9])
    study.tell(trial, 0.25)

    (again,) = optuna.load_study(study_name="anchor", storage=open_storage(place)).trials

    assert again.value == 0.25
    assert again.intermediate_values == {3: 0.5}
    assert again.user_attrs == {"computed_steps": [0, 4, 9]}


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_two_workers_see_each_others_trials(kind: str, tmp_path: Path) -> None:
    place = _place(kind, tmp_path)
    mine = optuna.create_study(storage=open_storage(place), study_name="anchor")
    other = optuna.load_study(study_name="anchor", storage=open_storage(place))

    mine.tell(mine.ask(), 1.0)
    other.tell(other.ask(), 2.0)

    assert [trial.value for trial in mine.trials] == [1.0, 2.0]
    assert [trial.value for trial in other.trials] == [1.0, 2.0]


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_opening_warns_of_nothing(kind: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        open_storage(_place(kind, tmp_path))


# SQLite and other databases


@pytest.mark.parametrize("name", ["study.db", "my study.db", "漢字.db", "100%.db"])
def test_the_place_of_a_sqlite_file(name: str, tmp_path: Path) -> None:
    open_storage(sqlite_place(tmp_path / name))

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize(
    ("path", "database"),
    [
        ("D:\\my models\\100%\\study.db", "D:/my models/100%/study.db"),
        ("\\\\server\\my share\\study.db", "//server/my share/study.db"),
    ],
)
def test_the_place_of_a_sqlite_file_on_windows(path: str, database: str) -> None:
    assert make_url(sqlite_place(PureWindowsPath(path))).database == database


def test_a_silent_worker_is_noticed(tmp_path: Path) -> None:
    storage = open_storage(sqlite_place(tmp_path / "study.db"))

    assert isinstance(storage, optuna.storages.RDBStorage)
    assert 0 < storage.heartbeat_interval < storage.grace_period  # type: ignore[operator]


def test_a_file_that_another_process_writes_to_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    connect = sqlite3.connect

    def watched(*args: Any, **options: Any) -> sqlite3.Connection:
        waited.append(options["timeout"])
        return connect(*args, **options)

    monkeypatch.setattr(sqlite3.dbapi2, "connect", watched)
    open_storage(sqlite_place(tmp_path / "study.db"))

    assert set(waited) == {BUSY_SECONDS}


@pytest.mark.parametrize("kind", ["postgresql", "mysql", "mariadb", "mysql+pymysql"])
def test_servers_are_handed_to_optuna_as_they_are(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        optuna.storages, "RDBStorage", lambda place, **options: given.append((place, options))
    )
    place = f"{kind}://me:secret@host:99/studies?charset=utf8"

    open_storage(place)

    ((got, options),) = given
    assert got == place
    assert options["engine_kwargs"] == {"pool_pre_ping": True}  # a timeout is SQLite's own


# Optuna's proxy


class _Proxy:
    """Stands for ``GrpcStorageProxy``."""

    made: list[tuple[str, int]] = []
    silent = False

    def __init__(self, *, host: str, port: int) -> None:
        self.made.append((host, port))

    def wait_server_ready(self, timeout: float) -> None:
        if self.silent:
            raise TimeoutError("GRPC connection timeout")


@pytest.mark.parametrize(
    ("place", "host", "port"),
    [
        ("grpc://worker:1234", "worker", 1234),
        ("grpc://worker", "worker", 13_000),
        ("grpc://", "localhost", 13_000),
        ("GRPC://127.0.0.1:80", "127.0.0.1", 80),
    ],
)
def test_where_the_proxy_is(
    place: str, host: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna.storages, "GrpcStorageProxy", _Proxy)
    monkeypatch.setattr(_Proxy, "made", [])

    assert isinstance(open_storage(place), _Proxy)
    assert _Proxy.made == [(host, port)]


def test_a_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna.storages, "GrpcStorageProxy", _Proxy)
    monkeypatch.setattr(_Proxy, "silent", True)

    with pytest.raises(
        OTCacheError,
        match=r"grpc://worker:1234 must be reachable but is not \(TimeoutError\): check that its",
    ):
        open_storage("grpc://worker:1234")


# Places that are none


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("", ""),
        ("study.db", "study.db"),
        ("redis://host:6379", "redis://host:6379"),
        ("mongodb://me:secret@host/studies", "mongodb://host/studies"),
        ("file:///shared/study", "file:///shared/study"),
        ("postgres://me:secret@host/studies", "postgres://host/studies"),
    ],
)
def test_bad_places_are_named_with_the_good_ones(place: str, shown: str) -> None:
    with pytest.raises(OTCacheError) as caught:
        open_storage(place)

    assert PLACES in str(caught.value)
    assert shown in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_journal_needs_its_folder(tmp_path: Path) -> None:
    with pytest.raises(OTCacheError, match=r"folder of the journal trials\.log must exist but doe"):
        open_storage(f"journal:{tmp_path / 'gone' / 'trials.log'}")


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_folder_is_no_file(kind: str, tmp_path: Path) -> None:
    place = sqlite_place(tmp_path) if kind == "sqlite" else f"journal:{tmp_path}"

    with pytest.raises(OTCacheError, match="must be reachable but is not"):
        open_storage(place)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"not a database" * 100)

    with pytest.raises(OTCacheError, match=r"must be reachable but is not \(DatabaseError\)"):
        open_storage(sqlite_place(tmp_path / "study.db"))


# Passwords


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("postgresql://host/studies", "postgresql://host/studies"),
        ("postgresql://me:secret@host/studies", "postgresql://host/studies"),
        ("postgresql://me:secret@host:99/studies", "postgresql://host:99/studies"),
        ("mysql+pymysql://me:secret@host/a", "mysql+pymysql://host/a"),
        ("postgresql://secret@host/a", "postgresql://host/a"),
        ("postgresql://me:sec@ret@host/a", "postgresql://host/a"),
        ("postgresql://host/a?user=me&password=secret", "postgresql://host/a"),
        ("postgresql://host/a#secret", "postgresql://host/a"),
        ("postgresql://me:sec/ret@host/a", "postgresql://host/a"),
        ("postgresql://me:/secret@host/a", "postgresql://host/a"),
        ("me:secret@host/a", "me:..."),
        ("sqlite:////folder/study.db", "sqlite:////folder/study.db"),
        ("postgresql://me:sec[ret@host/a", "postgresql://host/a"),
        ("journal:/shared/trials.log", "journal:/shared/trials.log"),
    ],
)
def test_passwords_are_left_out(place: str, shown: str) -> None:
    assert without_secrets(place) == shown


@pytest.mark.parametrize("error", [ValueError, ImportError, OSError, RuntimeError])
@pytest.mark.parametrize(
    "place", ["postgresql://me:secret@host:99/studies", "mysql://host/a?password=secret"]
)
def test_an_unreachable_server_is_named_without_them(
    place: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drivers put the whole address into their errors."""

    def refuse(place: str, **options: Any) -> None:
        raise error(f"could not connect to {place}")

    monkeypatch.setattr(optuna.storages, "RDBStorage", refuse)
    with pytest.raises(OTCacheError) as caught:
        open_storage(place)

    assert str(caught.value) == (
        f"the study's storage {without_secrets(place)} must be reachable but is not "
        f"({error.__name__}): check that its server runs and that its driver is installed."
    )
    assert "secret" not in str(caught.value)


def test_a_true_server_that_is_not_there() -> None:
    """Nothing listens on port 1; without the driver, it is missed instead."""
    with pytest.raises(OTCacheError) as caught:
        open_storage("postgresql://me:secret@127.0.0.1:1/studies")

    assert "storage postgresql://127.0.0.1:1/studies must be reachable" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_interrupt_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(place: str, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(optuna.storages, "RDBStorage", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_storage("postgresql://host/studies")
