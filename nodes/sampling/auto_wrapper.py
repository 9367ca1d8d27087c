"""The wrapper of the node OTCache: finds out what a run is, and caches it without being told.

It plans each run from its noise levels, its sampler and its model, solves it on a finer grid where
that pays, and leaves the caching itself to ``CacheWrapper``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import comfy.samplers
import torch

from ...otcache_core.auto_plan import (
    GridPlan,
    calibrated,
    calls_for,
    is_whole,
    least_steps,
    teaching_itself,
    tells_enough,
)
from ...otcache_core.documents.anchor import Anchor
from ...otcache_core.documents.schedule import Schedule
from ...otcache_core.message import Message
from ...otcache_core.pace import pace_of
from ...otcache_core.run_time.fine_grid import FineGrid, fine_grid, own_grid
from ...otcache_core.run_time.run_plan import too_short
from .cache_wrapper import (
    CacheWrapper,
    Callback,
    highest_level,
    lowest_level,
    trained_levels,
)
from .origin import CFG_TOLERANCE
from .sampler_rules import (
    calls_a_step,
    is_of_higher_order,
    is_stochastic,
    solves_the_equation,
)
from .statistics import SAMPLER_ADDS_NOISE, SAMPLER_KEEPS_LEVELS, OnFinished, RunStatistics


@dataclass(frozen=True)
class _Way:
    """How one run is sampled.

    Attributes:
        grid: The levels it goes over.
        sampler: What takes its steps.
        schedule: Which of them run the model.
        notes: What to tell the user.
        why_plain: Why the plain sampler does it, in words; empty where it does not.
        teaches: Whether later runs may learn from it.
    """

    grid: FineGrid
    sampler: Any
    schedule: Schedule
    notes: tuple[str, ...] = ()
    why_plain: str = ""
    teaches: bool = False


class Remembered(Protocol):
    """What is known of a model for one run; see ``nodes.library.learned``."""

    anchor: Anchor | None

    @property
    def name(self) -> str:
        """The name under which a user finds it; empty where nothing is kept."""

    def lines(self) -> list[str]:
        """What is known, for people."""

    def teach(self, steadiness: float, pictures: int) -> list[str]:
        """Adds what the run has shown; returns what to say of it."""


class Memory(Protocol):
    """What is known of a model."""

    def of(self, guider: Any, levels: Sequence[float], shape: Sequence[int]) -> Remembered:
        """What is known for one run."""


@dataclass(eq=False)
class AutoWrapper:
    """The OUTER_SAMPLE wrapper: plans each run by what it finds.

    Attributes:
        generic: Whose steps serve where nothing is known of the model.
        calls: Model calls of a run; 0 takes a share of the sampler's own.
        fine: Whether runs may go over a finer grid.
        anchor: The one to use, or ``None``.
        own: Without one, those that were calibrated on this model, the best first.
        insist: Take the anchor at any guidance.
        memory: What earlier runs have taught, or ``None`` to learn nothing.
        on_finished: Called with every finished run's statistics.
    """

    generic: Anchor
    calls: int = 0
    fine: bool = True
    anchor: Anchor | None = None
    own: Sequence[Anchor] = ()
    insist: bool = False
    memory: Memory | None = None
    on_finished: OnFinished | None = None

    def __call__(
        self,
        executor: Callable[..., Any],
        noise: torch.Tensor,
        latent_image: torch.Tensor,
        sampler: Any,
        sigmas: torch.Tensor,
        denoise_mask: torch.Tensor | None = None,
        callback: Callback | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Runs ``executor`` with caching; wraps ``CFGGuider.outer_sample``."""
        levels, guider = tuple(sigmas.tolist()), executor.class_obj
        known = self._remembered(guider, levels, noise.shape)
        table = trained_levels(guider)
        way = self._way(levels, guider, sampler, known, table)

        def report(done: RunStatistics) -> None:
            done.own_steps = len(way.grid.own) - 1 if way.grid.is_fine else 0
            done.notes += way.notes
            if known is not None and way.teaches:
                done.notes += _lesson(known, done, noise.shape[0], denoise_mask is None)
                done.learned = known.name
            if self.on_finished is not None:
                self.on_finished(done)

        return CacheWrapper(way.schedule, report, table=table, why_plain=way.why_plain)(
            executor, noise, latent_image, way.sampler, sigmas.new_tensor(way.grid.sigmas),
            denoise_mask, _by_own_steps(way.grid, callback), *args, **kwargs,
        )  # fmt: skip

    def _remembered(
        self, guider: Any, levels: tuple[float, ...], shape: Sequence[int]
    ) -> Remembered | None:
        """What is known of the model for a run."""
        if self.memory is None or len(levels) < 2 or levels[0] <= 0.0:
            return None
        return self.memory.of(guider, levels, shape)

    def _way(
        self,
        levels: tuple[float, ...],
        guider: Any,
        sampler: Any,
        known: Remembered | None,
        table: Sequence[float],
    ) -> _Way:
        """How a run is sampled."""
        steps = len(levels) - 1

        def plain(why: str) -> _Way:
            full = Schedule.full(max(steps, 1))
            return _Way(own_grid(levels), sampler, full, why_plain=why)

        whole = steps < 1 or is_whole(levels, highest_level(guider))
        if steps < (least := least_steps(whole)):
            return plain(too_short(max(steps, 0), least))
        if not self.calls and is_stochastic(sampler):
            return plain(SAMPLER_ADDS_NOISE)
        higher = is_of_higher_order(sampler)
        own = steps * calls_a_step(sampler)
        fine = self.fine and solves_the_equation(sampler)
        even = not fine or pace_of(levels, table) is None
        steadiness = _steadiness(known) if fine and whole else None
        pace: dict[str, bool] = {"higher_order": higher, "even": even}
        usual = calls_for(own, self.calls, **pace)
        calls = calls_for(own, self.calls, **pace, steadiness=steadiness)
        if fine:
            grid = fine_grid(levels, lowest_level(guider), higher_order=higher)
            way = self._with_schedule(grid, sampler, guider, calls, whole, known, table)
            notes = (_fewer(calls, own), *way.notes) if calls < usual else way.notes
            return replace(way, sampler=_euler_like(sampler), notes=notes)
        of_steps = max(calls // calls_a_step(sampler), 2)
        way = self._with_schedule(
            *(own_grid(levels), sampler, guider, of_steps, whole, None, table)
        )
        if self.fine:
            return replace(way, notes=(SAMPLER_KEEPS_LEVELS, *way.notes))
        return way

    def _with_schedule(
        self,
        grid: FineGrid,
        sampler: Any,
        guider: Any,
        calls: int,
        whole: bool,
        known: Remembered | None,
        table: Sequence[float],
    ) -> _Way:
        """The way over a grid, by the model's own anchor if that is for such a run."""
        notes: tuple[str, ...] = ()
        anchor = self._anchor_for(guider)
        if anchor is not None and whole:
            anchored, note = self._of_anchor(anchor, grid, guider, calls)
            notes = (note,)
            if anchored is not None:
                return _Way(anchored.grid, sampler, anchored.schedule, notes)
        guess = self.generic if known is None or known.anchor is None else known.anchor
        planned = teaching_itself(guess, grid, calls, lowest=lowest_level(guider), table=table)
        teaches = known is not None
        return _Way(planned.grid, sampler, planned.schedule, notes, teaches=teaches)

    def _anchor_for(self, guider: Any) -> Anchor | None:
        """The anchor, or of the model's own the first one for a run's guidance, else the first."""
        if self.anchor is not None or not self.own:
            return self.anchor
        return next((anchor for anchor in self.own if _is_for(anchor, guider)), self.own[0])

    def _of_anchor(
        self, anchor: Anchor, grid: FineGrid, guider: Any, calls: int
    ) -> tuple[GridPlan | None, str]:
        """The run that an anchor has for a whole one, if any, and what to say of it."""
        if not (self.insist or _is_for(anchor, guider)):
            return None, Message(
                "anchor_not_used", "{anchor} was calibrated at cfg {cfg}: not used here.",
                anchor=anchor.name, cfg=f"{anchor.sampling.cfg:g}",
            )  # fmt: skip
        if not tells_enough(anchor, grid, calls):
            return None, Message(
                "anchor_of_few",
                "{anchor} was calibrated on few prompts ({prompts}): not used here, since {calls} "
                "calls tell more of themselves.",
                anchor=anchor.name, prompts=anchor.calibration.prompts, calls=calls,
            )  # fmt: skip
        planned = calibrated(anchor, grid, calls, lowest=lowest_level(guider))
        if planned is None:
            return None, Message(
                "anchor_above", "{anchor} begins at {least} calls: not used here.",
                anchor=anchor.name, least=anchor.anchor.budget,
            )  # fmt: skip
        return planned, Message("anchor_used", "By the anchor {anchor}.", anchor=anchor.name)


def _steadiness(known: Remembered | None) -> float | None:
    """How far a model's slopes are known to go on, if anything has taught it."""
    learned = known.anchor.learned_in_runs if known is not None and known.anchor else None
    return learned.believed if learned is not None else None


def _fewer(calls: int, own: int) -> Message:
    return Message(
        "straight_on",
        "Earlier pictures have shown that this model goes straight on: {calls} calls do for your "
        "{own} steps.",
        calls=calls, own=own,
    )  # fmt: skip


def _is_for(anchor: Anchor, guider: Any) -> bool:
    """Whether an anchor is for a guider's scale; guiders of others may have none."""
    cfg = getattr(guider, "cfg", None)
    return cfg is None or abs(cfg - anchor.sampling.cfg) <= CFG_TOLERANCE


def _lesson(known: Remembered, done: RunStatistics, pictures: int, whole: bool) -> list[str]:
    """Has a run teach later ones; returns what to say of that, and of what was known before.

    Args:
        known: What was.
        done: The run.
        pictures: Its pictures.
        whole: Whether all of each picture was sampled: a masked one shows the model's slopes in
            the mask alone.
    """
    if done.steadiness is None or not whole:
        return known.lines()
    return known.teach(done.steadiness, pictures) or known.lines()


def _euler_like(sampler: Any) -> Any:
    """Euler with a sampler's inpainting options.

    What is estimated bends at each computed step, which samplers that look back over several steps
    would carry on; and where steps are small, all come to the same.
    """
    euler = comfy.samplers.sampler_object("euler")
    euler.inpaint_options = dict(getattr(sampler, "inpaint_options", {}))
    return euler


def _by_own_steps(grid: FineGrid, callback: Callback | None) -> Callback | None:
    """The host's callback, told of the run's own steps alone, each once and in order."""
    if callback is None or not grid.is_fine:
        return callback
    told, steps = 0, len(grid.own) - 1

    def report(step: int, denoised: torch.Tensor, x: torch.Tensor, total: int) -> None:
        nonlocal told
        done = grid.own_steps_done(step)
        if done > told:
            told = done
            callback(done - 1, denoised, x, steps)

    return report
