"""What an anchor is, in a few lines for people."""

from __future__ import annotations

from pathlib import Path

from ...otcache_core.documents.anchor import Anchor
from ...otcache_core.message import Message


def calibrated_with(version: str) -> Message:
    """The provenance of what Calibrate OT Anchor makes."""
    return Message(
        "calibrated_with",
        "calibrated with OTCache {version} by Calibrate OT Anchor",
        version=version,
    )


def saved_as(path: Path) -> Message:
    """Where an anchor went."""
    return Message("saved_as", "saved as {file}", file=path.name)


def describe(anchor: Anchor) -> list[str]:
    """Its model, its budgets, how it was made, what its search found, and its own words."""
    lines: list[str] = [
        Message(
            "anchor_is", "{name} ({architecture}), {steps} steps",
            name=anchor.name, architecture=anchor.architecture, steps=anchor.steps,
        ),
        Message(
            "anchor_budgets", "anchor at {anchor} calls, reference at {reference}",
            anchor=anchor.anchor.budget, reference=anchor.reference.budget,
        ),
    ]  # fmt: skip
    made = anchor.sampling
    if made.sampler:
        size = f", {made.width}x{made.height}" if made.width else ""
        lines.append(
            Message(
                "anchor_made", "made with {sampler}, {scheduler}, cfg {cfg}{size}",
                sampler=made.sampler, scheduler=made.scheduler, cfg=f"{made.cfg:g}", size=size,
            )
        )  # fmt: skip
    goal = anchor.objective
    if goal is not None:
        values = {"metric": goal.metric, "best": f"{goal.best:.4f}"}
        warm = f"{goal.warm_start:.4f}"
        lines.append(
            Message("anchor_found", "{metric}: {warm} -> {best} by search", warm=warm, **values)
        )
    return [*lines, _origin(anchor.provenance)] if anchor.provenance else lines


def _origin(provenance: str) -> str:
    """Where an anchor comes from: in any language if it was made here, else in its own words."""
    before, after = calibrated_with("|").split("|")
    if provenance.startswith(before) and provenance.endswith(after):
        return calibrated_with(provenance.removeprefix(before).removesuffix(after))
    return provenance
