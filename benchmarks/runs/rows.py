"""Records of one row a case, measured on the bundled model and printed as they come."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from benchmarks.instruments.record import write_record
from benchmarks.models import demo
from benchmarks.models.sampled import SampledModel
from scripts.host.inprocess import Host, start_host

ANCHOR = "preset: otcache-demo"
THREADS = 2
"""Of torch, where nothing is timed."""

Row = dict[str, Any]


def demo_on(host: Host, count: int) -> SampledModel:
    """The bundled model on its first held-out prompts."""
    return SampledModel(host, demo.build(host), demo.prompts("held_out")[:count])


def rms(samples: torch.Tensor, reference: torch.Tensor) -> float:
    """Root mean square difference of each picture, on average, to the digits of a record.

    Args:
        samples, reference: Final latents ``(N, C, H, W)``.
    """
    of_each = (samples - reference).square().mean(dim=(1, 2, 3)).sqrt()
    return round(float(of_each.mean()), 4)


def record_rows(name: str, measure: Callable[[Host], Iterable[Row]], **settings: Any) -> None:
    """Measures row by row, prints each row as it comes, and writes the record.

    Args:
        name: The benchmark's and its record's name.
        measure: Gives the rows.
        settings: What the record says of all rows.
    """
    torch.set_num_threads(THREADS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(start_host(Path(folder))):
            rows.append(row)
            print(row, flush=True)
    path = write_record(name, f"nox -s bench -- {name}", {**settings, "rows": rows})
    print("record:", path.name)
