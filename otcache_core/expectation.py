"""What loss to expect of a predicted schedule: only where it was measured."""

from __future__ import annotations

from .documents.anchor import Anchor
from .documents.fidelity import FidelityCurve
from .documents.schedule import Schedule
from .transport import predict_schedule


def expected_loss(anchor: Anchor, schedule: Schedule) -> tuple[float, float] | None:
    """The loss of most pictures and the mean loss, or ``None`` where nothing vouches for either.

    The curve was measured on the schedules that the anchor itself predicts: at its own step count
    and exponent, between its lowest and its highest budget.

    Args:
        anchor: The anchor.
        schedule: Predicted from it.
    """
    if not anchor.fidelity or schedule.steps != anchor.steps:
        return None
    if not anchor.fidelity[0].budget <= schedule.budget <= anchor.fidelity[-1].budget:
        return None
    if schedule != predict_schedule(anchor, schedule.budget, below_anchor=True).schedule:
        return None
    return FidelityCurve(anchor.fidelity).expected(schedule.budget)


def expectation(anchor: Anchor, schedule: Schedule) -> str:
    """The same in words."""
    expected = expected_loss(anchor, schedule)
    if expected is None:
        return "expected LPIPS not measured" + (" for these settings" if anchor.fidelity else "")
    typical, mean = expected
    return f"expected LPIPS {typical:.4f} (mean {mean:.4f})"
