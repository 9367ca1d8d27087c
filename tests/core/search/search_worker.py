"""A worker of its own for tests of the search: a planted optimum, and a note of every evaluation.

Usage: python search_worker.py PLACE NOTES [--trials N] [--seconds S] [--die-at N] [--wait-for FILE]
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path

from otcache_core.gaps import Candidate, candidate
from otcache_core.search.anchor_search import SearchSettings, search_anchor
from otcache_core.search.storage import open_storage
from otcache_core.search.trials import SearchResult

STEPS, BUDGET, PROMPTS = 20, 6, 2
TARGET = (0, 1, 3, 6, 12, 19)
START = candidate((0, 1, 3, 6, 13, 19))
STUDY = "anchor"


def distance(of: Candidate, prompt: int) -> float:
    """How far all steps together lie from ``TARGET``."""
    return float(sum(abs(a - b) for a, b in zip(of.computed_steps, TARGET, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("place")
    parser.add_argument("notes", type=Path)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--die-at", type=int, default=0)
    parser.add_argument("--wait-for", type=Path)
    options = parser.parse_args()
    storage = open_storage(options.place)
    options.notes.touch()
    while options.wait_for is not None and not options.wait_for.exists():
        time.sleep(0.01)
    evaluations = 0

    def loss(of: Candidate, prompt: int) -> float:
        nonlocal evaluations
        evaluations += 1
        with options.notes.open("a", encoding="utf-8") as notes:
            notes.write(f"{list(of.computed_steps)} {prompt}\n")
        time.sleep(options.seconds)
        if evaluations == options.die_at:
            # Nothing gets a chance to tidy up.
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return distance(of, prompt)

    result: SearchResult = search_anchor(
        loss,
        prompts=PROMPTS,
        steps=STEPS,
        budget=BUDGET,
        warm_starts=[START],
        settings=SearchSettings(trials=options.trials, proposer="none"),
        storage=storage,
        study_name=STUDY,
    )
    with options.notes.open("a", encoding="utf-8") as notes:
        notes.write(f"best {list(result.best.computed_steps)}\n")


if __name__ == "__main__":
    main()
