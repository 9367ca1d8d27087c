"""Trains the proving ground's ``video``: ``python -m training.video --minutes 60``.

The host's own Wan transformer, flow matching, on short scenes that the project draws itself. The
linear map between videos and latents is fitted to the scenes first. ``--start
training/runs/video/checkpoint.pt`` goes on after a stop.
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.models.blocks import Blocks
from benchmarks.models.ground_model import build_base
from benchmarks.models.video import CHANNELS, FOLD, SHAPE, TIME
from demo_model.text import WordTokenizer
from training.conditioned import flow_loss, initialise, zero
from training.drawn import Drawing, Drawn, run
from training.moving import draw_move, trainable, vocabulary

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


def draw_data(count: int, seed: int, workers: int) -> Drawn:
    """Latents ``(count, CHANNELS, T, H, W)`` of as many scenes."""
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
    return Drawn(vae, FITTED, torch.cat(latents), torch.tensor(words), vocabulary())


def build_model() -> Any:
    """The untrained base model of the host."""
    base = build_base(SHAPE)
    wan = base.diffusion_model
    initialise(wan)
    for block in wan.blocks:
        nn.init.normal_(block.modulation, std=wan.dim**-0.5)
    nn.init.normal_(wan.head.modulation, std=wan.dim**-0.5)
    zero(wan.head.head)
    return base


if __name__ == "__main__":
    run(__doc__, Drawing("video", "videos", 5_000, draw_data, build_model, flow_loss))
