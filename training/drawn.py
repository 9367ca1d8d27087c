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


@dataclass(frozen=True)
class Drawn:
    """What is trained on.

    Attributes:
        vae: The linear map.
        fitted: How many pictures or videos it was fitted to.
        latents: ``(count, channels, ...)``.
        words: Their prompts as indices ``(count, L)``.
        vocabulary: Every word of a prompt, in a fixed order.
    """

    vae: Blocks
    fitted: int
    latents: Tensor
    words: Tensor
    vocabulary: list[str]


@dataclass(frozen=True)
class Drawing:
    """What is drawn, and what learns it.

    Attributes:
        name: The model's.
        what: What is drawn, in the plural.
        count: How many by default.
        draw: (count, seed, processes) -> what is trained on.
        build: The untrained base model of the host.
        loss: Of model, the host's noise levels, latents and words.
    """

    name: str
    what: str
    count: int
    draw: Callable[[int, int, int], Drawn]
    build: Callable[[], Any]
    loss: Callable[[Conditioned, Any, Tensor, Tensor], Tensor]


class DrawnTask:
    """Drawn latents and their prompts as the loop takes them."""

    def __init__(self, drawing: Drawing, drawn: Drawn) -> None:
        base = drawing.build()
        self.model = Conditioned(base, len(drawn.vocabulary))
        self.sampling, self.measure, self.drawn = base.model_sampling, drawing.loss, drawn

    def loss(self, batch: int) -> Tensor:
        """The loss of a random batch."""
        pick = torch.randint(len(self.drawn.latents), (batch,))
        x0 = self.drawn.latents[pick].to(self.model.device).float()
        return self.measure(self.model, self.sampling, x0, drop_words(self.drawn.words[pick]))

    def export(self, average: Conditioned, path: Path, steps: int) -> None:
        """Writes what is shipped: the model, and the linear map beside it."""
        from safetensors.torch import save_file

        export(average, path, {"vocabulary": self.drawn.vocabulary, "steps": steps})
        about = {ABOUT: json.dumps({"fitted": self.drawn.fitted})}
        vae = self.drawn.vae.state_dict()
        save_file(vae, str(path.with_name("vae.safetensors")), metadata=about)


def run(about: str, drawing: Drawing) -> None:
    """The command line of such a training; ``--help`` begins with the first line of ``about``."""
    parser = loop.parser(about.splitlines()[0], drawing.name)
    parser.add_argument(f"--{drawing.what}", dest="count", type=int, default=drawing.count)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import_host()
    drawn = drawing.draw(args.count, args.seed, args.threads)
    logger.info("drew %d %s", len(drawn.latents), drawing.what)
    task = DrawnTask(drawing, drawn)
    if args.weights is not None:
        load(task.model, args.weights, drawn.vocabulary)
    loop.train(task, loop.settings(args))
