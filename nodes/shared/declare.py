"""How the pack's nodes are declared: names, types and ranges in code, words beside all languages.

What a user reads of a node is in ``locales/en/nodeDefs.json``, beside the other languages; scripts
over the API, and pages without a language, get these English words.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from .types import CATEGORY

FILE = Path(__file__).parents[2] / "locales" / "en" / "nodeDefs.json"
WORDS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def declare(
    node_id: str, inputs: list[io.Input], outputs: list[io.Output], **more: Any
) -> io.Schema:
    """The schema of a node with its words.

    Args:
        node_id: The node's id, as the file of words has it.
        inputs: Without tooltips.
        outputs: Without names to show.
        more: What else the host's schema takes.

    Raises:
        KeyError: If the node, or one of its inputs or outputs, has no words.
    """
    words = WORDS[node_id]
    for each in inputs:
        each.tooltip = words["inputs"][each.id]["tooltip"]
    for place, output in enumerate(outputs):
        output.display_name = words["outputs"][str(place)]["name"]
    return io.Schema(
        node_id=node_id,
        display_name=words["display_name"],
        category=CATEGORY,
        description=words["description"],
        inputs=inputs,
        outputs=outputs,
        **more,
    )
