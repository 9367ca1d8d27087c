"""Trains the proving ground's ``video``: ``python -m training.video --minutes 60``.

The host's own Wan transformer, flow matching, on short scenes that the project draws itself. The
linear map between videos and latents is fitted to the scenes first. ``--start
training/runs/video/checkpoint.pt`` goes on after a stop.
"""

from __future__ import annotations

import json
import logging
import math
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.models.blocks import Blocks
from benchmarks.models.ground_model import ABOUT, build_base
from benchmarks.models.video import CHANNELS, FOLD, SHAPE, TIME
from demo_model.text import WordTokenizer
from training import loop
from training.conditioned import Conditioned, drop_words, export, flow_loss, initialise, load, zero
from training.host import import_host
from training.moving import draw_move, trainable, vocabulary

logger = logging.getLogger("otcache.training")
SHARE = 500
FITTED = 500
"""Videos that the linear map is fitted to."""


def _draw_share(seed: int) -> tuple[np.ndarray, list[str]]:
    """Draws trainable scenes from one seed, which fixes the pictures."""
    rng = np.random.default_rng(seed)
    moves = [move for move, _ in zip(trainable(rng), range(SHARE), strict=False)]
    return np.stack([draw_move(move, rng) for move in moves]), [m.prompt() for m in moves]


def _pixels(videos: np.ndarray) -> Tensor:
    return torch.from_numpy(videos).float().permute(0, 4, 1, 2, 3) / 127.5 - 1


def draw_data(count: int, seed: int, workers: int) -> tuple[Blocks, Tensor, Tensor]:
    """The fitted map, latents ``(count, CHANNELS, T, H, W)`` and word indices ``(count, L)``."""
    vae = Blocks(CHANNELS, TIME, FOLD)
    latents: list[Tensor] = []
    words: list[list[int]] = []
    tokenizer = WordTokenizer(vocabulary())
    with ProcessPoolExecutor(workers) as pool:
        for videos, prompts in pool.map(_draw_share, range(seed, seed + math.ceil(count / SHARE))):
            if not latents:
                vae.fit(_pixels(videos[:FITTED]))
            latents.append(vae.encode(_pixels(videos)).half())
            words += [tokenizer.encode(text) for text in prompts]
    return vae, torch.cat(latents), torch.tensor(words)


def build_model() -> tuple[Conditioned, object]:
    """The untrained model, and the host's noise levels."""
    base = build_base(SHAPE)
    wan = base.diffusion_model
    initialise(wan)
    for block in wan.blocks:
        nn.init.normal_(block.modulation, std=wan.dim**-0.5)
    nn.init.normal_(wan.head.modulation, std=wan.dim**-0.5)
    zero(wan.head.head)
    return Conditioned(base, len(vocabulary())), base.model_sampling


class VideoTask:
    """Videos as the loop takes them."""

    def __init__(self, vae: Blocks, latents: Tensor, words: Tensor) -> None:
        self.model, self.sampling = build_model()
        self.vae, self.latents, self.words = vae, latents, words

    def loss(self, batch: int) -> Tensor:
        """Flow matching on a random batch."""
        pick = torch.randint(len(self.latents), (batch,))
        x0 = self.latents[pick].to(self.model.device).float()
        return flow_loss(self.model, self.sampling, x0, drop_words(self.words[pick]))

    def export(self, average: Conditioned, path: Path, steps: int) -> None:
        """Writes what is shipped: the model, and the linear map beside it."""
        from safetensors.torch import save_file

        export(average, path, {"vocabulary": vocabulary(), "steps": steps})
        about = {ABOUT: json.dumps({"fitted": FITTED})}
        save_file(self.vae.state_dict(), str(path.with_name("vae.safetensors")), metadata=about)


def main() -> None:
    """Command line."""
    parser = loop.parser(__doc__.splitlines()[0], "video")
    parser.add_argument("--videos", type=int, default=5_000)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import_host()
    data = draw_data(args.videos, args.seed, args.threads)
    logger.info("drew %d videos", len(data[1]))
    task = VideoTask(*data)
    if args.weights is not None:
        load(task.model, args.weights, vocabulary())
    loop.train(task, loop.settings(args))


if __name__ == "__main__":
    main()
