"""Choices by what candidates of one budget lose on all prompts; what plainly loses has none."""
# Not in the paper, which judges rho alone, at one budget.

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

from ..gaps import Candidate
from .run import CalibrationRun

TINY = 1e-12
"""Losses below have no logarithm worth telling apart."""

Choice = TypeVar("Choice")


def log_losses(
    run: CalibrationRun, role: str, by_choice: Mapping[Choice, Candidate]
) -> dict[Choice, float]:
    """Logarithms of what stage 2 minimises, for each choice that is not given up on the way.

    Args:
        run: The calibration.
        role: Name of the comparison in its storage.
        by_choice: Candidates of one budget; the first one is tried on every prompt.

    Raises:
        EvaluationError: If none gives a picture.
    """
    found = run.compare(role, list(dict.fromkeys(by_choice.values())))
    complete = {trial.candidate for trial in found.trials if trial.complete}
    return {
        choice: math.log(max(run.badness(of), TINY))
        for choice, of in by_choice.items()
        if of in complete
    }
