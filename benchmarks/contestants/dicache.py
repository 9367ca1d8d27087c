"""DiCache, re-implemented: the first blocks probe each step, and align what was kept.

Every step evaluates the first blocks. The relative change of their output from step to step adds up
until it reaches a threshold: then the other blocks are evaluated too, from the probe on. Until then
the residual of all blocks is taken from the line through the last two kept ones, as far along as
the probe's own residual has moved along its two. The first step is evaluated in any case. A
picture's conds agree on the steps.

A probe of one block is 1 of 57 in FLUX.1, but 1 of 6 in the bundled model, where it uses up 8.3
model calls in 50 steps.
"""
# Source: DiCache (arXiv 2508.17356).

from __future__ import annotations

import torch

from benchmarks.contestants.block_settings import by_threshold, for_flux
from benchmarks.contestants.blocks import Call, relative_change
from benchmarks.contestants.contestant import Bench, Configured

NAME = "DiCache"
DEPTH = 1
"""Blocks of the probe."""

THRESHOLDS = (0.002, 20.0)
FARTHEST = 1.5
"""How far along the line residuals are taken at most: at 1 lies the last one."""


class DiCache:
    """State of one run and one set of conds.

    Args:
        threshold: Change of the probe at which all blocks are evaluated.
        depth: Blocks of the probe.
    """

    def __init__(self, threshold: float, depth: int = DEPTH) -> None:
        self._threshold, self._depth = threshold, depth
        self._before: torch.Tensor | None = None
        self._change: torch.Tensor | None = None
        # Residuals of all blocks and of the probe at the last two evaluated steps, older first.
        self._whole: list[torch.Tensor] = []
        self._probed: list[torch.Tensor] = []

    def _due(self, call: Call, probe: torch.Tensor) -> torch.Tensor:
        """Which rows are evaluated, ``(rows,)``."""
        if self._before is None or self._change is None:
            self._change = torch.zeros(len(probe), device=probe.device)
            return call.every_row()
        self._change += relative_change(probe, self._before)
        due = call.agreed(self._change >= self._threshold)
        self._change[due] = 0.0
        return due

    def _aligned(self, moved: torch.Tensor) -> torch.Tensor:
        """The residual of all blocks that fits to a residual of the probe."""
        older, last = self._probed
        ahead = (moved - older).abs().flatten(1).mean(dim=1)
        between = (last - older).abs().flatten(1).mean(dim=1)
        along = (ahead / between.clamp(min=1e-12)).clamp(1.0, FARTHEST)
        return self._whole[0] + along[:, None, None] * (self._whole[1] - self._whole[0])

    def through(self, call: Call, hidden: torch.Tensor) -> torch.Tensor:
        """The blocks' output, or the input with an aligned residual."""
        probe = call.run(hidden, range(self._depth))
        due = self._due(call, probe)
        self._before = probe
        moved = probe - hidden
        out = hidden + (self._aligned(moved) if self._whole else 0.0)
        out[due] = call.run(probe, range(self._depth, len(call.blocks)), due)
        self._keep(self._whole, out - hidden, due)
        self._keep(self._probed, moved, due)
        return out

    @staticmethod
    def _keep(kept: list[torch.Tensor], residual: torch.Tensor, due: torch.Tensor) -> None:
        if not kept:
            kept += residual.clone(), residual.clone()
        kept[0][due] = kept[1][due]
        kept[1][due] = residual[due]


def dicache(bench: Bench, calls: int) -> Configured | None:
    """The bench's model with DiCache."""
    return by_threshold(bench, NAME, calls, DiCache, THRESHOLDS)


CONTESTANTS = for_flux(NAME, dicache)
