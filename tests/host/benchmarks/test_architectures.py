"""Every architecture that users run, built small from the host's own classes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.architectures import ABSENT, BUDGET, CHECKS, STEPS, examine
from benchmarks.instruments.record import RECORDS
from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.pages.compatibility import architectures_table

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """The rows of this run, printed as a table when the last one is done."""
    found: list[dict[str, Any]] = []
    yield found
    from comfyui_version import __version__ as version

    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{architectures_table({version: found})}")  # noqa: T201


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_an_architecture(host, rows, architecture):
    row = examine(host, architecture)
    rows.append(row)
    if row["state"] == ABSENT:
        pytest.skip(f"this ComfyUI has no {architecture.family}")

    assert (row["predictions"], row["steps"]) == (BUDGET, STEPS)
    assert row["forwards"] >= BUDGET
    assert [check for check in CHECKS if not row[check]] == []


def test_the_record_has_every_architecture():
    record = json.loads((RECORDS / "architectures.json").read_text(encoding="utf-8"))
    hosts = record["results"]["hosts"]
    names = [architecture.name for architecture in ARCHITECTURES]
    assert {host: [row["architecture"] for row in rows] for host, rows in hosts.items()} == {
        host: names for host in ("0.3.75", "0.33.0")
    }
    assert all(
        any(rows[i]["state"] != ABSENT for rows in hosts.values()) for i in range(len(names))
    )
