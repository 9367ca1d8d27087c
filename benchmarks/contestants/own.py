"""This pack's own contestants: ours, and ours with each part switched off in turn."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.contestants.contestant import Bench, Configured, Contestant
from benchmarks.contestants.schedules import by_schedule, with_steps
from benchmarks.instruments.numbers import OURS
from benchmarks.models.sampled import STEPS
from benchmarks.runs.searches import DIRECT

ORACLE = "searched at this budget (an oracle)"
ORACLE_TRIALS = 20
PAPER_RHO = 1.3


def ours(bench: Bench, calls: int) -> Configured:
    """The shipped anchor, as the nodes predict from it."""
    return by_schedule(bench, bench.predicted(calls))


def paper_rho(bench: Bench, calls: int) -> Configured:
    """The paper's exponent in place of the calibrated one."""
    return by_schedule(bench, bench.predicted(calls, rho=PAPER_RHO))


def plain_rounding(bench: Bench, calls: int) -> Configured:
    """The paper's projection to integers: each step rounded by itself."""
    project = bench.host.core("projection").round_to_steps
    return by_schedule(bench, bench.predicted(calls, project=project))


def plain_gains(bench: Bench, calls: int) -> Configured:
    """The same steps with the whole slope."""
    return with_steps(bench, bench.our_steps(calls), "slope")


def plain_reuse(bench: Bench, calls: int) -> Configured:
    """The same steps with the last velocity."""
    return with_steps(bench, bench.our_steps(calls), "reuse")


def without_search(bench: Bench, calls: int) -> Configured:
    """Stage 1 alone: the shortest path over triples at the budget itself."""
    return with_steps(bench, bench.searches.graphs.path(calls), "slope")


def without_reference(bench: Bench, calls: int) -> Configured:
    """Stage 3 with one endpoint: the anchor's curve sampled at the budget."""
    transport = bench.host.core("transport")
    anchor = bench.anchor
    curve = transport.warping_curve(anchor.anchor.computed_steps, STEPS)
    steps = transport.realise(curve, calls, STEPS, anchor.rho)
    edges = transport.edges_along(transport.curves_at(anchor, calls, STEPS), steps)
    known = bench.host.core("documents.schedule").coefficients(edges)
    return with_steps(bench, steps, "slope", **known)


def oracle(bench: Bench, calls: int) -> Configured:
    """A search at the budget itself, which starts from the prediction too."""
    of = bench.host.core("gaps").candidate
    predicted = bench.predicted(calls)
    known = bench.host.core("documents.schedule").coefficients(predicted)
    starts = [of(predicted.computed_steps, **known)]
    starts += bench.searches.starts(DIRECT, calls)
    searched = bench.searches.search(
        f"oracle {calls}",
        list(dict.fromkeys(starts)),
        replace(DIRECT, trials=ORACLE_TRIALS),
    )
    return by_schedule(bench, bench.searches.schedule(searched.found.best))


def on_our_levels(sampler: str) -> Contestant:
    """OTCache Sigmas: the solver takes the large steps itself."""

    def contestant(bench: Bench, calls: int) -> Configured:
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
    "OTCache Sigmas, dpmpp_2m": on_our_levels("dpmpp_2m"),
}
