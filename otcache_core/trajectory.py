"""What one full sampling run leaves for stage 1: its states and velocities."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import OTCacheError
from .run_time.velocity import velocity_from_denoised

DEFAULT_MAX_ELEMENTS = 1 << 16
"""Latent elements recorded per run: edge costs are means over elements, which a random sample gives
to within one percent, and a video of 50 steps is held in 27 MB."""


@dataclass(frozen=True)
class Trajectory:
    """One full run.

    Attributes:
        sigmas: Noise levels, ``(T + 1,)``, descending.
        x: States before each step and after the last, ``(T + 1, elements)``, float32.
        velocity: Velocities of each step, ``(T, elements)``, float32.
    """

    sigmas: NDArray[np.float64]
    x: NDArray[np.float32]
    velocity: NDArray[np.float32]

    @property
    def steps(self) -> int:
        """Number of steps, T."""
        return len(self.velocity)


def sample_elements(values: Tensor, max_elements: int = DEFAULT_MAX_ELEMENTS) -> Tensor:
    """A latent's elements in one row, ``(elements,)``: all, or always the same random ones.

    Args:
        values: Any shape.
        max_elements: Bound on what is kept.

    Returns:
        A float32 copy on the CPU.
    """
    flat = values.detach().reshape(-1)
    if flat.numel() > max_elements:
        flat = flat[_pick(flat.numel(), max_elements).to(flat.device)]
    return flat.to("cpu", torch.float32, copy=True)


@lru_cache(maxsize=4)
def _pick(elements: int, kept: int) -> Tensor:
    return torch.randperm(elements, generator=torch.Generator().manual_seed(0))[:kept]


@dataclass
class TrajectoryRecorder:
    """Collects a ``Trajectory`` from a running Euler sampler, one step at a time.

    Args:
        sigmas: The run's ``T + 1`` noise levels.
        max_elements: Bound on the latent elements kept; see ``sample_elements``.
    """

    sigmas: tuple[float, ...]
    max_elements: int = DEFAULT_MAX_ELEMENTS
    _x: list[Tensor] = field(default_factory=list, repr=False)
    _velocity: list[Tensor] = field(default_factory=list, repr=False)

    def _refuse(self, evaluations: str) -> NoReturn:
        raise OTCacheError(
            f"a trajectory must have one evaluation per step ({len(self.sigmas) - 1}) but has "
            f'{evaluations}: calibrate with a one-evaluation sampler such as "euler".'
        )

    def add(self, x: Tensor, denoised: Tensor) -> None:
        """Records the next step: its state and the model's ``denoised``, of one shape.

        Raises:
            OTCacheError: If every step has been recorded already.
        """
        if len(self._x) == len(self.sigmas) - 1:
            self._refuse(f"more than {len(self._x)}")
        sigma = self.sigmas[len(self._x)]
        velocity = velocity_from_denoised(x, denoised, sigma)
        self._x.append(sample_elements(x, self.max_elements))
        self._velocity.append(sample_elements(velocity, self.max_elements))

    def finish(self) -> Trajectory:
        """The finished trajectory.

        The last state follows from the last velocity by Euler's rule.

        Raises:
            OTCacheError: If steps are missing or a value is not finite.
        """
        steps = len(self.sigmas) - 1
        if len(self._x) != steps:
            self._refuse(str(len(self._x)))
        last = self._x[-1] + self._velocity[-1] * (self.sigmas[-1] - self.sigmas[-2])
        x = torch.stack([*self._x, last]).numpy()
        velocity = torch.stack(self._velocity).numpy()
        if not (np.isfinite(x).all() and np.isfinite(velocity).all()):
            raise OTCacheError(
                "the model's output must be finite but holds NaN or infinity in the full run: "
                "check the model and its precision before calibrating."
            )
        return Trajectory(np.asarray(self.sigmas, dtype=np.float64), x, velocity)
