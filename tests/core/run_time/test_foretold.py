"""The slope estimate with a share of what the run itself foretells."""

import pytest
import torch
from torch import Tensor

from otcache_core.documents.schedule import Schedule
from otcache_core.errors import OTCacheError
from otcache_core.run_time.edge import Edge, denoised_from_velocity
from otcache_core.run_time.foretold import Foretold
from otcache_core.run_time.own_coefficients import RIDGE, Computed, OwnCoefficients, drift_factor
from otcache_core.run_time.velocity import Slope, VelocityCache

LEVELS = ((1.0, 0.8), (0.8, 0.5), (0.5, 0.2))
"""Noise levels where edges begin and end."""


def _tensor(seed: int, *shape: int) -> Tensor:
    shape = shape or (2, 4, 8, 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _change(estimator: Foretold | Slope, edges: list[Edge], steps: int = 3) -> Tensor:
    """What is added to the last of ``steps`` velocities of chance, over a unit of sigma."""
    for step, edge in enumerate(edges[:steps]):
        sigma = LEVELS[step][0]
        estimator.observe(sigma, _tensor(step), _tensor(10 + step), edge)
    velocity = _tensor(10 + steps - 1)
    begin = LEVELS[steps - 1][0]
    return (estimator.estimate(begin - 0.1, begin - 0.2, velocity) - velocity) / -0.1


def _edges(**last: float) -> list[Edge]:
    return [Edge(end=end) for _, end in LEVELS[:-1]] + [Edge(end=LEVELS[-1][1], **last)]


def _by_hand(steps: int) -> Tensor:
    """What is foretold where the last of ``steps`` edges begins, from normal equations."""
    velocities = [_tensor(10 + step) for step in range(steps)]
    denoised = [
        denoised_from_velocity(_tensor(step), velocities[step], LEVELS[step][0])
        for step in range(steps)
    ]
    slopes = [
        (velocities[step] - velocities[step - 1]) / (LEVELS[step][0] - LEVELS[step - 1][0])
        for step in range(1, steps)
    ]
    factors = [-2.0 / (begin * (end - begin)) for begin, end in LEVELS]
    drift = denoised[-2] * factors[steps - 2]
    known = [slopes[-2], drift] if steps > 2 else [drift]
    now = [slopes[-1], denoised[-1] * factors[steps - 1]][-len(known) :]
    change = torch.zeros_like(drift)
    for picture in range(len(drift)):
        rows = torch.stack([part[picture].flatten() for part in known]).double()
        square = rows @ rows.T
        held = square + RIDGE * torch.diag(torch.diagonal(square))
        found = torch.linalg.solve(held, rows @ slopes[-1][picture].flatten().double())
        found = found.clamp(-1.0, 1.0).float()
        change[picture] = sum(c * part[picture] for c, part in zip(found, now, strict=True))
    return change


def test_nothing_can_be_estimated_before_a_step_is_computed() -> None:
    with pytest.raises(OTCacheError, match="must be computed"):
        Foretold().estimate(1.0, 0.8, _tensor(0))


@pytest.mark.parametrize("gain", [1.0, 0.4, -0.7])
@pytest.mark.parametrize("factor", [0.0, -0.3])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_edges_without_a_share_are_those_of_the_slope_estimate(
    gain: float, factor: float, steps: int
) -> None:
    edges = [Edge(slope_gain=gain, denoised_factor=factor, end=end) for _, end in LEVELS]

    found, wanted = (_change(each, edges, steps) for each in (Foretold(), Slope()))

    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [2, 3])
def test_the_whole_share_is_what_would_have_foretold_the_last_velocity(steps: int) -> None:
    """For each picture by itself; on the second edge by the drift alone."""
    edges = [Edge(slope_gain=0.0, foretold=1.0, end=end) for _, end in LEVELS]

    torch.testing.assert_close(
        _change(Foretold(), edges, steps), _by_hand(steps), atol=1e-3, rtol=1e-3
    )


def test_it_is_added_to_gain_and_drift() -> None:
    known = {"slope_gain": 0.3, "denoised_factor": -0.2}
    without = _change(Slope(), _edges(**known))

    found = _change(Foretold(), _edges(**known, foretold=-0.6))

    torch.testing.assert_close(found, without - 0.6 * _by_hand(3), atol=1e-3, rtol=1e-3)


def test_slopes_that_bend_are_followed() -> None:
    """By the change from the slope before to the last one."""
    velocities = [_tensor(10 + step) for step in range(3)]
    former, last = (
        (velocities[step] - velocities[step - 1]) / (LEVELS[step][0] - LEVELS[step - 1][0])
        for step in (1, 2)
    )
    without = _change(Slope(), _edges(slope_gain=0.3))

    found = _change(Foretold(), _edges(slope_gain=0.3, bend=0.7))

    torch.testing.assert_close(found, without + 0.7 * (last - former), atol=1e-3, rtol=1e-3)


def test_a_second_edge_has_no_slope_to_have_bent() -> None:
    edges = [Edge(slope_gain=0.3, bend=0.7, end=end) for _, end in LEVELS]

    found, wanted = (_change(each, edges, 2) for each in (Foretold(), Slope()))

    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_the_first_edge_has_nothing_to_foretell_from() -> None:
    found = _change(Foretold(), [Edge(foretold=1.0, end=0.8)], steps=1)

    assert torch.equal(found, torch.zeros_like(found))


def test_a_second_call_at_one_level_changes_its_velocity_alone() -> None:
    estimator, edges = Foretold(), _edges(foretold=0.5)
    before = _change(estimator, edges)

    estimator.observe(LEVELS[2][0], _tensor(30), _tensor(31), edges[2])

    velocity = _tensor(31)
    change = (estimator.estimate(LEVELS[2][0] - 0.1, 0.2, velocity) - velocity) / -0.1
    torch.testing.assert_close(change, before, atol=1e-3, rtol=1e-3)


def test_sound_has_coefficients_of_its_own() -> None:
    """Packed behind a picture of a hundred times its numbers, it is as if it came alone."""
    sizes = (400, 4)
    packed = [_tensor(step, 2, 1, sum(sizes)) for step in range(3)]

    def found(own: OwnCoefficients, part: slice) -> list[Tensor]:
        denoised, former, slope = (each[..., part] for each in packed)
        of = own.of(Computed(1.0, former, former, denoised, drift_factor(1.0, 0.5)), slope)
        return [of.gain, of.drift]

    together = found(OwnCoefficients(sizes), slice(None))
    for place, part in enumerate((slice(0, 400), slice(400, 404))):
        alone = found(OwnCoefficients(), part)
        for both, one in zip(together, alone, strict=True):
            torch.testing.assert_close(both[..., place : place + 1], one)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bits_stay_16_bits(dtype: torch.dtype) -> None:
    estimator = Foretold()
    for step, (sigma, end) in enumerate(LEVELS):
        x, velocity = _tensor(step).to(dtype), _tensor(10 + step).to(dtype)
        estimator.observe(sigma, x, velocity, Edge(foretold=0.5, end=end))

    assert estimator.estimate(0.4, 0.3, x).dtype == dtype
    assert {tensor.dtype for tensor in estimator.tensors()} == {dtype}


def test_a_schedule_without_either_needs_none_of_it() -> None:
    """Two tensors are held for it, and four where something is foretold or bends."""
    sigmas, x = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0), _tensor(0)
    held = []
    for given in ({}, {"bend": (0.0, 0.0)}, {"foretold": (0.0, 0.3)}, {"bend": (0.0, 0.3)}):
        cache = VelocityCache(Schedule(5, (0, 2, 4), **given), sigmas)  # type: ignore[arg-type]
        for step in (0, 2):
            cache.observe(step, sigmas[step], x, _tensor(step + 1))
        held.append(cache.peak_bytes // x.nbytes)

    assert held[0] == held[1] == 2
    assert held[2] == held[3] == 4
