"""10,000 mutated documents: each is read, or refused with the pack's own error; nothing else."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from otcache_core.documents.anchor import Anchor
from otcache_core.documents.schedule import Schedule
from otcache_core.errors import OTCacheError
from otcache_core.transport import predict_schedule

PRESETS = Path(__file__).parents[2] / "presets"
FILES = sorted(PRESETS.glob("*.otanchor.json"))
ANCHORS = [json.loads(path.read_text(encoding="utf-8")) for path in FILES]
SCHEDULES = [
    Schedule(50, (0, 2, 9, 30, 49), "meancache", (2, 1, 4, 5)).to_document(),
    Schedule(3, (0, 2), sigmas=(1.0, 0.5, 0.2, 0.0)).to_document(),
]

DOCUMENTS_EACH = 50
KINDS = ["replace", "replace", "delete", "repeat", "swap", "cut", "byte"]
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 20, 49, 50, 1000, 1001, 2**70, -(2**70), 0.5, 1.5, 1e308,
    -0.0, 1e-320, math.nan, math.inf, -math.inf, "", "1", "slope", "\0", "\ud800", "9" * 5000,
    "../x", "NaN", "\u00e9", [], {}, [[]], [0, 49], [0, 1, 2, 49], [1.0, 0.0], {"": None},
    {"budget": 3, "mean": 0.1, "spread": 0.0}, "5" * 49, [0] * 2000,
]  # fmt: skip


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key in a document."""
    if not isinstance(value, (dict, list)):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [p for key in keys for p in ((value, key), *_places(value[key]))]


def _mutate(document: Any, random: Random) -> bytes:
    """A document with one to three things wrong, or right, as bytes."""
    document = copy.deepcopy(document)
    kinds = random.choices(KINDS, k=random.randint(1, 3))
    for kind in kinds:
        places = _places(document)
        if not places:
            break
        container, key = random.choice(places)
        if kind == "delete":
            del container[key]
        elif kind == "repeat" and isinstance(container, list):
            container.insert(key, container[key])
        elif kind == "swap":
            other, there = random.choice(places)
            moved = copy.deepcopy(other[there])
            container[key], other[there] = moved, copy.deepcopy(container[key])
        elif kind == "replace":
            # A copy: a later change in place must not reach the list of values itself.
            chosen = random.choice([*VALUES, random.randint(0, 60), random.random()])
            container[key] = copy.deepcopy(chosen)
    text = json.dumps(document).encode()
    for kind in kinds:
        place = random.randrange(len(text))
        if kind == "cut":
            text = text[:place] or b" "
        elif kind == "byte":
            text = text[:place] + random.randbytes(1) + text[place + 1 :]
    return text


def _try_anchor(text: bytes) -> bool:
    try:
        anchor = Anchor.from_json(text)
    except OTCacheError as error:
        assert str(error)
        return False
    assert Anchor.from_json(anchor.to_json()) == anchor
    for budget, steps in ((2, 20), (anchor.anchor.budget, None), (15, 50), (10**9, 1000)):
        try:
            schedule = predict_schedule(anchor, budget, steps=steps).schedule
        except OTCacheError:
            continue
        assert schedule.budget == budget
    return True


def _try_schedule(text: bytes) -> bool:
    try:
        schedule = Schedule.from_json(text.decode("utf-8", "replace"))
    except OTCacheError as error:
        assert str(error)
        return False
    assert Schedule.from_json(schedule.to_json()) == schedule
    return True


@pytest.mark.parametrize(
    ("documents", "attempt", "batches"),
    [(ANCHORS, _try_anchor, 140), (SCHEDULES, _try_schedule, 60)],
    ids=["anchors", "schedules"],
)
def test_a_mutated_document_is_read_or_refused(documents, attempt, batches) -> None:
    read = []

    @settings(max_examples=batches, deadline=None, database=None, derandomize=True)
    @given(st.integers(0, 2**62))
    def read_a_batch(seed: int) -> None:
        random = Random(seed)
        for _ in range(DOCUMENTS_EACH):
            text = _mutate(random.choice(documents), random)
            note(text)
            read.append(attempt(text))

    read_a_batch()

    assert len(read) >= batches * DOCUMENTS_EACH
    assert 0 < sum(read) < len(read)  # neither all fine nor all refused: both ways were taken
