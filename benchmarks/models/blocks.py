"""Latents from blocks of pixels: a linear map onto the directions in which blocks vary most.

A principal component analysis of blocks of frames by pixels. It stands where large models have the
encoder of a variational autoencoder: it takes seconds to fit and loses little of plain pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Blocks(torch.nn.Module):
    """Videos ``(N, 3, F, H, W)`` in [-1, 1] and latents ``(N, channels, F/time, H/fold, W/fold)``.

    Args:
        channels: How many numbers stand for a block.
        time: Frames of a block.
        fold: Pixels along one of its sides.
    """

    def __init__(self, channels: int, time: int, fold: int) -> None:
        super().__init__()
        total = 3 * time * fold**2
        self.channels, self.time, self.fold = channels, time, fold
        self.mean = torch.nn.Parameter(torch.zeros(total), requires_grad=False)
        self.basis = torch.nn.Parameter(torch.zeros(channels, total), requires_grad=False)
        self.scale = torch.nn.Parameter(torch.ones(channels), requires_grad=False)

    def blocks(self, pixels: Tensor) -> Tensor:
        """Pixels by block, ``(N, F/time, H/fold, W/fold, 3 time fold^2)``."""
        x = pixels.unflatten(4, (-1, self.fold)).unflatten(3, (-1, self.fold))
        return x.unflatten(2, (-1, self.time)).permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)

    def pixels(self, blocks: Tensor) -> Tensor:
        """The inverse of ``blocks``."""
        x = blocks.unflatten(-1, (3, self.time, self.fold, self.fold))
        return x.permute(0, 4, 1, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents of videos."""
        found = (self.blocks(pixels) - self.mean) @ self.basis.T * self.scale
        return found.movedim(-1, 1)

    def decode_blocks(self, latent: Tensor) -> Tensor:
        """Blocks of latents: what the directions leave out is missing."""
        return latent.movedim(1, -1) / self.scale @ self.basis + self.mean

    def decode(self, latent: Tensor) -> Tensor:
        """Videos of latents."""
        return self.pixels(self.decode_blocks(latent))

    @torch.no_grad()
    def fit(self, pixels: Tensor, whiten: float = 0.5) -> None:
        """Sets the map to the principal components of ``pixels``, latents of unit variance in all.

        Args:
            pixels: Videos ``(N, 3, F, H, W)``, also where pictures are meant.
            whiten: 1 gives every channel that variance; 0 leaves them as far apart as they are.
        """
        found = self.blocks(pixels).flatten(0, -2)
        self.mean.copy_(found.mean(0))
        _, vectors = torch.linalg.eigh(torch.cov((found - self.mean).T))
        self.basis.copy_(vectors[:, -self.channels :].flip(1).T)
        latent = (found - self.mean) @ self.basis.T
        self.scale.copy_(latent.std(0) ** -whiten)
        self.scale.div_((latent * self.scale).std())


class PictureBlocks(Blocks):
    """The same for pictures: ``(N, 3, H, W)`` and ``(N, channels, H/fold, W/fold)``."""

    def __init__(self, channels: int, fold: int) -> None:
        super().__init__(channels, 1, fold)

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents of pictures."""
        return super().encode(pixels[:, :, None])[:, :, 0]

    def decode(self, latent: Tensor) -> Tensor:
        """Pictures of latents."""
        return super().decode(latent[:, :, None])[:, :, 0]
