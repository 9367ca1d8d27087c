"""Calibration Prompts: one's own lines, or the set that comes with the pack."""

from __future__ import annotations

import json
from pathlib import Path

from comfy_api.latest import io

from ..otcache_core.errors import OTCacheError
from .calibration.sizes import MAX_PROMPTS
from .shared.declare import declare
from .shared.newer import found_by

SET = Path(__file__).resolve().parents[1] / "presets" / "calibration_prompts.json"

OWN = "the text above"
SOURCES = {OWN: 0, "default set, 10 prompts": 10, "default set, 50 prompts": 50}


def default_prompts(count: int) -> list[str]:
    """The first prompts of the set that comes with the pack."""
    listed = json.loads(SET.read_text(encoding="utf-8"))["prompts"]
    return [prompt["text"] for prompt in listed[:count]]


class CalibrationPrompts(io.ComfyNode):
    """A list of prompts: one's own, one a line, or the default set."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.String.Input("text", multiline=True, default=""),
            io.Int.Input("limit", default=50, min=1, max=MAX_PROMPTS),
            io.Combo.Input("source", options=list(SOURCES), default=OWN),
        ]
        outputs = [io.String.Output("prompts", is_output_list=True), io.Int.Output("count")]
        return declare(
            "OTCacheCalibrationPrompts",
            inputs,
            outputs,
            **found_by("prompt list", "text list", "lines"),
        )

    @classmethod
    def execute(cls, text: str, limit: int, source: str = OWN) -> io.NodeOutput:
        if SOURCES[source]:
            prompts = default_prompts(SOURCES[source])[:limit]
            return io.NodeOutput(prompts, len(prompts))
        lines = [line.strip() for line in text.splitlines()]
        prompts = [line for line in lines if line and not line.startswith("#")][:limit]
        if not prompts:
            raise OTCacheError(
                "calibration needs at least 1 prompt but the text holds none: write one a line, "
                "or choose a default set as the source."
            )
        return io.NodeOutput(prompts, len(prompts))
