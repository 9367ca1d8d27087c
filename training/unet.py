"""Trains the proving ground's ``unet``: ``python -m training.unet --minutes 60``.

The host's own UNet, noise prediction, on the demo model's drawn scenes at 48x48 pixels, those of
one thing: the project's own pictures. ``--start training/runs/unet/checkpoint.pt`` goes on after a
stop.
"""

from __future__ import annotations

import json
import logging
import math
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.models.blocks import PictureBlocks
from benchmarks.models.ground_model import ABOUT, build_base
from benchmarks.models.unet import CHANNELS, FOLD, SHAPE, SIZE
from demo_model.text import WordTokenizer
from training import loop
from training.conditioned import Conditioned, drop_words, eps_loss, export, initialise, load, zero
from training.host import import_host
from training.scenes import Scene, draw_scene, sample_scene, vocabulary

logger = logging.getLogger("otcache.training")
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


def draw_data(count: int, seed: int, workers: int) -> tuple[PictureBlocks, Tensor, Tensor]:
    """The fitted map, latents ``(count, CHANNELS, H, W)`` and word indices ``(count, L)``."""
    with ProcessPoolExecutor(workers) as pool:
        drawn = list(pool.map(_draw_share, range(seed, seed + math.ceil(count / SHARE))))
    pictures = torch.from_numpy(np.concatenate([p for p, _ in drawn])).permute(0, 3, 1, 2)
    tokenizer = WordTokenizer(vocabulary())
    words = torch.tensor([tokenizer.encode(text) for _, texts in drawn for text in texts])
    pixels = pictures.float() / 127.5 - 1.0
    vae = PictureBlocks(CHANNELS, FOLD)
    vae.fit(pixels[:FITTED, :, None])
    return vae, vae.encode(pixels), words


def build_model() -> tuple[Conditioned, object]:
    """The untrained model, and the host's noise levels."""
    base = build_base(SHAPE)
    unet = base.diffusion_model
    initialise(unet)
    zero(unet.out[2])
    for name, layer in unet.named_modules():
        if name.endswith(("out_layers.3", "proj_out")):
            zero(layer)
    unet.to(memory_format=torch.channels_last)
    return Conditioned(base, len(vocabulary())), base.model_sampling


class UNetTask:
    """Scenes as the loop takes them."""

    def __init__(self, vae: PictureBlocks, latents: Tensor, words: Tensor) -> None:
        self.model, self.sampling = build_model()
        self.vae, self.latents, self.words = vae, latents, words

    def loss(self, batch: int) -> Tensor:
        """Noise prediction on a random batch."""
        pick = torch.randint(len(self.latents), (batch,))
        x0 = self.latents[pick].to(self.model.device, memory_format=torch.channels_last)
        return eps_loss(self.model, self.sampling, x0, drop_words(self.words[pick]))

    def export(self, average: Conditioned, path: Path, steps: int) -> None:
        """Writes what is shipped: the model, and the linear map beside it."""
        from safetensors.torch import save_file

        export(average, path, {"vocabulary": vocabulary(), "steps": steps})
        about = {ABOUT: json.dumps({"fitted": FITTED})}
        save_file(self.vae.state_dict(), str(path.with_name("vae.safetensors")), metadata=about)


def main() -> None:
    """Command line."""
    parser = loop.parser(__doc__.splitlines()[0], "unet")
    parser.add_argument("--pictures", type=int, default=20_000)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import_host()
    data = draw_data(args.pictures, args.seed, args.threads)
    logger.info("drew %d pictures", len(data[1]))
    task = UNetTask(*data)
    if args.weights is not None:
        load(task.model, args.weights, vocabulary())
    loop.train(task, loop.settings(args))


if __name__ == "__main__":
    main()
