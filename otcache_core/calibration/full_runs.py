"""What the full runs of a calibration leave behind, one file per prompt: costs, states, pictures.

A calibration that is queued again finds them and runs the model no second time; so do workers that
share the folder.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..estimate.open_loop import run_products
from ..graph import LOOK_BACKS, PairCosts, TripleCosts
from ..trajectory import Trajectory, sample_elements
from ..whole_file import whole_file

logger = logging.getLogger("otcache")

MAX_FRAMES = 16
"""Frames of a video that candidates are compared on: 44 MB a prompt at 1280x720."""

MAX_STATE_ELEMENTS = 1 << 14
"""Elements of each state that gains are fitted on: 3 MB a prompt at 50 steps."""


@dataclass(frozen=True)
class FullRun:
    """One prompt's full run.

    Attributes:
        sigmas: Noise levels, ``(T + 1,)``.
        pairs: Costs over pairs for each K of ``graph.LOOK_BACKS``, ``(K, T, T + 1)``.
        triples: Costs over triples, ``(T, T, T + 1)``.
        products: Products of its states and velocities; see ``estimate.open_loop``.
        states: Elements of the state before each step and after the last, ``(T + 1, elements)``;
            the same ones as ``state_elements`` takes.
        picture: Its pictures or frames, ``(N, H, W, 3)``, 8 bit.
    """

    sigmas: NDArray[np.float64]
    pairs: NDArray[np.float32]
    triples: NDArray[np.float32]
    products: NDArray[np.float64]
    states: NDArray[np.float32]
    picture: NDArray[np.uint8]

    @classmethod
    def of(cls, trajectory: Trajectory, picture: NDArray[np.uint8]) -> FullRun:
        """Costs and states of a trajectory beside its picture."""
        steps = trajectory.steps
        pairs = PairCosts(steps, LOOK_BACKS).of(trajectory)
        triples = TripleCosts(steps).of(trajectory)
        products = run_products(trajectory)
        return cls(trajectory.sigmas, pairs, triples, products, _thinned(trajectory.x), picture)


def _thinned(elements: NDArray[np.float32]) -> NDArray[np.float32]:
    """Some elements of the last axis, evenly spaced: as many as are kept at most."""
    return elements[..., :: -(-elements.shape[-1] // MAX_STATE_ELEMENTS)].copy()


def state_elements(x: Tensor) -> NDArray[np.float32]:
    """The elements of a latent that ``FullRun.states`` keeps."""
    return _thinned(sample_elements(x).numpy())


class FullRuns:
    """The full runs of one calibration, by prompt.

    Args:
        folder: Where they are kept, or ``None`` for memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._memory: dict[int, FullRun] = {}

    def _file(self, folder: Path, prompt: int) -> Path:
        return folder / f"prompt_{prompt:04}.npz"

    def get(self, prompt: int) -> FullRun | None:
        """A prompt's full run, or ``None`` if there is none yet or its file is damaged."""
        if self._folder is None:
            return self._memory.get(prompt)
        path = self._file(self._folder, prompt)
        try:
            with np.load(path, allow_pickle=False) as parts:
                return FullRun(*(parts[name] for name in FullRun.__dataclass_fields__))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("OTCache: %s is damaged and is made anew: %s", path.name, error)
            return None

    def picture(self, prompt: int) -> NDArray[np.uint8]:
        """The picture of a prompt whose full run is there."""
        picture: NDArray[np.uint8] = self._part(prompt, "picture")
        return picture

    def states(self, prompt: int) -> NDArray[np.float32]:
        """The states of a prompt whose full run is there."""
        states: NDArray[np.float32] = self._part(prompt, "states")
        return states

    def _part(self, prompt: int, name: str) -> NDArray[Any]:
        if self._folder is None:
            part: NDArray[Any] = vars(self._memory[prompt])[name]
            return part
        with np.load(self._file(self._folder, prompt), allow_pickle=False) as parts:
            part = parts[name]
        return part

    def put(self, prompt: int, run: FullRun) -> None:
        """Keeps a prompt's full run; a reader sees the whole file or none."""
        if self._folder is None:
            self._memory[prompt] = run
            return
        with whole_file(self._file(self._folder, prompt)) as file:
            np.savez(file, **vars(run))


def evenly(frames: int, most: int = MAX_FRAMES) -> list[int]:
    """Indices of at most ``most`` frames, evenly spaced, the first and the last among them."""
    if frames <= most:
        return list(range(frames))
    return [round(i * (frames - 1) / (most - 1)) for i in range(most)]


def rotated(count: int, start: int) -> Iterator[int]:
    """0 to ``count - 1``, beginning at ``start``: workers that begin apart share the full runs."""
    return ((start + i) % count for i in range(count))
