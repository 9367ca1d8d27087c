"""Trains the autoencoder of the proving ground's ``latent``: ``python -m training.vae``.

Its linear encoder is fitted to emoji over plain colours of any kind, in seconds; its decoder then
learns what that leaves out, by absolute error of pixels and of their differences, on latents with a
little noise. The encoder does not change: ``training.latent`` can begin at the first checkpoint.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.models.ground_model import ABOUT
from benchmarks.models.latent import BlockVAE
from training import emoji, loop
from training.conditioned import zero
from training.host import import_host

EDGES, NOISE = 0.5, 0.04
"""Weight of the differences between neighbours; noise of the latents, whose variance is 1."""


def _differences(x: Tensor) -> list[Tensor]:
    return [x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]]


def vae_loss(vae: BlockVAE, pixels: Tensor) -> Tensor:
    """Loss of one batch of pictures ``(N, 3, H, W)`` in [-1, 1]."""
    latent = vae.encode(pixels)
    decoded = vae.decode(latent + NOISE * torch.randn_like(latent))
    pairs = zip(_differences(decoded), _differences(pixels), strict=True)
    edges = sum((a - b).abs().mean() for a, b in pairs)
    return (decoded - pixels).abs().mean() + EDGES * edges


class VaeTask:
    """Emoji of all kinds as the loop takes them."""

    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures
        self.model = BlockVAE()
        self.model.linear.fit(self.batch(1000)[:, :, None], whiten=0.0)
        zero(self.model.outward)

    def batch(self, size: int) -> Tensor:
        """Random pictures on random backgrounds, ``(size, 3, H, W)``."""
        pick = torch.randint(len(self.pictures), (size,))
        table = torch.tensor(list(emoji.BACKGROUNDS.values())).float()
        named = table[torch.randint(len(table), (size,))]
        colours = torch.where(torch.rand(size, 1) < 0.25, torch.rand(size, 3) * 255, named)
        return emoji.compose(self.pictures[pick], *emoji.jitter(colours))

    def loss(self, batch: int) -> Tensor:
        """The autoencoder's loss on a random batch."""
        return vae_loss(self.model, self.batch(batch).to(self.model.linear.mean.device))

    def export(self, average: nn.Module, path: Path, steps: int) -> None:
        """Writes what is shipped."""
        from safetensors.torch import save_file

        half = {name: tensor.half().contiguous() for name, tensor in average.state_dict().items()}
        save_file(half, str(path), metadata={ABOUT: json.dumps({"steps": steps})})


def main() -> None:
    """Command line."""
    parser = loop.parser(__doc__.splitlines()[0], "vae", batch=16)
    parser.add_argument("--data", type=Path, default=loop.RUNS / "emoji")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import_host()
    _, pictures = emoji.load(args.data)
    loop.train(VaeTask(pictures), loop.settings(args))


if __name__ == "__main__":
    main()
