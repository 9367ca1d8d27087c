"""What to know of a run before it is queued: where a schedule cannot pay, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.samplers

from ...otcache_core.auto_plan import calls_for, least_steps
from ...otcache_core.documents.fields import Fields
from ...otcache_core.documents.schedule import MAX_STEPS
from ...otcache_core.errors import OTCacheError
from ...otcache_core.pace import falls_evenly
from ...otcache_core.run_time.fine_grid import parts_of_step
from ...otcache_core.run_time.run_plan import LEAST_STEPS, WORTH_STEPS
from ..library.learned import steadiness_of
from ..sampling.sampler_rules import (
    calls_a_step,
    is_adaptive,
    is_of_higher_order,
    is_stochastic,
    reads_conds,
    solves_the_equation,
)

RULES = (
    "all_steps",
    "too_short",
    "few_steps",
    "other_steps",
    "adaptive",
    "reads_conds",
    "several_calls",
    "adds_noise",
    "plan_fine",
    "plan_at_most",
    "plan_as_many",
    "plan_own",
    "plan_noise",
)
"""Every rule; ``web/words_*.js`` has its words, under the name with ``rule_`` before it."""

MAX_RUNS = 8
MAX_RUN_STEPS = 10_000  # the host's own limit
MAX_CFG = 1_000.0

Note = dict[str, Any]
"""A rule by its name in ``rule``, and the numbers that its words hold."""


@dataclass(frozen=True)
class Planned:
    """A run as the page knows it; ``None`` where only the run itself can tell.

    Attributes:
        steps: The sampler's steps.
        sampler_name: The host's name of the sampler.
        scheduler: The host's name of the scheduler, or the class of a node that is one.
        part: Whether only some of the steps are run.
        partial_denoise: Whether the run begins below the highest noise level.
        cfg: Guidance scale.
    """

    steps: int | None = None
    sampler_name: str | None = None
    scheduler: str | None = None
    part: bool = False
    partial_denoise: bool = False
    cfg: float | None = None


def _step_rules(schedule_steps: int, budget: int, run: Planned) -> list[str]:
    """What ``run_plan.fit_to_run`` will make of a schedule, as far as step counts tell."""
    steps = schedule_steps if run.steps is None else run.steps
    # A run that begins lower takes the end of a longer schedule.
    takes_part = run.part or (run.partial_denoise and steps < schedule_steps)
    whole = run.steps is not None and not takes_part
    if whole and steps < LEAST_STEPS:
        return ["too_short"]
    rules = []
    if budget >= (steps if whole else schedule_steps):
        rules.append("all_steps")
    elif whole and steps < WORTH_STEPS:
        rules.append("few_steps")
    if steps != schedule_steps and not run.partial_denoise:
        rules.append("other_steps")
    return rules


def _sampler_rules(sampler_name: str | None) -> tuple[list[str], int]:
    """The rules of a sampler of the host, and its model calls at each computed step."""
    if sampler_name not in comfy.samplers.KSampler.SAMPLERS:
        return [], 1
    sampler = comfy.samplers.sampler_object(sampler_name)
    calls = calls_a_step(sampler)
    found = {
        "adaptive": is_adaptive(sampler),
        "reads_conds": reads_conds(sampler),
        "several_calls": calls > 1,
        "adds_noise": is_stochastic(sampler),
    }
    return [rule for rule, applies in found.items() if applies], calls


def notes_on(schedule_steps: int, budget: int, run: Planned) -> list[Note]:
    """The rules that a run meets, the ones that leave nothing to gain alone."""
    of_sampler, calls = _sampler_rules(run.sampler_name)
    rules = [rule for rule in of_sampler if rule in ("adaptive", "reads_conds")]
    if not rules:
        rules = _step_rules(schedule_steps, budget, run) + of_sampler
    values = {
        "schedule_steps": schedule_steps, "budget": budget, "sampler": run.sampler_name,
        "steps": schedule_steps if run.steps is None else run.steps,
        "least": LEAST_STEPS, "worth": WORTH_STEPS, "calls": calls,
    }  # fmt: skip
    return [{"rule": rule, **values} for rule in rules]


def notes_on_auto(calls: int, fine: bool, run: Planned, learned: str | None = None) -> list[Note]:
    """What the node OTCache will make of a run, in one note; none where only the run can tell.

    Args:
        calls, fine: As the node has them.
        run: The run.
        learned: Name of what the model has taught the node, empty if the page knows of nothing, or
            ``None`` where the node is not to learn.
    """
    if run.steps is None or run.part or run.sampler_name not in comfy.samplers.KSampler.SAMPLERS:
        return []
    values: Note = {"steps": run.steps, "sampler": run.sampler_name}
    sampler = comfy.samplers.sampler_object(run.sampler_name)
    for rule, applies in (("adaptive", is_adaptive), ("reads_conds", reads_conds)):
        if applies(sampler):
            return [{"rule": rule, **values}]
    if run.steps < (least := least_steps(not run.partial_denoise)):
        return [{"rule": "too_short", "least": least, **values}]
    if not calls and is_stochastic(sampler):
        return [{"rule": "plan_noise", **values}]
    own = run.steps * calls_a_step(sampler)
    fine = fine and solves_the_equation(sampler)
    higher = is_of_higher_order(sampler)
    pace: dict[str, bool] = {
        "higher_order": higher,
        "even": not fine or run.scheduler is None or falls_evenly(run.scheduler),
    }
    values["calls"] = calls_for(own, calls, **pace)
    if not fine:
        return [{"rule": "plan_own", **values}]
    values["fine"] = run.steps * parts_of_step(run.steps, higher)
    if learned is not None and not run.partial_denoise:
        steadiness = steadiness_of(learned, run.cfg)
        if steadiness is None and values["calls"] > calls_for(own, calls, **pace, steadiness=1.0):
            return [{"rule": "plan_at_most", **values}]
        values["calls"] = calls_for(own, calls, **pace, steadiness=steadiness)
    as_many = not calls and values["calls"] >= own
    return [{"rule": "plan_as_many" if as_many else "plan_fine", **values}]


def _planned(fields: Fields) -> Planned:
    denoise = fields.number("denoise", 0.0, 1.0) if "denoise" in fields else 1.0
    return Planned(
        steps=fields.integer("steps", 1, MAX_RUN_STEPS) if "steps" in fields else None,
        sampler_name=fields.text("sampler_name", "") or None,
        scheduler=fields.text("scheduler", "") or None,
        part=fields.flag("part"),
        partial_denoise=denoise < 1.0,
        cfg=fields.number("cfg", 0.0, MAX_CFG) if "cfg" in fields else None,
    )


def advice_on(fields: Fields) -> list[Note]:
    """Reads a schedule and the runs that take it from a page's request; each note comes once.

    Args:
        fields: ``schedule`` with its ``steps`` and ``budget``, or ``auto`` with the ``calls`` and
            ``fine`` of the node OTCache and the name of what it has ``learned``, if anything, and
            ``runs``, each with ``part`` and what is known of ``steps``, ``sampler_name``,
            ``scheduler``, ``denoise`` and ``cfg``.

    Raises:
        OTCacheError: If a value is of the wrong type or out of range.
    """
    runs = fields.objects("runs")
    if len(runs) > MAX_RUNS:
        raise OTCacheError(f"`runs` must hold at most {MAX_RUNS} runs but has {len(runs)}.")
    if "auto" in fields:
        auto = fields.nested("auto")
        settings = auto.integer("calls", 0, MAX_STEPS), auto.flag("fine")
        learned = auto.text("learned") if "learned" in auto else None
        found = [note for run in runs for note in notes_on_auto(*settings, _planned(run), learned)]
    else:
        schedule = fields.nested("schedule")
        steps = schedule.integer("steps", 1, MAX_STEPS)
        budget = schedule.integer("budget", 1, MAX_STEPS)
        found = [note for run in runs for note in notes_on(steps, budget, _planned(run))]
    return [note for i, note in enumerate(found) if note not in found[:i]]
