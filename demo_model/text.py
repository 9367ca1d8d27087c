"""Word-level text encoder of the demo model: one learned vector per known word and per position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_WORDS = 12
"""Length of every encoded prompt; one length for all keeps conds in one batch."""

TEXT_DIM = 64
PAD = 0


def split_words(text: str) -> list[str]:
    """Lower-case words of a prompt, letters only: "A red house!" gives a, red, house."""
    letters = "".join(c if c.isalpha() else " " for c in text.lower())
    return letters.split()


class WordTokenizer:
    """Maps a prompt to word indices; index 0 pads, unknown words are left out.

    Args:
        vocabulary: Known words; word ``i`` gets index ``i + 1``.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        self._index = {word: i + 1 for i, word in enumerate(self.vocabulary)}

    def encode(self, text: str) -> list[int]:
        """Indices of the known words in a prompt, cut or padded with 0 to the one length."""
        known = [self._index[w] for w in split_words(text) if w in self._index][:MAX_WORDS]
        return known + [PAD] * (MAX_WORDS - len(known))


class _WordTable(nn.Module):
    """One learned vector per word index."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(words, TEXT_DIM))

    def forward(self, indices: Tensor) -> Tensor:
        return F.embedding(indices, self.weight)


class WordEncoder(nn.Module):
    """Learned word and position vectors; the pooled output is the mean over real words."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.word = _WordTable(words + 1)
        self.position = nn.Parameter(torch.zeros(MAX_WORDS, TEXT_DIM))

    def forward(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes prompts.

        Args:
            indices: Word indices, ``(N, MAX_WORDS)``, int64.

        Returns:
            Per-word vectors ``(N, MAX_WORDS, TEXT_DIM)`` and pooled vectors ``(N, TEXT_DIM)``.
        """
        words = nn.functional.embedding(indices, self.word.weight)
        real = (indices != PAD).unsqueeze(-1).to(words.dtype)
        pooled = (words * real).sum(1) / real.sum(1).clamp(min=1.0)
        return words + self.position, pooled
