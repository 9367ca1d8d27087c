"""OTCache: one node between a model and any sampler."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..otcache_core.documents.anchor import Anchor
from .library.choice import own_anchors
from .library.files import AUTOMATIC, GENERIC, fingerprint, open_anchor
from .library.learned import Memory
from .library.weights import weights_fingerprint
from .sampler import report
from .sampling.host import RunStatistics, apply_automatically
from .shared.declare import declare
from .shared.newer import FASTER, found_by
from .shared.news import HIDDEN, place_now, place_of, show_text
from .shared.types import AnchorType

FINE, AS_SAMPLED = "fine", "as sampled"
FIRST_PICTURES, EVERY_PICTURE, NEVER = "first pictures", "every picture", "never"


class Auto(io.ComfyNode):
    """A MODEL that samples with fewer calls in any sampler node, whatever the model is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.Model.Input("model"),
            io.Int.Input("calls", default=0, min=0, max=100, display_mode=io.NumberDisplay.slider),
            io.Combo.Input("grid", options=[FINE, AS_SAMPLED], default=FINE),
            AnchorType.Input("anchor", optional=True),
            io.Combo.Input(
                "learn",
                options=[FIRST_PICTURES, EVERY_PICTURE, NEVER],
                default=FIRST_PICTURES,
                optional=True,
            ),
        ]
        return declare(
            "OTCacheAuto",
            inputs,
            [io.Model.Output("cached_model")],
            hidden=HIDDEN,
            **found_by(*FASTER),
        )

    @classmethod
    def fingerprint_inputs(cls, **given: Any) -> str:
        # The host keeps the result, and an anchor of the model's own may come to be after it.
        return "" if "anchor" in given else fingerprint(AUTOMATIC)

    @classmethod
    def execute(
        cls,
        model: Any,
        calls: int,
        grid: str,
        anchor: Anchor | None = None,
        learn: str = FIRST_PICTURES,
    ) -> io.NodeOutput:
        place = place_of(cls.hidden)

        def show(done: RunStatistics) -> None:
            show_text(done.lines(), place_now(place), report(done))

        weights, generic = weights_fingerprint(model), open_anchor(GENERIC)
        memory = Memory(weights, generic, settles=learn != EVERY_PICTURE)
        cached = apply_automatically(
            model,
            generic,
            calls=calls,
            fine=grid == FINE,
            anchor=anchor,
            own=() if anchor is not None else own_anchors(weights),
            insist=anchor is not None,
            memory=memory if weights and learn != NEVER else None,
            on_finished=show,
        )
        return io.NodeOutput(cached)
