"""Keeps the table of waits in `docs/method.md` the same as what is counted.

`python -m benchmarks.pages.method` counts on a small FLUX and writes it anew.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.architectures import even_schedule
from benchmarks.models.tiny import ARCHITECTURES
from benchmarks.pages.tables import markdown_table, replace_table, rewrite
from benchmarks.runs.waits import RunWaits, Waits, waits_of_run
from scripts.host.find import REPOSITORY
from scripts.host.inprocess import Host, start_host

PAGE = REPOSITORY / "docs" / "method.md"
SAMPLERS = ("euler", "dpmpp_2m", "uni_pc", "dpmpp_2m_sde", "heun", "dpmpp_sde")
"""Samplers that the page shows: four that report each step, and two that ask between levels."""
STEPS, BUDGET = 12, 4


def measured(host: Host, sampler: str) -> tuple[RunWaits, RunWaits]:
    """A plain run and a cached one."""
    apply_schedule = host.module("nodes.sampling.host").apply_schedule
    schedule = even_schedule(host, STEPS, BUDGET)
    flux = next(a for a in ARCHITECTURES if a.name == "FLUX.1 dev").build()
    plain = waits_of_run(flux, sampler, STEPS)
    cached = waits_of_run(
        flux, sampler, STEPS, lambda model: apply_schedule(model, schedule, quiet=True)
    )
    return plain, cached


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def row(sampler: str, plain: RunWaits, cached: RunWaits) -> tuple[str, ...]:
    """One sampler's row: the plain sampler's waits, and what the pack adds to them."""
    pairs = list(zip(cached.evaluations, plain.evaluations, cached.computed, strict=True))

    def added(computed: bool) -> str:
        return _span([(ours - theirs).total() for ours, theirs, c in pairs if c is computed])

    def more(ours: Waits, theirs: Waits) -> str:
        return str((ours - theirs).total())

    return (
        f"`{sampler}`", _span([waits.total() for waits in plain.evaluations]), added(True),
        added(False), more(cached.before, plain.before), more(cached.after, plain.after),
    )  # fmt: skip


def table(host: Host) -> str:
    """The table of all ``SAMPLERS``."""
    columns = (
        "sampler", "plain, an evaluation:", "added, computed:", "added, skipped:",
        "added before the run:", "added at its end:",
    )  # fmt: skip
    return markdown_table(columns, [row(name, *measured(host, name)) for name in SAMPLERS])


def main() -> int:
    """Counts and writes the page anew."""
    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder), lpips=False)
        return rewrite(PAGE, lambda text: replace_table(text, "waits", table(host)))


if __name__ == "__main__":
    sys.exit(main())
