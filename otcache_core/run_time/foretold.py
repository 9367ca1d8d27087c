"""Run time: the slope estimate, with how slopes bend and what the run itself foretells.

Calibration fits one gain and one drift for all pictures. Pictures differ: where the slope of one
went on less than most on the edge that has ended, it will on the next one, too. The third
coefficient of an edge says how much to make of that. And where slopes change little by little they
change on, which the fourth one follows.
"""
# Not in the paper. Four tensors of the latent's size are held, and nothing waits for a device.

from __future__ import annotations

from torch import Tensor

from ..errors import OTCacheError
from .edge import NOTHING_HELD, Edge, denoised_from_velocity
from .own_coefficients import Computed, OwnCoefficients, drift_factor


class Foretold:
    """``v_t + (sigma - sigma_t) ((g + h a) S_t + b (S_t - S_r) + (f + h d q_t) D_t)``.

    g, f, h and b are the edge's own: slope gain, drift as a factor, share of what is foretold and
    bend. S is the slope of the last two computed velocities, S_r that of the two before, D the
    prediction of the clean picture, and a, d what would have foretold v_t at the computed step
    before, for each picture by itself.

    Args:
        streams: As ``own_coefficients.OwnCoefficients`` has them.
    """

    def __init__(self, streams: tuple[int, ...] = ()) -> None:
        self._own = OwnCoefficients(streams)
        self._last: Computed | None = None
        self._velocity: Tensor | None = None
        self._change: Tensor | None = None

    def observe(self, sigma: float, x: Tensor, velocity: Tensor, edge: Edge) -> None:
        before, self._velocity = self._last, velocity
        if before is not None and sigma == before.sigma:
            return  # samplers such as heun ask twice at one level: the change is the same
        slope: Tensor | None = None
        if before is not None:
            slope = (velocity - before.velocity).div_(sigma - before.sigma)
        denoised = denoised_from_velocity(x, velocity, sigma)
        factor = drift_factor(sigma, edge.end)
        change = denoised * edge.denoised_factor
        if slope is not None:
            change.add_(slope, alpha=edge.slope_gain)
        if before is not None and slope is not None and before.slope is not None and edge.bend:
            change.add_(slope - before.slope, alpha=edge.bend)
        if before is not None and slope is not None and edge.foretold:
            own, spread = self._own.of(before, slope), self._own.spread
            foretold = denoised * spread(own.drift * factor) + slope * spread(own.gain)
            change.add_(foretold.to(change.dtype), alpha=edge.foretold)
        self._last = Computed(sigma, velocity, slope, denoised, factor)
        self._change = change

    def estimate(self, sigma: float, sigma_next: float, x: Tensor) -> Tensor:
        if self._velocity is None or self._change is None or self._last is None:
            raise OTCacheError(NOTHING_HELD)
        return self._velocity.add(self._change, alpha=sigma - self._last.sigma)

    def tensors(self) -> list[Tensor]:
        last = self._last
        known = (last.velocity, last.slope, last.denoised) if last else ()
        return [t for t in (self._velocity, self._change, *known) if t is not None]
