"""Finds the setting at which a cache that decides for itself makes the asked model calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.contestants.contestant import Bench, Configured, sample
from benchmarks.instruments.kept import Kept

PROMPTS = 6
"""Calibration prompts whose mean number of calls is asked for."""

TOLERANCE = 0.2
TRIES = 12


@dataclass(frozen=True)
class Tuned:
    """A setting and the mean calls that it led to."""

    setting: float
    calls: float

    def off(self, wanted: float) -> float:
        """Distance to the wanted number of calls."""
        return abs(self.calls - wanted)


def bisect(
    count: Callable[[float], float], wanted: float, low: float, high: float, tries: int = TRIES
) -> Tuned:
    """Bisects the logarithm of a setting; the larger the setting, the fewer calls.

    Args:
        count: Mean calls at a setting.
        wanted: Calls asked for.
        low, high: Least and greatest setting, above 0.
        tries: Evaluations of ``count`` at most, both ends included.

    Returns:
        The nearest found, an end where the wanted number lies beyond it.
    """
    best = Tuned(high, count(high))
    if best.calls >= wanted - TOLERANCE:
        return best
    for _ in range(tries - 1):
        middle = math.sqrt(low * high)
        found = Tuned(middle, count(middle))
        best = min(best, found, key=lambda t: t.off(wanted))
        if found.off(wanted) <= TOLERANCE:
            break
        low, high = (middle, high) if found.calls > wanted else (low, middle)
    return best


def first_prompts(bench: Bench) -> list[int]:
    """The calibration prompts that settings are tuned on."""
    return list(range(min(PROMPTS, len(bench.seen.texts))))


def tune(
    bench: Bench,
    name: str,
    calls: int,
    configure: Callable[[float], Configured],
    bounds: tuple[float, float],
    prompts: Sequence[int] | None = None,
) -> Tuned:
    """Tunes a contestant's setting; done once, kept in ``bench.work``.

    Args:
        bench: What the contestant is made from.
        name: Its name, with all that the tuning depends on.
        calls: Mean calls asked for.
        configure: The contestant at a setting.
        bounds: Least and greatest setting.
        prompts: Calibration prompts, ``first_prompts`` by default.
    """
    indices = first_prompts(bench) if prompts is None else prompts
    kept = Kept(bench.work / f"tuned-{calls}.json")
    if name not in kept.lines:

        def count(setting: float) -> float:
            made = sample(bench.seen, configure(setting), indices)[1]
            return sum(made) / len(made)

        found = bisect(count, calls, *bounds, TRIES)
        kept.put(name, [found.setting, found.calls])
    return Tuned(*kept.lines[name])


def calibration_loss(bench: Bench, how: Configured) -> float:
    """Mean LPIPS on the prompts that settings are tuned on."""
    indices = first_prompts(bench)
    latents, _ = sample(bench.seen, how, indices)
    pictures = bench.seen.pictures(latents)
    return float(bench.seen.compare(bench.seen.lpips, pictures, indices).mean())
