"""What one sampling run did, in numbers and in words."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from ...otcache_core.message import Message
from ...otcache_core.run_time.run_plan import WORTH_STEPS

NOTHING_TO_SKIP = Message(
    "nothing_to_skip",
    "Nothing to skip: every step of this run is computed. Caching pays from about "
    "{worth} steps on; models made for few steps gain nothing.",
    worth=WORTH_STEPS,
)
SAMPLER_ADAPTS = Message(
    "sampler_adapts",
    "Every step was computed: this sampler chooses its steps by their error, and estimated steps "
    "show it none. Choose another sampler to save time.",
)
SAMPLER_READS_CONDS = Message(
    "sampler_reads_conds",
    "Every step was computed: this sampler reads the model's unguided prediction at each step "
    "(CFG++), which estimated steps do not have. Choose another sampler to save time.",
)
SAMPLER_KEEPS_MEMORY = Message(
    "sampler_keeps_memory",
    "Every step was computed: this sampler makes a video part by part, and its model remembers "
    "each call. Choose another sampler to save time.",
)
SAMPLER_UNKNOWN = Message(
    "sampler_unknown",
    "This sampler is none of those that were measured, so that skipped steps repeat the last model "
    "call: the safest estimate, not the closest.",
)
UNKNOWN_ADDS_NOISE = Message(
    "unknown_adds_noise", "By its settings it adds noise between steps, where less can be skipped."
)
UNKNOWN_ASKS_BETWEEN = Message(
    "unknown_asks_between", "It asks the model between the noise levels of its steps as well."
)
SAMPLER_ADDS_NOISE = Message(
    "sampler_adds_noise",
    "Every step was computed: this sampler adds noise between steps, where fewer model calls show "
    "most. Set `calls` to save time all the same, or choose another sampler.",
)
SAMPLER_KEEPS_LEVELS = Message(
    "sampler_keeps_levels",
    "The steps are the sampler's own: a finer grid is for samplers that are known to add no noise.",
)


@dataclass
class RunStatistics:
    """What one sampling run did.

    Attributes:
        steps: Steps of the run.
        computed, skipped: Steps that ran the model and steps that did not.
        computed_steps: The former, in order; empty where nothing was cached.
        evaluations: Guided predictions by the model; above ``computed`` where a sampler asks more
            than once a step. Not counted (0) where nothing was cached.
        seconds: Wall time of the whole run.
        computed_seconds: Time of each evaluation, by the clock or by a CUDA device's own.
        cached_bytes: Most memory that the cache held.
        steadiness: How far slopes went on as they came, or ``None`` where nobody looked;
            see ``otcache_core.run_time.slope_trust``.
        own_steps: Steps that the sampler was to take, where it was handed a finer grid; else 0.
        learned: Name of what is known of the model, to be listed and forgotten by; or empty.
        notes: Why caching was off or changed, for the user.
    """

    steps: int
    computed: int = 0
    skipped: int = 0
    computed_steps: list[int] = field(default_factory=list)
    evaluations: int = 0
    seconds: float = 0.0
    computed_seconds: list[float] = field(default_factory=list, repr=False)
    cached_bytes: int = 0
    own_steps: int = 0
    steadiness: float | None = None
    learned: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def note(self) -> str:
        """The notes as one text."""
        return "\n".join(self.notes)

    @property
    def speedup(self) -> float:
        """Estimated time of the plain run over this run's, from the median computed step."""
        if not self.computed_seconds or self.seconds <= 0.0:
            return 1.0
        plain = self.own_steps or self.steps
        saved = (plain - self.computed) * statistics.median(self.computed_seconds)
        return (self.seconds + saved) / self.seconds

    def lines(self) -> list[str]:
        """For people; the notes come last."""
        said: list[str] = [
            Message(
                "steps_done", "{computed} computed, {skipped} skipped of {steps} steps",
                computed=self.computed, skipped=self.skipped, steps=self.steps,
            )
        ]  # fmt: skip
        if not self.skipped:
            said.append(Message("seconds", "{seconds} s", seconds=f"{self.seconds:.2f}"))
            return said + self.notes
        said.append(self._speed())
        said.append(Message("cache_size", "cache {size}", size=_size(self.cached_bytes)))
        return said + self.notes

    def _speed(self) -> Message:
        seconds, speedup = f"{self.seconds:.2f}", f"{self.speedup:.2f}"
        if not self.own_steps:
            return Message(
                "faster_than_all", "{seconds} s, about {speedup}x faster than all steps",
                seconds=seconds, speedup=speedup,
            )  # fmt: skip
        return Message(
            "faster_than_own", "{seconds} s, about {speedup}x faster than your {own} steps",
            seconds=seconds, speedup=speedup, own=self.own_steps,
        )  # fmt: skip

    def summary(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines())


OnFinished = Callable[[RunStatistics], None]


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"
