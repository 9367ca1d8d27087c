"""Keeps the table of waits in `docs/method.md` the same as what is counted.

`python -m benchmarks.pages.method` counts on a small FLUX and writes it anew.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.instruments.waits import RunWaits, summary
from benchmarks.models.architectures import ARCHITECTURES
from benchmarks.pages.tables import markdown_table, replace_table, rewrite
from benchmarks.runs.stand_in_waits import waits_of_run
from scripts.host.find import REPOSITORY
from scripts.host.inprocess import Host, start_host

PAGE = REPOSITORY / "docs" / "method.md"
SAMPLERS = ("euler", "dpmpp_2m", "uni_pc", "dpmpp_2m_sde", "heun", "dpmpp_sde")
"""Samplers that the page shows: four that report each step, and two that ask between levels."""
STEPS, COMPUTED = 12, (0, 4, 7, 11)


def measured(host: Host, sampler: str) -> tuple[RunWaits, RunWaits]:
    """A plain run and a cached one."""
    apply_schedule = host.module("nodes.sampling.host").apply_schedule
    schedule = host.core("documents.schedule").Schedule(STEPS, COMPUTED)
    flux = next(a for a in ARCHITECTURES if a.name == "FLUX.1 dev").build()
    plain, _ = waits_of_run(flux, sampler, STEPS)
    cached, _ = waits_of_run(
        flux, sampler, STEPS, lambda model: apply_schedule(model, schedule, quiet=True)
    )
    return plain, cached


def _text(counts: tuple[int, int] | int) -> str:
    low, high = counts if isinstance(counts, tuple) else (counts, counts)
    return str(low) if low == high else f"{low} to {high}"


def table(host: Host) -> str:
    """The table of all ``SAMPLERS``."""
    columns = (
        "sampler", "plain, an evaluation:", "added, computed:", "added, skipped:",
        "added before the run:", "added at its end:",
    )  # fmt: skip
    rows = []
    for name in SAMPLERS:
        found = summary(*measured(host, name))
        kinds = ("plain", "computed", "skipped", "before", "after")
        rows.append((f"`{name}`", *(_text(found[kind]) for kind in kinds)))
    return markdown_table(columns, rows)


def main() -> int:
    """Counts and writes the page anew."""
    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder), lpips=False)
        return rewrite(PAGE, lambda text: replace_table(text, "waits", table(host)))


if __name__ == "__main__":
    sys.exit(main())
