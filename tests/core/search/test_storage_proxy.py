"""Optuna's gRPC proxy in front of a database: a process of its own, as an operator runs it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from otcache_core.errors import OTCacheError
from otcache_core.gaps import Candidate, candidate
from otcache_core.search.anchor_search import SearchSettings, search_anchor
from otcache_core.search.storage import open_storage, sqlite_place

SERVER = """
import sys, warnings
from optuna.storages import get_storage, run_grpc_proxy_server
warnings.simplefilter("ignore")
run_grpc_proxy_server(get_storage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""
START = candidate((0, 4, 8, 19))


def _loss(of: Candidate, prompt: int) -> float:
    nodes = of.computed_steps
    return float(abs(nodes[1] - 2) + abs(nodes[2] - 6) + prompt)


def test_a_search_through_the_proxy_lands_in_the_database_behind_it(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed")
    place = sqlite_place(tmp_path / "study.sqlite3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", SERVER, place, str(port)])
    try:
        storage = open_storage(f"grpc://127.0.0.1:{port}")
        settings = SearchSettings(trials=15, proposer="none")
        arguments = {"prompts": 2, "steps": 20, "budget": 4, "study_name": "s"}
        found = search_anchor(
            _loss, warm_starts=[START], settings=settings, storage=storage, **arguments
        )
    finally:
        server.kill()
        server.wait()
    again = search_anchor(
        lambda of, prompt: pytest.fail("nothing is left to evaluate"),
        warm_starts=[START], settings=settings, storage=open_storage(place), **arguments,
    )  # fmt: skip

    assert found.best.computed_steps == (0, 2, 6, 19)
    assert again.best == found.best
    assert [t.candidate for t in again.trials] == [t.candidate for t in found.trials]


def test_a_proxy_that_is_not_there() -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(OTCacheError, match="must be reachable but is not"):
        open_storage(f"grpc://127.0.0.1:{port}", timeout=1.0)
