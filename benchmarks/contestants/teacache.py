"""TeaCache, re-implemented: the first block's modulated input tells when to evaluate again.

The relative change of that input from step to step, rescaled by a polynomial to the change of the
blocks' output that it foretells, adds up until it reaches a threshold: then all blocks are
evaluated. Until then the last residual of all blocks is added to the new input. The first and the
last step are evaluated in any case. A picture's conds agree on the steps. Reading the modulated
input is not counted as work.
"""
# Source: TeaCache (arXiv 2411.19108). The polynomial is fitted on full runs of calibration prompts.

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.contestants.block_settings import best_of, by_threshold, for_flux, with_cache
from benchmarks.contestants.blocks import Call, relative_change
from benchmarks.contestants.contestant import Bench, Configured, sample

NAME = "TeaCache"
DEGREE = 4
PROMPTS = 6
THRESHOLDS = (0.002, 20.0)

Rescale = Callable[[torch.Tensor], torch.Tensor]


def modulated_input(call: Call, hidden: torch.Tensor) -> torch.Tensor:
    """The image tokens as the first block sees them, ``(rows, image tokens, hidden)``."""
    block = call.blocks[0]
    modulation, _ = block.img_mod(call.vec)
    found: torch.Tensor = block.img_norm1(hidden[:, call.words :])
    return torch.addcmul(modulation.shift, found, 1 + modulation.scale)


class TeaCache:
    """State of one run and one set of conds.

    Args:
        threshold: Foretold change at which all blocks are evaluated.
        rescale: Change of the modulated input to foretold change of the output.
    """

    def __init__(self, threshold: float, rescale: Rescale) -> None:
        self._threshold, self._rescale = threshold, rescale
        self._before: torch.Tensor | None = None
        self._foretold: torch.Tensor | None = None
        self._residual: torch.Tensor | None = None

    def _due(self, call: Call, seen: torch.Tensor) -> torch.Tensor:
        """Which rows are evaluated, ``(rows,)``."""
        if self._before is None or self._foretold is None:
            self._foretold = torch.zeros(len(seen), device=seen.device)
            return call.every_row()
        self._foretold += self._rescale(relative_change(seen, self._before)).clamp(min=0.0)
        due = call.agreed((self._foretold >= self._threshold) | call.at_an_end)
        self._foretold[due] = 0.0
        return due

    def through(self, call: Call, hidden: torch.Tensor) -> torch.Tensor:
        """The blocks' output, or the input with the last residual."""
        seen = modulated_input(call, hidden)
        due = self._due(call, seen)
        self._before = seen
        if self._residual is None:
            self._residual = torch.zeros_like(hidden)
        out = hidden + self._residual
        out[due] = call.run(hidden, range(len(call.blocks)), due)
        self._residual[due] = out[due] - hidden[due]
        return out


class Changes:
    """Evaluates everything, and notes how input and output change from step to step.

    Args:
        noted: Gets the two changes of each row.
    """

    def __init__(self, noted: list[tuple[float, float]]) -> None:
        self._noted = noted
        self._before: tuple[torch.Tensor, torch.Tensor] | None = None

    def through(self, call: Call, hidden: torch.Tensor) -> torch.Tensor:
        """The blocks' output."""
        out = call.run(hidden, range(len(call.blocks)))
        now = modulated_input(call, hidden), out[:, call.words :].clone()
        if self._before is not None:
            pairs = (relative_change(a, b) for a, b in zip(now, self._before, strict=True))
            self._noted += zip(*(pair.tolist() for pair in pairs), strict=True)
        self._before = now
        return out


def fitted(bench: Bench) -> list[float]:
    """Coefficients of the rescaling polynomial, highest power first; fitted once."""
    path = bench.work / "teacache.json"
    if not path.exists():
        noted: list[tuple[float, float]] = []
        prompts = range(min(PROMPTS, len(bench.seen.texts)))
        sample(bench.seen, with_cache(bench, lambda: Changes(noted), ""), prompts)
        inputs, outputs = np.transpose(noted)
        coefficients = np.polyfit(inputs, outputs, DEGREE).tolist()
        path.write_text(json.dumps(coefficients), encoding="utf-8")
    found: list[float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def polynomial(coefficients: list[float]) -> Rescale:
    """The polynomial, highest power first."""

    def rescale(change: torch.Tensor) -> torch.Tensor:
        found = torch.zeros_like(change)
        for coefficient in coefficients:
            found = found * change + coefficient
        return found

    return rescale


def teacache(bench: Bench, calls: int) -> Configured | None:
    """The bench's model with TeaCache, rescaled or not, whichever does better."""
    rescales = {
        f"{NAME}, rescaled": polynomial(fitted(bench)),
        f"{NAME}, not rescaled": polynomial([1.0, 0.0]),
    }
    made = [
        by_threshold(
            bench, name, calls, lambda threshold, r=rescale: TeaCache(threshold, r), THRESHOLDS
        )
        for name, rescale in rescales.items()
    ]
    return best_of(bench, [how for how in made if how is not None])


CONTESTANTS = for_flux(NAME, teacache)
