"""Which step an evaluation belongs to: by what the sampler reports, or by its noise level."""

from __future__ import annotations

import torch

from ...otcache_core.run_time.run_plan import same_sigma, step_of_sigma


class Steps:
    """Tells the step of each evaluation, without waiting for a GPU where the sampler tells it.

    Reading a noise level from a GPU waits for all work given to it. But samplers report each step
    they have done, for the progress bar. Of one that is known to ask once a step, at the step's own
    level, the report says which step comes next, and nothing is read.

    Args:
        sigmas: The run's noise levels.
        reported: Whether the sampler is known to do so.
    """

    def __init__(self, sigmas: tuple[float, ...], *, reported: bool) -> None:
        self._sigmas, self._reported = sigmas, reported
        self._next, self._last = 0, -1
        self.between = False
        """Whether an evaluation was between the levels of two steps."""

    def done(self, step: int) -> None:
        """Takes the sampler's report that a step is done."""
        self._next = step + 1

    def locate(self, timestep: torch.Tensor) -> tuple[int, float]:
        """Step index and noise level of the next evaluation."""
        # Reports that stay away or begin anew are not a sampler's own: then levels tell.
        self._reported = self._reported and self._last < self._next < len(self._sigmas) - 1
        if self._reported:
            self._last = self._next
            return self._next, self._sigmas[self._next]
        sigma = float(timestep.reshape(-1)[0])
        step = step_of_sigma(sigma, self._sigmas)
        # A level that was computed anew is the same one: no slope lies between the two.
        own = self._sigmas[step]
        if same_sigma(own, sigma):
            return step, own
        self.between = True
        return step, sigma
