"""Nodes that were given another id: saved workflows that name the old one go on working."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from comfy_api import latest


@dataclass(frozen=True)
class Renamed:
    """A node under its old and its new id.

    Attributes:
        old, new: Ids.
        widgets: Inputs of the old node that are widgets, in their order: workflows keep their
            values by place.
        inputs: Names of the old node's inputs by what the new one calls them.
        outputs: How many outputs both have, in the same order.
    """

    old: str
    new: str
    widgets: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: int = 1


RENAMED: tuple[Renamed, ...] = ()
"""None so far: ids that were published are frozen in tests/host/interface.json."""


async def register_renamed(renamed: Iterable[Renamed]) -> None:
    """Tells the host of them, where it takes that; an older one shows a missing node."""
    declare = getattr(latest.io, "NodeReplace", None)
    if declare is None:
        return
    api = latest.ComfyAPI()
    for node in renamed:
        await api.node_replacement.register(
            declare(
                new_node_id=node.new,
                old_node_id=node.old,
                old_widget_ids=list(node.widgets),
                input_mapping=[{"new_id": n, "old_id": o} for n, o in node.inputs.items()],
                output_mapping=[{"new_idx": i, "old_idx": i} for i in range(node.outputs)],
            )
        )
