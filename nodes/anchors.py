"""Load OT Anchor and Save OT Anchor."""

from __future__ import annotations

import logging
from typing import Any

from comfy_api.latest import io

from ..otcache_core.documents.anchor import Anchor
from ..otcache_core.errors import OTCacheError
from .library.choice import choose_anchor, other_model
from .library.description import describe, saved_as
from .library.files import AUTOMATIC, PRESET_PREFIX, anchor_names, new_anchor_path, store_anchor
from .library.inline import IN_WORKFLOW, anchor_fingerprint, check_anchor, read_anchor
from .library.weights import weights_fingerprint
from .sampling.origin import kinds_of, wrong_architecture
from .shared.declare import declare
from .shared.newer import FASTER, found_by
from .shared.news import HIDDEN, place_of, result
from .shared.types import AnchorType

logger = logging.getLogger("otcache")


NOT_LINKED = object()
"""Stands for an open input: the hooks below get ``None`` for whatever only the run will bring."""


def _doubts(anchor: Anchor, model: Any, *, chosen: bool) -> str:
    """What to say of an anchor for a model; empty where it suits or there is no model."""
    if model is None:
        return ""
    return wrong_architecture(anchor.architecture, model) or other_model(
        anchor, weights_fingerprint(model), kinds_of(model)[0], chosen=chosen
    )


class LoadAnchor(io.ComfyNode):
    """Loads an anchor by name."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.Combo.Input(
                "anchor_name", options=[AUTOMATIC, *anchor_names(), IN_WORKFLOW], default=AUTOMATIC
            ),
            io.Model.Input("model", optional=True),
            io.String.Input("inline_anchor", default="", optional=True, socketless=True),
        ]
        return declare(
            "OTCacheLoadAnchor",
            inputs,
            [AnchorType.Output("anchor")],
            hidden=HIDDEN,
            **found_by(*FASTER),
        )

    @classmethod
    def validate_inputs(
        cls, anchor_name: str | None, inline_anchor: str | None = "", model: Any = NOT_LINKED
    ) -> bool | str:
        if anchor_name is None or inline_anchor is None:
            return True  # linked: only the run can tell
        try:
            check_anchor(anchor_name, inline_anchor, has_model=model is not NOT_LINKED)
        except OTCacheError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(
        cls, anchor_name: str | None, inline_anchor: str | None = "", model: Any = None
    ) -> str:
        return anchor_fingerprint(anchor_name or AUTOMATIC, inline_anchor or "")

    @classmethod
    def execute(cls, anchor_name: str, model: Any = None, inline_anchor: str = "") -> io.NodeOutput:
        check_anchor(anchor_name, inline_anchor, has_model=model is not None)
        chosen = anchor_name == AUTOMATIC
        name = choose_anchor(kinds_of(model), weights_fingerprint(model)) if chosen else anchor_name
        anchor = read_anchor(name, inline_anchor)
        lines = [name, *describe(anchor)] if chosen else describe(anchor)
        general = name.startswith(PRESET_PREFIX)
        warning = _doubts(anchor, model, chosen=chosen and not general)
        if warning:
            logger.warning("OTCache: %s", warning)
            lines = [warning, *lines]
        report = {"name": name, "warning": warning}
        return io.NodeOutput(anchor, ui=result(lines, place_of(cls.hidden), report))


class SaveAnchor(io.ComfyNode):
    """Saves an anchor under a name."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            AnchorType.Input("anchor"),
            io.String.Input("filename", default="my model"),
            io.Boolean.Input("overwrite", default=False),
        ]
        return declare("OTCacheSaveAnchor", inputs, [], hidden=HIDDEN, is_output_node=True)

    @classmethod
    def execute(cls, anchor: Anchor, filename: str, overwrite: bool) -> io.NodeOutput:
        path = new_anchor_path(filename, overwrite=overwrite)
        store_anchor(anchor, path)
        report = {"saved": path.name}
        return io.NodeOutput(ui=result(saved_as(path), place_of(cls.hidden), report))
