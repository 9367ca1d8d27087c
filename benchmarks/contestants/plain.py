"""What needs no method: evenly spaced steps, and plain fewer steps by several solvers."""

from __future__ import annotations

from benchmarks.contestants.contestant import Bench, Configured, Contestant
from benchmarks.contestants.schedules import with_steps
from benchmarks.models.sampled import STEPS

SOLVERS = ("euler", "dpmpp_2m", "uni_pc", "deis", "res_multistep", "ipndm")


def uniform(estimator: str) -> Contestant:
    """Evenly spaced steps."""

    def contestant(bench: Bench, calls: int) -> Configured:
        steps = bench.host.core("gaps").uniform_steps(calls, STEPS)
        look_back = (2,) * (calls - 1) if estimator == "meancache" else ()
        return with_steps(bench, steps, estimator, look_back=look_back)

    return contestant


def fewer_steps(sampler: str) -> Contestant:
    """The plain sampler with as many steps as there are calls."""
    return lambda bench, calls: Configured(bench.model, steps=calls, sampler=sampler)


def heun(bench: Bench, calls: int) -> Configured:
    """Heun asks twice a step, but for the last: half the steps."""
    return Configured(bench.model, steps=(calls + 1) // 2, sampler="heun")


CONTESTANTS: dict[str, Contestant] = {
    "uniform steps, slope": uniform("slope"),
    "uniform steps, look-back 2": uniform("meancache"),
    "uniform steps, reuse": uniform("reuse"),
    **{f"fewer steps: {solver}": fewer_steps(solver) for solver in SOLVERS},
    "fewer steps: heun": heun,
}
