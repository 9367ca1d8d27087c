"""The schedules that MeanCache's authors published, as facts: steps and look-backs, T = 50.

Source: the inference scripts of https://github.com/UnicomAI/MeanCache (arXiv 2601.19961). A
look-back of 1 is plain reuse, or a neighbour, which needs none. They were calibrated by their
authors on the named models with Euler, and nobody has verified them in ComfyUI.
"""

from __future__ import annotations

from dataclasses import dataclass

STEPS = 50


@dataclass(frozen=True)
class Published:
    """One model's published schedules: budget -> (computed steps, look-back of each edge)."""

    preset: str
    model: str
    architecture: str
    size: tuple[int, int]
    schedules: dict[int, tuple[tuple[int, ...], tuple[int, ...]]]


def _first(count: int) -> tuple[int, ...]:
    return tuple(range(count))


def _ones(count: int) -> tuple[int, ...]:
    return (1,) * count


PUBLISHED = (
    Published("z-image", "Z-Image", "ZImage", (720, 1280), {
        25: (
            (*_first(7), 8, 10, 11, 12, 13, 15, 16, 17, 18, 20, 22, 29, 37, 42, 45, 47, 48, 49),
            (*_ones(6), 2, 2, 1, 1, 1, 2, 1, 1, 1, 5, 5, 1, 1, 1, 5, 5, 1, 1),
        ),
        20: (
            (*_first(5), 6, 8, 10, 12, 14, 16, 18, 20, 22, 30, 38, 43, 46, 48, 49),
            (*_ones(4), 2, 2, 2, 2, 2, 5, 4, 5, 5, 1, 1, 1, 5, 2, 1),
        ),
        17: (
            (*_first(5), 6, 8, 10, 12, 14, 19, 27, 35, 43, 46, 48, 49),
            (*_ones(4), 2, 2, 2, 2, 2, 1, 1, 1, 1, 5, 2, 1),
        ),
        15: (
            (*_first(4), 5, 7, 10, 12, 17, 25, 33, 41, 45, 48, 49),
            (*_ones(3), 2, 2, 2, 2, 1, 1, 1, 1, 5, 4, 1),
        ),
        13: (
            (*_first(4), 5, 9, 15, 22, 29, 36, 43, 47, 49),
            (*_ones(3), 2, 1, 1, 1, 1, 1, 1, 5, 2),
        ),
    }),
    Published("qwen-image", "Qwen-Image", "QwenImage", (1664, 928), {
        25: ((*_first(17), 24, 32, 40, 43, 45, 47, 48, 49), (*_ones(19), 5, 5, 5, 1, 1)),
        17: ((*_first(9), 10, 17, 24, 31, 38, 45, 48, 49), (*_ones(8), 2, *_ones(5), 4, 1)),
        10: ((0, 1, 3, 7, 14, 21, 28, 35, 42, 49), (1, 2, *_ones(6), 4)),
    }),
    Published("qwen-image-2512", "Qwen-Image-2512", "QwenImage", (1664, 928), {
        25: (
            (*_first(16), 23, 31, 37, 44, 45, 46, 47, 48, 49),
            (*_ones(15), 2, 2, 2, 1, 1, 1, 5, 5, 1),
        ),
        17: ((*_first(10), 11, 19, 27, 35, 43, 47, 49), (*_ones(9), 2, 1, 1, 1, 1, 5, 5)),
        10: ((0, 2, 4, 7, 14, 21, 28, 35, 42, 49), (1, 3, *_ones(6), 4)),
    }),
)  # fmt: skip
