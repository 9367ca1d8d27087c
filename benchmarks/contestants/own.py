"""This pack's own contestants of the fidelity benchmark, MeanCache, and plain fewer steps.

Each stage of the method is switched off in turn. What other people made is in
``benchmarks.contestants``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.contestants.contestant import Configured
from benchmarks.models.bundled import STEPS

if TYPE_CHECKING:
    from benchmarks.fidelity import FidelityBench

Contestant = Callable[["FidelityBench", int], "Configured | None"]

OURS = "OTCache"
MEANCACHE = "MeanCache: path over pairs, look-back"
ORACLE = "searched at this budget (an oracle)"
ORACLE_TRIALS = 20
SOLVERS = ("euler", "dpmpp_2m", "uni_pc", "deis", "res_multistep", "ipndm")
GAMMAS = (1.0, 2.0, 3.0, 4.0)
PAPER_RHO = 1.3


def by_schedule(bench: FidelityBench, schedule: Any) -> Configured:
    """The bundled model with a schedule."""
    model = bench.host.module("nodes.sampling.host").apply_schedule(
        bench.model, schedule, quiet=True
    )
    gains = " ".join(f"{gain:g}" for gain in schedule.slope_gain)
    steps = " ".join(map(str, schedule.computed_steps))
    note = f"computed steps {steps}"
    return Configured(
        model, note=note + (f"; gains {gains}" if set(schedule.slope_gain) != {1.0} else "")
    )


def with_steps(
    bench: FidelityBench, computed_steps: tuple[int, ...], estimator: str, **more: Any
) -> Configured:
    """The bundled model with given computed steps."""
    schedule = bench.host.core("documents.schedule").Schedule(
        STEPS, computed_steps, estimator, **more
    )
    return by_schedule(bench, schedule)


# Ours, and what is left of it with one part switched off


def ours(bench: FidelityBench, calls: int) -> Configured:
    """The shipped anchor, as the nodes predict from it."""
    return by_schedule(bench, bench.predicted(calls))


def paper_rho(bench: FidelityBench, calls: int) -> Configured:
    """The paper's exponent in place of the calibrated one."""
    return by_schedule(bench, bench.predicted(calls, rho=PAPER_RHO))


def plain_rounding(bench: FidelityBench, calls: int) -> Configured:
    """The paper's projection to integers: each step rounded by itself."""
    project = bench.host.core("projection").round_to_steps
    return by_schedule(bench, bench.predicted(calls, project=project))


def plain_gains(bench: FidelityBench, calls: int) -> Configured:
    """The same steps with the whole slope."""
    return with_steps(bench, bench.our_steps(calls), "slope")


def plain_reuse(bench: FidelityBench, calls: int) -> Configured:
    """The same steps with the last velocity."""
    return with_steps(bench, bench.our_steps(calls), "reuse")


def without_search(bench: FidelityBench, calls: int) -> Configured:
    """Stage 1 alone: the shortest path over triples at the budget itself."""
    return with_steps(bench, bench.calibration.graphs.path(calls), "slope")


def without_reference(bench: FidelityBench, calls: int) -> Configured:
    """Stage 3 with one endpoint: the anchor's curve sampled at the budget."""
    transport = bench.host.core("transport")
    anchor = bench.anchor
    curve = transport.warping_curve(anchor.anchor.computed_steps, STEPS)
    steps = transport.realise(curve, calls, STEPS, anchor.rho)
    gains = transport.gains_of_edges(transport.gains_at(anchor, calls, STEPS), steps)
    return with_steps(bench, steps, "slope", slope_gain=gains)


def oracle(bench: FidelityBench, calls: int) -> Configured:
    """A search at the budget itself, which starts from the prediction too."""
    from benchmarks.calibration import DIRECT

    of = bench.host.core("gaps").candidate
    predicted = bench.predicted(calls)
    starts = [of(predicted.computed_steps, predicted.slope_gain)]
    starts += bench.calibration.starts(DIRECT, calls)
    searched = bench.calibration.search(
        f"oracle {calls}",
        list(dict.fromkeys(starts)),
        replace(DIRECT, trials=ORACLE_TRIALS),
        budget=calls,
    )
    return by_schedule(bench, bench.calibration.schedule(searched.found.best))


# MeanCache and plain ones


def meancache(bench: FidelityBench, calls: int) -> Configured:
    """MeanCache's graph and estimator, with the gamma that does best on calibration prompts."""
    path = bench.work / "meancache.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    pairs, graph = bench.calibration.graphs.pairs, bench.host.core("graph")
    table = pairs.look_back_table()

    def schedule(gamma: float) -> Any:
        steps = graph.shortest_path_over_pairs(pairs.mean(), calls, gamma=gamma)
        look_back = tuple(table[t][s - t - 1] for t, s in zip(steps, steps[1:], strict=False))
        return bench.host.core("documents.schedule").Schedule(STEPS, steps, "meancache", look_back)

    if str(calls) not in known:
        losses = {gamma: float(bench.bundled.losses(schedule(gamma)).mean()) for gamma in GAMMAS}
        known[str(calls)] = min(losses, key=lambda gamma: losses[gamma])
        path.write_text(json.dumps(known), encoding="utf-8")
    best = schedule(known[str(calls)])
    how = by_schedule(bench, best)
    look_back = " ".join(map(str, best.look_back))
    return replace(how, note=f"gamma {known[str(calls)]:g}; {how.note}; look-back {look_back}")


def uniform(estimator: str) -> Contestant:
    """Evenly spaced steps."""

    def contestant(bench: FidelityBench, calls: int) -> Configured:
        steps = bench.host.core("gaps").uniform_steps(calls, STEPS)
        look_back = (2,) * (calls - 1) if estimator == "meancache" else ()
        return with_steps(bench, steps, estimator, look_back=look_back)

    return contestant


def fewer_steps(sampler: str) -> Contestant:
    """The plain sampler with as many steps as there are calls."""
    return lambda bench, calls: Configured(bench.model, steps=calls, sampler=sampler)


def heun(bench: FidelityBench, calls: int) -> Configured:
    """Heun asks twice a step, but for the last: half the steps."""
    return Configured(bench.model, steps=(calls + 1) // 2, sampler="heun")


def on_our_levels(sampler: str) -> Contestant:
    """OTCache Sigmas: the solver takes the large steps itself."""

    def contestant(bench: FidelityBench, calls: int) -> Configured:
        levels = tuple(bench.sigmas[t] for t in bench.our_steps(calls))
        return Configured(bench.model, steps=calls, sampler=sampler, sigmas=(*levels, 0.0))

    return contestant


CONTESTANTS: dict[str, Contestant] = {
    OURS: ours,
    "OTCache, gains of 1": plain_gains,
    "OTCache, reuse": plain_reuse,
    "OTCache, rho 1.3": paper_rho,
    "OTCache, steps rounded one by one": plain_rounding,
    "OTCache, no reference: the anchor's curve alone": without_reference,
    "OTCache, stage 1 alone: path over triples, gains of 1": without_search,
    ORACLE: oracle,
    MEANCACHE: meancache,
    "uniform steps, slope": uniform("slope"),
    "uniform steps, look-back 2": uniform("meancache"),
    "uniform steps, reuse": uniform("reuse"),
    **{f"fewer steps: {solver}": fewer_steps(solver) for solver in SOLVERS},
    "fewer steps: heun": heun,
    "OTCache Sigmas, dpmpp_2m": on_our_levels("dpmpp_2m"),
}
