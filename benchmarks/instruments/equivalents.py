"""Model-call equivalents of runs in which only parts of a forward are evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Work:
    """What the latest run took.

    Attributes:
        equivalents: For each prompt, full guided predictions that would have been as much work.
    """

    equivalents: list[float] = field(default_factory=list)
