"""What one sampling run did, in numbers and in words."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from ...otcache_core.run_time.run_plan import WORTH_STEPS

NOTHING_TO_SKIP = (
    "Nothing to skip: every step of this run is computed. Caching pays from about "
    f"{WORTH_STEPS} steps on; models made for few steps gain nothing."
)
SAMPLER_ADAPTS = (
    "Every step was computed: this sampler chooses its steps by their error, and estimated steps "
    "show it none. Choose another sampler to save time."
)
SAMPLER_READS_CONDS = (
    "Every step was computed: this sampler reads the model's unguided prediction at each step "
    "(CFG++), which estimated steps do not have. Choose another sampler to save time."
)


@dataclass
class RunStatistics:
    """What one sampling run did.

    Attributes:
        steps: Steps of the run.
        computed, skipped: Steps that ran the model and steps that did not.
        evaluations: Guided predictions by the model; above ``computed`` where a sampler asks more
            than once a step. Not counted (0) where nothing was cached.
        seconds: Wall time of the whole run.
        computed_seconds: Time of each evaluation, by the clock or by a CUDA device's own.
        cached_bytes: Most memory that the cache held.
        note: Why caching was off or changed, for the user; empty if it was not.
    """

    steps: int
    computed: int = 0
    skipped: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    computed_seconds: list[float] = field(default_factory=list, repr=False)
    cached_bytes: int = 0
    note: str = ""

    @property
    def speedup(self) -> float:
        """Estimated time of the plain run over this run's, from the median computed step."""
        if not self.computed_seconds or self.seconds <= 0.0:
            return 1.0
        saved = self.skipped * statistics.median(self.computed_seconds)
        return (self.seconds + saved) / self.seconds

    def add_note(self, text: str) -> None:
        """Adds a line for the user."""
        self.note = f"{self.note}\n{text}" if self.note and text else self.note or text

    def summary(self) -> str:
        """One short paragraph for people."""
        text = f"{self.computed} computed, {self.skipped} skipped of {self.steps} steps\n"
        text += f"{self.seconds:.2f} s"
        if self.skipped:
            text += f", about {self.speedup:.2f}x faster than all steps\n"
            text += f"cache {_size(self.cached_bytes)}"
        return f"{text}\n{self.note}" if self.note else text


OnFinished = Callable[[RunStatistics], None]


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"
