"""Trains the proving ground's ``unet``: ``python -m training.unet --minutes 60``.

The host's own UNet, noise prediction, on the demo model's drawn scenes at 48x48 pixels, those of
one thing: the project's own pictures. ``--start training/runs/unet/checkpoint.pt`` goes on after a
stop.
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.models.blocks import PictureBlocks
from benchmarks.models.ground_model import build_base
from benchmarks.models.unet import CHANNELS, FOLD, SHAPE, SIZE
from demo_model.text import WordTokenizer
from training.conditioned import Conditioned, eps_loss, initialise, zero
from training.drawn import Drawing, Drawn, run
from training.scenes import Scene, draw_scene, sample_scene, vocabulary

SHARE, FITTED = 1000, 1000
"""Pictures of a seed, and pictures that the linear map is fitted to."""


def trainable(scene: Scene) -> bool:
    """Whether a scene is one to train on; those of two things would need longer training."""
    return len(scene.things) == 1 and not scene.held_out()


def _draw_share(seed: int) -> tuple[np.ndarray, list[str]]:
    """Draws trainable scenes from one seed, which fixes the pictures."""
    rng = np.random.default_rng(seed)
    pictures, prompts = np.empty((SHARE, SIZE, SIZE, 3), np.uint8), []
    while len(prompts) < SHARE:
        scene = sample_scene(rng)
        if trainable(scene):
            drawn = Image.fromarray(draw_scene(scene, rng))
            pictures[len(prompts)] = drawn.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
            prompts.append(scene.prompt())
    return pictures, prompts


def draw_data(count: int, seed: int, workers: int) -> Drawn:
    """Latents ``(count, CHANNELS, H, W)`` of as many scenes."""
    with ProcessPoolExecutor(workers) as pool:
        drawn = list(pool.map(_draw_share, range(seed, seed + math.ceil(count / SHARE))))
    pictures = torch.from_numpy(np.concatenate([p for p, _ in drawn])).permute(0, 3, 1, 2)
    tokenizer = WordTokenizer(vocabulary())
    words = torch.tensor([tokenizer.encode(text) for _, texts in drawn for text in texts])
    pixels = pictures.float() / 127.5 - 1.0
    vae = PictureBlocks(CHANNELS, FOLD)
    vae.fit(pixels[:FITTED, :, None])
    return Drawn(vae, FITTED, vae.encode(pixels), words, vocabulary())


def build_model() -> Any:
    """The untrained base model of the host."""
    base = build_base(SHAPE)
    unet = base.diffusion_model
    initialise(unet)
    zero(unet.out[2])
    for name, layer in unet.named_modules():
        if name.endswith(("out_layers.3", "proj_out")):
            zero(layer)
    unet.to(memory_format=torch.channels_last)
    return base


def _loss(model: Conditioned, sampling: Any, x0: Tensor, words: Tensor) -> Tensor:
    return eps_loss(model, sampling, x0.to(memory_format=torch.channels_last), words)


if __name__ == "__main__":
    run(__doc__, Drawing("unet", "pictures", 20_000, draw_data, build_model, _loss))
