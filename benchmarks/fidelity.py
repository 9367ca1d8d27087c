"""Fidelity to the full run at equal model calls, against what people would pick instead.

    nox -s bench -- fidelity [--model NAME ...] [--work FOLDER] [--short | --quick]
                            [--replace] [--only ... [--merge]]

Each model of the proving ground is sampled through the host's own stack, on held-out prompts with
seeds that no calibration saw, and every contestant is compared with the model's 50-step Euler run
of the same prompt and seed. With ``--work``, a run that was cut short goes on where it stopped.
With ``--merge``, what ``--only`` names takes the place of its rows in the records.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.contestants.everyone import chosen, everyone
from benchmarks.contestants.generic import GENERIC
from benchmarks.contestants.meancache import MEANCACHE
from benchmarks.contestants.measuring import key_of, measure_missing, rows_of
from benchmarks.contestants.vde import VDE_ON_OURS
from benchmarks.instruments.kept import Kept
from benchmarks.instruments.losses import Losses, read_losses, write_losses
from benchmarks.instruments.numbers import OURS, Row, by_prompt, rounded_ratio, worse
from benchmarks.instruments.record import RECORDS, read_results, write_record
from benchmarks.models import grounds
from benchmarks.pages.fidelity_plot import draw_pareto
from benchmarks.runs.anchors import keep_anchor
from benchmarks.runs.fidelity_bench import ABOUT, QUICK, SHORT, Extent, FidelityBench
from benchmarks.runs.tasks import Task, run_all
from scripts.host.inprocess import start_host

BUDGETS = (20, 15, 12, 10, 8)
QUICK_BUDGETS = (12, 8)
QUICK_CONTESTANTS = (OURS, GENERIC, MEANCACHE, "fewer steps: euler", VDE_ON_OURS)
SHORT_CONTESTANTS = (
    *QUICK_CONTESTANTS,
    "OTCache, reuse",
    "fewer steps: dpmpp_2m",
    "fewer steps: deis",
    "fewer steps: res_multistep",
    "uniform steps, slope",
)
"""Those that need no tuning, and MeanCache."""


def _extent(options: argparse.Namespace) -> Extent:
    if options.quick:
        return QUICK
    return replace(SHORT if options.short else Extent(), new_anchor=options.calibrate)


def _contestants(options: argparse.Namespace) -> dict[str, Any]:
    found = chosen(options.only, options.peer)
    if options.merge:
        found = {OURS: everyone()[OURS]} | found  # for the ratios
    if not (options.quick or options.short):
        return found
    named = QUICK_CONTESTANTS if options.quick else SHORT_CONTESTANTS
    return {name: make for name, make in found.items() if name in named}


def _kept(work: Path, name: str, budget: int) -> Kept:
    return Kept(work / name / f"lines-{budget}.json")


def do_part(options: argparse.Namespace, folder: Path) -> None:
    """What one process does: prepares a model, or measures it at some budgets."""
    (name,) = options.model
    contestants = _contestants(options)  # first: what cannot be imported fails before the host
    bench = FidelityBench(start_host(folder), name, options.work / name, _extent(options))
    if options.part == "prepare":
        print(f"{name}: its anchor is {bench.anchor.name}", flush=True)
        return
    for budget in options.budgets:
        measure_missing(bench, contestants, _kept(options.work, name, budget), budget)


def parts_of(names: Sequence[str], options: argparse.Namespace, work: Path) -> list[Task]:
    """The parts of a whole run: a quick one has one for each model, a full one one a budget too."""
    given = [word for peer in options.peer for word in ("--peer", peer)]
    given += ["--only", *options.only] if options.only else []
    given += [
        f"--{flag}" for flag in ("quick", "short", "calibrate", "merge") if vars(options)[flag]
    ]

    def part(name: str, kind: str, budgets: Sequence[int] = (), after: str = "") -> Task:
        words = ("fidelity", "--part", kind, "--model", name, "--work", str(work), *given)
        at = ("--budgets", *map(str, budgets)) if budgets else ()
        return Task(" ".join((name, kind, *map(str, budgets))), (*words, *at), after)

    if options.quick:
        return [part(name, "measure", options.budgets) for name in names]
    parts = []
    for name in names:
        first = part(name, "prepare")
        parts.append(first)
        parts += [part(name, "measure", (budget,), first.name) for budget in options.budgets]
    return parts


def measured_at(work: Path, name: str, options: argparse.Namespace) -> tuple[list[Row], Losses]:
    """All that was measured of a model: its rows, and their losses by prompt."""
    lines: dict[str, Any] = {}
    for budget in options.budgets:
        lines |= _kept(work, name, budget).lines
    seeds = _extent(options).seeds
    rows = rows_of(_contestants(options), lines, options.budgets, seeds)
    keys = [key_of(row["contestant"], row["budget"]) for row in rows]
    return rows, {key: by_prompt(lines[key]["lpips"], seeds).tolist() for key in keys}


def keep_record(work: Path, name: str, rows: Sequence[Row], short: bool = False) -> None:
    """Writes a model's record, its picture and its anchor; says what got worse."""
    words = f"{name} --short" if short else name
    before = read_results(f"ground-{name}")
    if before is not None:
        told = worse(before["rows"], rows)
        print("\n".join(told) or f"{name}: nothing is worse than the last record says")
    results = {**Kept(work / name / ABOUT).lines["about"], "rows": list(rows)}
    path = write_record(f"ground-{name}", f"nox -s bench -- fidelity --model {words}", results)
    draw_pareto(rows, RECORDS / f"ground-{name}.png")
    keep_anchor(name, work / name)
    print(f"wrote {path}")


def merged(before: Sequence[Row], now: Sequence[Row], losses: Losses) -> list[Row]:
    """A record's rows, those of contestants that were measured anew in the place of their old ones.

    At a budget where OTCache itself is not what it was, the others' ratios to it are taken anew,
    from their losses; where one's are not known, the old rows stay.

    Args:
        before: The record's.
        now: Those that were measured anew.
        losses: By prompt, of both as far as they are known, the new ones where there are two.
    """
    old, new = ({(row["contestant"], row["budget"]): row for row in rows} for rows in (before, now))
    ours = [budget for name, budget in new if name == OURS and (name, budget) in old]
    for budget in (b for b in ours if new[OURS, b]["lpips"] != old[OURS, b]["lpips"]):
        others = [place for place in old if place[1] == budget and place not in new]
        if any(key_of(*place) not in losses for place in others):
            print(
                f"{OURS} at {budget} calls is not what the record says: "
                "measure all contestants there"
            )
            new = {place: row for place, row in new.items() if place[1] != budget}
            continue
        for place in others:
            ratio = rounded_ratio(losses[key_of(OURS, budget)], losses[key_of(*place)])
            old[place] = old[place] | {"ours_over": ratio}
    return list((old | new).values())


def refuse_smaller(names: Sequence[str], extent: Extent) -> None:
    """Refuses to write over records that saw more pictures than a run now would.

    Raises:
        SystemExit: If one did.
    """
    now = extent.held_out_prompts * extent.seeds
    for name in names:
        before = read_results(f"ground-{name}")
        if before is not None and (pictures := before["prompts"] * before["seeds"]) > now:
            raise SystemExit(
                f"ground-{name}.json must not be replaced by a smaller record but has {pictures} "
                f"pictures, and this run measures {now}: leave out --short, or say --replace."
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fidelity")
    parser.add_argument("--model", nargs="+", default=[], help="models; all that are here else")
    parser.add_argument("--work", type=Path, help="folder to keep what was done in")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--quick", action="store_true", help="two minutes; writes no record")
    parser.add_argument("--short", action="store_true", help="ten contestants, 16 pictures")
    parser.add_argument("--replace", action="store_true", help="fuller records too")
    parser.add_argument("--calibrate", action="store_true", help="make the models' anchors anew")
    parser.add_argument("--only", nargs="+", help="parts of contestants' names; writes no record")
    parser.add_argument("--merge", action="store_true", help="... but puts them into the record")
    parser.add_argument("--budgets", nargs="+", type=int, help="model calls; writes no record")
    parser.add_argument("--peer", action="append", default=[], help="NAME=FOLDER of another pack")
    parser.add_argument("--part", choices=("prepare", "measure"), help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str]) -> None:
    """Command line."""
    options = _parser().parse_args(arguments)
    recorded = options.merge or not (options.quick or options.only or options.budgets)
    options.budgets = options.budgets or (QUICK_BUDGETS if options.quick else BUDGETS)
    with tempfile.TemporaryDirectory() as folder:
        if options.part:
            do_part(options, Path(folder))
            return
        work = (options.work or Path(folder)).resolve()
        names, left_out = grounds.choose(options.model)
        if recorded and not options.replace:
            refuse_smaller(names, _extent(options))
        print("\n".join([*left_out, f"measuring {', '.join(names)}"]), flush=True)
        parts = parts_of(names, options, work)
        left = {name: sum(part.name.split()[0] == name for part in parts) for name in names}

        def ended(part: Task) -> None:
            name = part.name.split()[0]
            left[name] -= 1
            if left[name]:
                return
            rows, losses = measured_at(work, name, options)
            for row in rows:
                shown = f"{row['budget']:3} {row['calls']:6.1f} {row['lpips']:.5f}"
                print(f"{name:9} {shown}  {row['contestant']}", flush=True)
            if options.merge:
                before = (read_results(f"ground-{name}") or {"rows": []})["rows"]
                known = read_losses(f"ground-{name}")
                after = merged(before, rows, known | losses)
                taken = [key_of(row["contestant"], row["budget"]) for row in rows if row in after]
                rows, losses = after, known | {key: losses[key] for key in taken}
            if recorded:
                keep_record(work, name, rows, options.short)
                write_losses(f"ground-{name}", losses)

        run_all(parts, options.workers, ended)
