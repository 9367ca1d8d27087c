"""What sampling runs wait for, where, and how much of it the plain sampler does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Waits = Counter[str]


@dataclass(frozen=True)
class RunWaits:
    """What a sampling run waits for, by where it is.

    An evaluation reaches from its guided prediction to the next one, so that what the sampler
    itself waits for is in it. What the model's forward waits for is left out.

    Attributes:
        before, after: What is before the first evaluation, and after the sampler is done.
        evaluations: Each evaluation's.
        computed: Of each evaluation, whether the model ran.
    """

    before: Waits
    evaluations: tuple[Waits, ...]
    after: Waits
    computed: tuple[bool, ...]

    @classmethod
    def of(cls, waits: Sequence[str], begins: Sequence[int], computed: Sequence[bool]) -> RunWaits:
        """From all waits in order.

        Args:
            waits: What was waited for.
            begins: For each evaluation, and for the sampler's end, how many waits were before it.
            computed: Of each evaluation, whether the model ran.
        """
        spans = [Counter(waits[begin:end]) for begin, end in pairwise(begins)]
        before, after = Counter(waits[: begins[0]]), Counter(waits[begins[-1] :])
        return cls(before, tuple(spans), after, tuple(computed))

    def added_to(self, plain: RunWaits) -> list[Waits]:
        """What each evaluation waits for more often than the plain run's; negative where less."""
        added = []
        for ours, theirs in zip(self.evaluations, plain.evaluations, strict=True):
            more = Counter(ours)
            more.subtract(theirs)
            added.append(Counter({name: count for name, count in more.items() if count}))
        return added


def summary(plain: RunWaits, cached: RunWaits) -> dict[str, tuple[int, int] | int]:
    """How often a plain run waits, and how much more often a cached one does.

    Returns:
        The least and the most of ``plain`` evaluations and of what is added to ``computed`` and to
        ``skipped`` ones; what is added ``before`` the first and ``after`` the last.
    """
    added = [waits.total() for waits in cached.added_to(plain)]
    by_kind = {
        kind: [count for count, c in zip(added, cached.computed, strict=True) if c is computed]
        for kind, computed in (("computed", True), ("skipped", False))
    }
    by_kind["plain"] = [waits.total() for waits in plain.evaluations]
    return {
        **{kind: (min(counts), max(counts)) for kind, counts in by_kind.items()},
        "before": cached.before.total() - plain.before.total(),
        "after": cached.after.total() - plain.after.total(),
    }
