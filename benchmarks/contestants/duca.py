"""DuCa, re-implemented: ToCa's steps in turn with steps that evaluate nothing.

After a step that evaluates all tokens comes one that only adds what was kept, then one that
evaluates a share of the tokens, and so on. Tokens matter by the norm of their values, which needs
no map of the attention.
"""
# Source: DuCa (arXiv 2412.18911).

from __future__ import annotations

from collections.abc import Collection

import torch

from benchmarks.contestants.block_settings import for_flux
from benchmarks.contestants.contestant import Bench, Configured
from benchmarks.contestants.toca import ToCa, best_plan, plans

NAME = "DuCa"


def norm_of_values(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Norm of each token's value, averaged over heads, ``(rows, tokens)``."""
    return torch.linalg.vector_norm(v, dim=-1).mean(dim=1)


def every_second(full: Collection[int], steps: int) -> list[int]:
    """The steps at an even distance after the last fully evaluated one."""
    after = [t - max(f for f in full if f <= t) for t in range(steps)]
    return [t for t in range(steps) if after[t] and after[t] % 2 == 0]


def duca(bench: Bench, calls: int) -> Configured | None:
    """The bench's model with DuCa."""
    steps = len(bench.sigmas) - 1
    found = plans(steps, calls, lambda full: every_second(full, steps))
    return best_plan(bench, found, lambda plan: ToCa(plan, norm_of_values))


CONTESTANTS = for_flux(NAME, duca)
