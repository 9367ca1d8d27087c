"""Trains the proving ground's ``latent``: ``python -m training.latent --minutes 60``.

The host's own MMDiT of Stable Diffusion 3, flow matching on the latents of ``training.vae`` (train
that first), on shaded emoji with their names. ``--start training/runs/latent/checkpoint.pt`` goes
on after a stop.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.models.ground_model import build_base, read_weights
from benchmarks.models.latent import HIDDEN, SHAPE, BlockVAE
from demo_model.text import WordTokenizer
from training import emoji, loop
from training.conditioned import Conditioned, drop_words, export, flow_loss, initialise, load, zero
from training.host import import_host

logger = logging.getLogger("otcache.training")
Pairs = list[tuple[int, int]]
"""Emoji and background, by position in their lists."""


def pairs(count: int) -> tuple[Pairs, Pairs]:
    """All pairs of ``count`` emoji and a background: those to train on, and the held-out ones."""
    every = [(i, j) for i in range(count) for j in range(len(emoji.BACKGROUNDS))]
    kept = [pair for pair in every if emoji.held_out(*pair)]
    return [pair for pair in every if not emoji.held_out(*pair)], kept


@torch.no_grad()
def encode(vae: BlockVAE, pictures: Tensor, chosen: Pairs, seed: int) -> Tensor:
    """Latents of one drawing of each pair, float16."""
    torch.manual_seed(seed)
    table = torch.tensor(list(emoji.BACKGROUNDS.values())).float()
    latents = []
    for some in torch.tensor(chosen).split(64):
        pixels = emoji.compose(pictures[some[:, 0]], *emoji.jitter(table[some[:, 1]]))
        latents.append(vae.encode(pixels).half())
    return torch.cat(latents)


def word_indices(names: tuple[str, ...], chosen: Pairs) -> Tensor:
    """The prompts of pairs for the model, ``(N, L)``."""
    tokenizer, grounds = WordTokenizer(emoji.vocabulary(names)), list(emoji.BACKGROUNDS)
    return torch.tensor([tokenizer.encode(emoji.prompt(names[i], grounds[j])) for i, j in chosen])


def build_model() -> Any:
    """The untrained base model of the host."""
    base = build_base(SHAPE)
    mmdit = base.diffusion_model
    initialise(mmdit)
    for name, layer in mmdit.named_modules():
        if name.endswith(("adaLN_modulation.1", "final_layer.linear")):
            zero(layer)
    mmdit.pos_embed.copy_(_positions(mmdit))
    return base


def _positions(mmdit: nn.Module) -> Tensor:
    from comfy.ldm.modules.diffusionmodules.mmdit import get_2d_sincos_pos_embed

    side = mmdit.pos_embed_max_size
    table = get_2d_sincos_pos_embed(HIDDEN, side)
    return torch.from_numpy(table).float().unsqueeze(0)


class LatentTask:
    """Emoji on backgrounds as the loop takes them."""

    def __init__(self, names: tuple[str, ...], latents: Tensor, words: Tensor, vae: Path) -> None:
        self.vocabulary = emoji.vocabulary(names)
        base = build_model()
        self.model = Conditioned(base, len(self.vocabulary), pooled=True)
        self.sampling = base.model_sampling
        self.latents, self.words, self.vae = latents, words, vae

    def loss(self, batch: int) -> Tensor:
        """Flow matching on a random batch."""
        pick = torch.randint(len(self.latents), (batch,))
        x0 = self.latents[pick].to(self.model.device).float()
        words = drop_words(self.words[pick % len(self.words)])
        return flow_loss(self.model, self.sampling, x0, words)

    def export(self, average: Conditioned, path: Path, steps: int) -> None:
        """Writes what is shipped: the model, and its VAE beside it."""
        export(average, path, {"vocabulary": self.vocabulary, "steps": steps})
        shutil.copyfile(self.vae, path.with_name("vae.safetensors"))


def load_data(folder: Path, vae_file: Path, drawings: int, seed: int) -> LatentTask:
    """The task with every trainable pair drawn ``drawings`` times."""
    named, _ = emoji.load(folder)
    vae = BlockVAE()
    vae.load_state_dict(read_weights(vae_file)[0])
    chosen, _ = pairs(len(named.names))
    latents = [encode(vae, named.pictures, chosen, seed + k) for k in range(drawings)]
    words = word_indices(named.names, chosen)
    return LatentTask(named.names, torch.cat(latents), words, vae_file)


def main() -> None:
    """Command line."""
    parser = loop.parser(__doc__.splitlines()[0], "latent")
    parser.add_argument("--data", type=Path, default=loop.RUNS / "emoji")
    parser.add_argument("--vae", type=Path, default=loop.RUNS / "vae" / loop.WEIGHTS)
    parser.add_argument("--drawings", type=int, default=2, help="of each pair")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import_host()
    torch.set_num_threads(args.threads)
    task = load_data(args.data, args.vae, args.drawings, args.seed)
    if args.weights is not None:
        load(task.model, args.weights, task.vocabulary)
    logger.info("encoded %d pictures", len(task.latents))
    loop.train(task, loop.settings(args))


if __name__ == "__main__":
    main()
