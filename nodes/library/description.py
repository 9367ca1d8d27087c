"""What an anchor is, in a few lines for people."""

from __future__ import annotations

from ...otcache_core.documents.anchor import Anchor


def describe(anchor: Anchor) -> str:
    """Its model, its budgets, how it was made and what its search found."""
    lines = [
        f"{anchor.name} ({anchor.architecture}), {anchor.steps} steps",
        f"anchor at {anchor.anchor.budget} calls, reference at {anchor.reference.budget}",
    ]
    made = anchor.sampling
    if made.sampler:
        size = f", {made.width}x{made.height}" if made.width else ""
        lines.append(f"made with {made.sampler}, {made.scheduler}, cfg {made.cfg:g}{size}")
    if anchor.objective is not None:
        goal = anchor.objective
        lines.append(f"{goal.metric}: {goal.warm_start:.4f} -> {goal.best:.4f} by search")
    if anchor.provenance:
        lines.append(anchor.provenance)
    return "\n".join(lines)
