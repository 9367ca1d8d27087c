"""Training on what the project draws itself, as latents of a linear map that was fitted to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.models.blocks import Blocks
from benchmarks.models.ground_model import ABOUT
from training import loop
from training.conditioned import Conditioned, drop_words, export, load
from training.host import import_host

logger = logging.getLogger("otcache.training")

Drawn = tuple[Blocks, Tensor, Tensor]
"""The fitted map, latents ``(count, channels, ...)`` and word indices ``(count, L)``."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn, and what learns it.

    Attributes:
        name: The model's.
        what: What is drawn, in the plural.
        count: How many by default.
        vocabulary: Every word of a prompt, in a fixed order.
        fitted: How many the map is fitted to.
        draw: (count, seed, processes) -> what is trained on.
        build: The untrained model, and the host's noise levels.
        loss: Of model, noise levels, latents and words.
    """

    name: str
    what: str
    count: int
    vocabulary: list[str]
    fitted: int
    draw: Callable[[int, int, int], Drawn]
    build: Callable[[], tuple[Conditioned, Any]]
    loss: Callable[[Conditioned, Any, Tensor, Tensor], Tensor]


class DrawnTask:
    """Drawn latents and their prompts as the loop takes them."""

    def __init__(self, drawing: Drawing, drawn: Drawn) -> None:
        self.drawing = drawing
        self.model, self.sampling = drawing.build()
        self.vae, self.latents, self.words = drawn

    def loss(self, batch: int) -> Tensor:
        """The loss of a random batch."""
        pick = torch.randint(len(self.latents), (batch,))
        x0 = self.latents[pick].to(self.model.device).float()
        return self.drawing.loss(self.model, self.sampling, x0, drop_words(self.words[pick]))

    def export(self, average: Conditioned, path: Path, steps: int) -> None:
        """Writes what is shipped: the model, and the linear map beside it."""
        from safetensors.torch import save_file

        export(average, path, {"vocabulary": self.drawing.vocabulary, "steps": steps})
        about = {ABOUT: json.dumps({"fitted": self.drawing.fitted})}
        save_file(self.vae.state_dict(), str(path.with_name("vae.safetensors")), metadata=about)


def run(about: str, drawing: Drawing) -> None:
    """The command line of such a training; ``about`` is what ``--help`` says of it."""
    parser = loop.parser(about, drawing.name)
    parser.add_argument(f"--{drawing.what}", dest="count", type=int, default=drawing.count)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import_host()
    drawn = drawing.draw(args.count, args.seed, args.threads)
    logger.info("drew %d %s", len(drawn[1]), drawing.what)
    task = DrawnTask(drawing, drawn)
    if args.weights is not None:
        load(task.model, args.weights, drawing.vocabulary)
    loop.train(task, loop.settings(args))
