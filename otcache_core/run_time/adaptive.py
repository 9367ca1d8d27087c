"""Run time: an estimate that needs no calibration, because each run teaches itself.

Over the steps after a computed one the velocity changes along the slope and by how the prediction
of the clean picture drifts, as ``velocity.Slope`` has it. Here both coefficients are those that
would have foretold the velocity just computed from what was known at the computed step before it:
least squares of two unknowns, for each picture by itself, and for its sound as well where a latent
holds both: a video has a hundred times the numbers of its sound, which would have no say. Where
guidance overshoots and the model takes back, they come out negative within the first edges. Where
slopes go on as they came, the run follows them in full instead, see ``slope_trust``; and what an
edge's estimate turns out to have missed is put back on the edge after it.
"""
# Not in the paper. Five tensors of the latent's size are held, and nothing waits for a device.

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import OTCacheError
from .edge import NOTHING_HELD, Edge, denoised_from_velocity
from .own_coefficients import Computed, OwnCoefficients, drift_factor
from .slope_trust import SlopeTrust, foreseen_cosine

MOST_GROWTH = 2.0
"""A slope that is followed in full grows by no more than this, and never shrinks."""

PUT_BACK = 0.75
"""Share of what an edge has missed: to the end of the edge its slope is not quite straight."""


class Adaptive:
    """``v_t + (sigma - sigma_t) (a S_t + d q_t D_t)``, with a and d from the edge before.

    S is the slope of the last two computed velocities, D the prediction of the clean picture, and
    ``q = -2 / (sigma_t (sigma_s - sigma_t))`` makes d the share by which D grows on the way to s.
    The first edge holds the velocity, the second one knows d alone. To every step of an edge, the
    computed one too, comes the share of what the edge before missed that is put back.

    Args:
        streams: How many numbers each stream has, where the last dimension of latents holds
            several one after the other; a latent of another length is one stream.
        expected_cosine: What is known of how slopes go on, for ``SlopeTrust``.
        lengths: Of the first edge and the mean one, for ``foreseen_cosine``; ``None`` where the
            first edge is not to tell how slopes will go on.
    """

    def __init__(
        self,
        streams: tuple[int, ...] = (),
        expected_cosine: float | None = None,
        lengths: tuple[float, float] | None = None,
    ) -> None:
        self._own = OwnCoefficients(streams)
        self.trust = SlopeTrust(expected_cosine)
        self._lengths = lengths
        self._last: Computed | None = None
        self._gain: Tensor | None = None
        self._drift: Tensor | None = None
        self._change: Tensor | None = None
        self._base: Tensor | None = None

    def observe(self, sigma: float, x: Tensor, velocity: Tensor, edge: Edge) -> Tensor | None:
        before, span = self._last, edge.end - sigma
        factor = drift_factor(sigma, edge.end)
        denoised = denoised_from_velocity(x, velocity, sigma)
        slope = back = None
        if before is not None and sigma != before.sigma:
            slope = (velocity - before.velocity).div_(sigma - before.sigma)
            self._learn(before, slope)
            back = self._missed(before, slope, span)
        elif before is not None:
            # Samplers such as heun ask twice at one level; what was learned up to it still holds.
            slope, back = before.slope, self._put_back(before)
        self._base = velocity if back is None else velocity + back
        self._last = Computed(sigma, velocity, slope, denoised, factor, edge.moment)
        self._change = None
        if self._drift is not None and factor:
            change = denoised * self._own.spread(self._drift * factor)
            if self._gain is not None and slope is not None:
                change.addcmul_(slope, self._own.spread(self._gain))
            self._change = change.to(denoised.dtype)  # coefficients are in float32
        return back

    def _put_back(self, last: Computed) -> Tensor | None:
        """What this edge's velocities have beside the model's."""
        if self._base is None or self._base is last.velocity:
            return None
        return self._base - last.velocity

    def _missed(self, before: Computed, slope: Tensor, span: float) -> Tensor | None:
        """What the edge just ended missed, as a velocity over the whole of the edge that begins."""
        if not (before.moment and span and self._gain is not None):
            return None
        share = self.trust.next_order(self._gain) * (PUT_BACK * before.moment / span)
        missed = slope if self._change is None else slope - self._change
        return (missed * self._own.spread(share)).to(slope.dtype)

    def _learn(self, before: Computed, slope: Tensor) -> None:
        """Fits the coefficients of the last edge to the slope that it had in truth."""
        own = self._own.of(before, slope)
        full_gain = torch.ones_like(own.drift)
        if own.cosine is not None and own.size is not None and own.former_size is not None:
            self.trust.see(own.cosine)
            growth = _growth(own.size, own.former_size)
            full_gain = 1.0 + self.trust.next_order(own.gain) * (growth - 1.0)
        elif self._lengths is not None:
            self.trust.foresee(foreseen_cosine(own.drift, *self._lengths))
        share = self.trust.share(own.gain)
        self._gain = own.gain + share * (full_gain - own.gain)
        self._drift = own.drift * (1.0 - share)

    def estimate(self, sigma: float, sigma_next: float, x: Tensor) -> Tensor:
        if self._last is None or self._base is None:
            raise OTCacheError(NOTHING_HELD)
        if self._change is None:
            return self._base
        return self._base.add(self._change, alpha=sigma - self._last.sigma)

    def tensors(self) -> list[Tensor]:
        last = self._last
        computed = (last.velocity, last.slope, last.denoised) if last else ()
        return [t for t in (self._change, self._base, *computed) if t is not None]


def _growth(size: Tensor, former_size: Tensor) -> Tensor:
    """The gain of a slope that is followed in full: as it grew, so it goes on to grow."""
    ratio = torch.where(former_size > 0.0, size / former_size.clamp(min=1e-30), 1.0)
    return ratio.nan_to_num_(1.0, MOST_GROWTH, 1.0).clamp_(1.0, MOST_GROWTH)
