import gc
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from otcache_core.documents.schedule import ESTIMATORS, Schedule
from otcache_core.errors import OTCacheError
from otcache_core.run_time.adaptive import Adaptive
from otcache_core.run_time.velocity import (
    VelocityCache,
    denoised_factor,
    denoised_from_velocity,
    velocity_from_denoised,
)

# Steps 2, 4 and 5 are skipped.
STEPS = 7
SIGMAS = (1.0, 0.9, 0.75, 0.5, 0.375, 0.25, 0.125, 0.0)
COMPUTED = (0, 1, 3, 6)
LOOK_BACK = (1, 2, 3)

KINDS = [*ESTIMATORS, "fitted slope", "stochastic"]


def _cache(kind: str, look_back: tuple[int, ...] = LOOK_BACK) -> VelocityCache:
    if kind == "stochastic":
        return VelocityCache(Schedule(STEPS, COMPUTED), SIGMAS, stochastic=True)
    if kind == "fitted slope":
        gains, drifts = (1.0, 0.5, -0.75), (0.1, 0.3, -0.2)
        return VelocityCache(Schedule(STEPS, COMPUTED, slope_gain=gains, drift=drifts), SIGMAS)
    return VelocityCache(Schedule(STEPS, COMPUTED, kind, look_back), SIGMAS)


def _noise(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def _model(step: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return _noise(shape, 100 + step, dtype)


def _run(
    cache: VelocityCache, shape: tuple[int, ...], dtype: torch.dtype, *, spoil: bool = False
) -> list[Tensor]:
    """What a sampler gets at the skipped steps; ``spoil`` overwrites all that it had in hand."""
    got = []
    for step in range(STEPS):
        x = _noise(shape, step, dtype)
        if cache.must_compute(step, x):
            handed = _model(step, shape, dtype)
            cache.observe(step, SIGMAS[step], x, handed)
        else:
            handed = cache.estimate(step, SIGMAS[step], x)
            got.append(handed.clone())
        if spoil:
            x.fill_(1e4)
            handed.fill_(-1e4)
    return got


# The contract that every estimator keeps


@pytest.mark.parametrize("kind", KINDS)
def test_first_step_of_a_run_is_computed_wherever_it_lies(kind: str) -> None:
    for step in range(STEPS):
        assert _cache(kind).must_compute(step, torch.zeros(2))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_estimated_from_nothing(kind: str) -> None:
    with pytest.raises(OTCacheError, match="the first step of a run must be computed but was"):
        _cache(kind).estimate(2, SIGMAS[2], torch.zeros(2))


@pytest.mark.parametrize("kind", KINDS)
def test_then_the_schedule_decides(kind: str) -> None:
    cache, x = _cache(kind), torch.ones(2)
    cache.observe(0, SIGMAS[0], x, torch.zeros(2))

    assert [step for step in range(STEPS) if cache.must_compute(step, x)] == [*COMPUTED]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 4, 5, 6), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str
)
def test_any_rank_and_dtype(kind: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    exact = _run(_cache(kind), shape, torch.float64)

    got = _run(_cache(kind), shape, dtype)

    assert len(got) == 3
    for value, expected in zip(got, exact, strict=True):
        assert value.shape == shape
        assert value.dtype == dtype
        # Steps of 0.1 in sigma make slopes ten times as large as the values.
        tolerance = 20 * torch.finfo(dtype).eps
        torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_in_the_samplers_hands_are_its_own(kind: str) -> None:
    expected = _run(_cache(kind), (1, 4, 8, 8), torch.float32)

    got = _run(_cache(kind), (1, 4, 8, 8), torch.float32, spoil=True)

    assert len(got) == 3
    for value, clean in zip(got, expected, strict=True):
        assert torch.equal(value, clean)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_not_written_to(kind: str) -> None:
    cache = _cache(kind)
    for step in range(STEPS):
        x, denoised = _noise((3, 4), step), _noise((3, 4), 100 + step)
        if cache.must_compute(step, x):
            cache.observe(step, SIGMAS[step], x, denoised)
        else:
            cache.estimate(step, SIGMAS[step], x)
        assert torch.equal(x, _noise((3, 4), step))
        assert torch.equal(denoised, _noise((3, 4), 100 + step))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other",
    [
        torch.zeros(1, 4, 8, 9),
        torch.zeros(2, 4, 8, 8),
        torch.zeros(1, 4, 8, 8, dtype=torch.float16),
        torch.zeros(1, 4, 8, 8, device="meta"),
    ],
    ids=["shape", "batch", "dtype", "device"],
)
def test_another_kind_of_x_is_computed_again(kind: str, other: Tensor) -> None:
    cache, x = _cache(kind), torch.ones(1, 4, 8, 8)
    cache.observe(0, SIGMAS[0], x, torch.zeros_like(x))
    cache.observe(1, SIGMAS[1], x, torch.zeros_like(x))
    assert not cache.must_compute(2, x)

    assert cache.must_compute(2, other)

    cache.observe(2, SIGMAS[2], other, torch.zeros_like(other))
    assert cache.must_compute(4, x)
    assert not cache.must_compute(4, other)
    assert cache.estimate(4, SIGMAS[4], other).shape == other.shape


@pytest.mark.parametrize("kind", KINDS)
def test_clear_frees_every_tensor(kind: str) -> None:
    shape = (3, 5, 7, 11)

    def alive() -> int:
        return sum(type(o) is Tensor and o.shape == shape for o in gc.get_objects())

    before = alive()
    cache = _cache(kind)
    _run(cache, shape, torch.float32)
    assert alive() > before

    cache.clear()

    assert alive() == before
    assert cache.must_compute(2, torch.zeros(shape))
    with pytest.raises(OTCacheError, match="first step"):
        cache.estimate(2, SIGMAS[2], torch.zeros(shape))


# One latent of 2 x 3 x 4 float32 values: 24 * 4 = 96 bytes.
@pytest.mark.parametrize(
    ("kind", "look_back", "latents"),
    [
        ("reuse", LOOK_BACK, 1),  # the last velocity
        ("stochastic", LOOK_BACK, 1),  # the last denoised
        ("slope", LOOK_BACK, 2),  # the last velocity and the slope
        ("fitted slope", LOOK_BACK, 2),  # the last velocity and what its coefficients add up to
        # No look-back asks for more than the last velocity.
        ("meancache", (1, 1, 1), 1),
        # K = 2 keeps two steps: x of both, and their velocities, for K = 2 on the edge 1 -> 3 gives
        # step 2 a velocity of its own.
        ("meancache", (1, 2, 1), 2 + 2),
        # K = 3 keeps three: steps 3, 4 and 5 with a velocity each.
        ("meancache", (1, 2, 3), 3 + 3),
    ],
)
def test_peak_bytes_by_hand(kind: str, look_back: tuple[int, ...], latents: int) -> None:
    cache = _cache(kind, look_back)

    _run(cache, (2, 3, 4), torch.float32)

    assert cache.peak_bytes == latents * 96


@pytest.mark.parametrize(
    ("kind", "latents"), [("reuse", 1), ("stochastic", 1), ("slope", 1), ("meancache", 2)]
)
def test_bytes_are_counted_from_the_first_step(kind: str, latents: int) -> None:
    cache = _cache(kind)
    assert cache.peak_bytes == 0

    cache.observe(0, SIGMAS[0], torch.ones(24), torch.zeros(24))

    assert cache.peak_bytes == latents * 96  # there is no slope yet; meancache keeps x too


def test_a_first_edge_that_drifts_keeps_two() -> None:
    """The velocity, and what the drift adds to it; the slope is added to that later on."""
    sigmas = (1.0, 0.75, 0.5, 0.25, 0.125, 0.0)
    cache = VelocityCache(Schedule(5, (0, 2, 4), drift=(0.5, 0.5)), sigmas)

    for step in range(5):
        x = torch.ones(24)
        if cache.must_compute(step, x):
            cache.observe(step, sigmas[step], x, torch.full((24,), 0.5))
        else:
            cache.estimate(step, sigmas[step], x)
        assert cache.peak_bytes == 2 * 96


def test_bytes_of_an_estimate_are_counted_at_once() -> None:
    cache = _cache("meancache", (1, 2, 1))
    cache.observe(1, SIGMAS[1], torch.ones(24), torch.zeros(24))  # x and the velocity
    assert cache.peak_bytes == 2 * 96

    cache.estimate(2, SIGMAS[2], torch.ones(24))  # its own x and velocity

    assert cache.peak_bytes == 4 * 96


@pytest.mark.parametrize("kind", KINDS)
def test_peak_bytes_outlive_clear(kind: str) -> None:
    cache = _cache(kind)
    _run(cache, (2, 3, 4), torch.float16)
    peak = cache.peak_bytes

    cache.clear()

    assert cache.peak_bytes == peak > 0


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_memory_does_not_grow_with_steps(kind: str) -> None:
    """At most 6 states and 6 velocities, however long the run is."""
    sigmas = tuple(1.0 - i / 60 for i in range(61))
    schedule = Schedule(60, (0, 1, 59), kind, (1, 6))
    cache, x = VelocityCache(schedule, sigmas), torch.ones(24)

    for step in range(60):
        if cache.must_compute(step, x):
            cache.observe(step, sigmas[step], x, 0.5 * x)
        else:
            cache.estimate(step, sigmas[step], x)

    assert cache.peak_bytes <= 12 * 96


@pytest.mark.parametrize("kind", KINDS)
def test_skipping_never_looks_at_values(kind: str) -> None:
    """Tensors on the meta device have none: any copy to the host or branch on them would raise."""
    got = []
    cache = _cache(kind)
    for step in range(STEPS):
        x = torch.empty(1, 4, 8, 8, device="meta")
        if cache.must_compute(step, x):
            cache.observe(step, SIGMAS[step], x, torch.empty_like(x))
        else:
            got.append(cache.estimate(step, SIGMAS[step], x))

    assert [value.device.type for value in got] == ["meta"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_velocity_at_sigma_zero_is_not_kept(kind: str) -> None:
    cache, x = _cache(kind), torch.ones(2)
    cache.observe(0, SIGMAS[0], x, torch.zeros(2))
    expected = cache.estimate(2, SIGMAS[2], x)

    cache.observe(1, 0.0, x, torch.full((2,), 9.0))

    assert torch.equal(cache.estimate(2, SIGMAS[2], x), expected)


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("count", [STEPS, STEPS + 2])
def test_sigmas_of_another_run_are_refused(kind: str, count: int) -> None:
    sigmas = tuple(1.0 - i / 10 for i in range(count))

    with pytest.raises(OTCacheError, match=rf"steps \+ 1 = 8 values but has {count}"):
        VelocityCache(Schedule(STEPS, COMPUTED, kind), sigmas)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_equal_sigmas_give_finite_values(kind: str) -> None:
    """Some schedulers repeat a noise level."""
    sigmas = (0.5, 0.5, 0.5, 0.5, 0.0)
    cache = VelocityCache(Schedule(4, (0, 1, 3), kind, (1, 3)), sigmas)
    x = torch.ones(2)
    cache.observe(0, 0.5, x, 0.5 * x)
    cache.observe(1, 0.5, x, 0.25 * x)

    # Nothing lies between them: the last velocity (1 - 0.25) / 0.5 = 1.5 holds, 1 - 0.5 * 1.5.
    assert cache.estimate(2, 0.5, x).tolist() == [0.25, 0.25]


# Numbers


def test_velocity_and_denoised_by_hand() -> None:
    x, denoised = torch.tensor([10.0]), torch.tensor([4.0])

    velocity = velocity_from_denoised(x, denoised, 2.0)

    assert velocity.tolist() == [3.0]  # (10 - 4) / 2
    assert denoised_from_velocity(x, velocity, 2.0).tolist() == [4.0]  # 10 - 2 * 3
    assert (x.tolist(), denoised.tolist()) == ([10.0], [4.0])


def _estimate(cache: VelocityCache, step: int, sigma: float, x: float) -> float:
    return cache.estimate(step, sigma, torch.tensor([x], dtype=torch.float64)).item()


def _observe(cache: VelocityCache, step: int, sigma: float, x: float, denoised: float) -> None:
    tensors = (torch.tensor([v], dtype=torch.float64) for v in (x, denoised))
    cache.observe(step, sigma, *tensors)


def test_reuse_by_hand() -> None:
    cache = VelocityCache(Schedule(4, (0, 3), "reuse"), (4.0, 3.0, 2.0, 1.0, 0.0))

    _observe(cache, 0, 4.0, x=10, denoised=2)  # v = (10 - 2) / 4 = 2

    assert _estimate(cache, 1, 3.0, x=8) == 2.0  # 8 - 3 * 2
    assert _estimate(cache, 2, 2.0, x=7) == 3.0  # 7 - 2 * 2


def test_slope_by_hand() -> None:
    cache = VelocityCache(Schedule(5, (0, 2, 4), "slope"), (8.0, 6.0, 4.0, 2.0, 1.0, 0.0))

    _observe(cache, 0, 8.0, x=20, denoised=4)  # v = (20 - 4) / 8 = 2
    assert _estimate(cache, 1, 6.0, x=16) == 4.0  # no slope yet: 16 - 6 * 2
    _observe(cache, 2, 4.0, x=12, denoised=0)  # v = 3, slope = (3 - 2) / (4 - 8) = -0.25
    # v = 3 - 0.25 * (2 - 4) = 3.5; 9 - 2 * 3.5
    assert _estimate(cache, 3, 2.0, x=9) == 2.0


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        # v = 3 with a slope of -0.25, followed for 2 - 4 = -2 in sigma: 3 + gain * 0.5; 9 - 2 * v
        (0.0, 3.0),
        (0.5, 2.5),
        (1.0, 2.0),
        (2.0, 1.0),
    ],
)
def test_slope_gain_by_hand(gain: float, expected: float) -> None:
    schedule = Schedule(5, (0, 2, 4), "slope", slope_gain=(1.0, gain))
    cache = VelocityCache(schedule, (8.0, 6.0, 4.0, 2.0, 1.0, 0.0))

    _observe(cache, 0, 8.0, x=20, denoised=4)  # v = 2
    _observe(cache, 2, 4.0, x=12, denoised=0)  # v = 3

    assert _estimate(cache, 3, 2.0, x=9) == expected


def test_a_slope_gain_belongs_to_its_edge() -> None:
    """Half the slope up to step 4, twice the slope after it."""
    sigmas = (8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
    schedule = Schedule(7, (0, 2, 4, 6), "slope", slope_gain=(0.0, 0.5, 2.0))
    cache = VelocityCache(schedule, sigmas)

    _observe(cache, 0, 8.0, x=16, denoised=0)  # v = 2
    assert _estimate(cache, 1, 7.0, x=16) == 2.0  # there is no slope: 16 - 7 * 2
    _observe(cache, 2, 6.0, x=24, denoised=0)  # v = 4, slope = (4 - 2) / (6 - 8) = -1
    # v = 4 - 0.5 * 1 * (5 - 6) = 4.5; 30 - 5 * 4.5
    assert _estimate(cache, 3, 5.0, x=30) == 7.5
    _observe(cache, 4, 4.0, x=24, denoised=0)  # v = 6, slope = (6 - 4) / (4 - 6) = -1
    # v = 6 - 2 * 1 * (3 - 4) = 8; 30 - 3 * 8
    assert _estimate(cache, 5, 3.0, x=30) == 6.0


def test_drift_by_hand() -> None:
    """From 8 to 2 the prediction of the clean picture, 4, grows by half of it.

    dx/dsigma = (x - denoised) / sigma then ends higher by 0.5 * 4 * 6/8 = 1.5: at 20 - 6 * 2 + 1.5.
    """
    schedule = Schedule(5, (0, 3, 4), "slope", drift=(0.5, 0.0))
    cache = VelocityCache(schedule, (8.0, 6.0, 4.0, 2.0, 1.0, 0.0))

    _observe(cache, 0, 8.0, x=20, denoised=4)  # v = (20 - 4) / 8 = 2
    # Steps of 2 in sigma, 2 and 4 below the first: 1.5 = 2 * 2 f 4 + 2 * 4 f 4 with f = 1/32.
    # v = 2 - 2 * 4 / 32 = 1.75, and 20 - 2 * 2 - 6 * 1.75 = 5.5
    assert _estimate(cache, 1, 6.0, x=16) == 5.5
    # v = 2 - 4 * 4 / 32 = 1.5, and 16 - 2 * 1.75 - 4 * 1.5 = 6.5; on to 12.5 - 2 * 1.5 = 9.5
    assert _estimate(cache, 2, 4.0, x=12.5) == 6.5


def test_drift_and_slope_add_up_by_hand() -> None:
    schedule = Schedule(5, (0, 2, 4), "slope", slope_gain=(1.0, 0.5), drift=(0.0, -0.25))
    cache = VelocityCache(schedule, (8.0, 6.0, 4.0, 2.0, 1.0, 0.0))

    _observe(cache, 0, 8.0, x=20, denoised=4)  # v = 2
    assert _estimate(cache, 1, 6.0, x=16) == 4.0  # neither slope nor drift: 16 - 6 * 2
    _observe(cache, 2, 4.0, x=20, denoised=8)  # v = 3, slope -0.25
    # 0.25 * 8 * (1 - 4) / 4 = -1.5 over one estimated step of 2 -> 1, 2 below the first: F = -0.75
    # and half of the slope: v = 3 + (2 - 4) * (-0.125 - 0.75) = 4.75; 14 - 2 * 4.75
    assert _estimate(cache, 3, 2.0, x=14) == 4.5


def test_a_drift_ends_with_its_edge() -> None:
    """The tail follows the plain slope."""
    sigmas = (8.0, 6.0, 4.0, 2.0, 1.0, 0.0)
    plain, drifting = (
        VelocityCache(Schedule(5, (0, 2), "slope", drift=drift), sigmas) for drift in ((), (0.5,))
    )
    for cache in (plain, drifting):
        _observe(cache, 0, 8.0, x=20, denoised=4)
        _observe(cache, 2, 4.0, x=20, denoised=8)

    assert _estimate(drifting, 3, 2.0, x=9) == _estimate(plain, 3, 2.0, x=9) == 2.0


@pytest.mark.parametrize("drift", [-2.0, -0.3, 0.007, 1.5])
@pytest.mark.parametrize("edge", [0, 1, 2])
def test_a_drift_moves_the_end_of_its_edge_by_what_it_says(edge: int, drift: float) -> None:
    """By ``-d * denoised * (sigma_s - sigma_t) / sigma_t`` under Euler, over any levels."""
    sigmas = tuple(3 * (1.0 - i / 20) ** 1.7 for i in range(21))
    nodes, gains = (0, 3, 9, 15), (1.0, 0.35, -1.2)
    base, rise = _noise((3,), 1, torch.float64), _noise((3,), 2, torch.float64)
    first, last = nodes[edge], nodes[edge + 1]

    def ends(own: float) -> tuple[Tensor, Tensor]:
        """Where a run stands before the edge, and after it."""
        drifts = [0.1, -0.2, 0.3]  # those of other edges change nothing
        drifts[edge] = own
        schedule = Schedule(20, nodes, slope_gain=gains, drift=tuple(drifts))
        before, after = (
            _euler(lambda s: base + s**2 * rise, sigmas, VelocityCache(schedule, sigmas), until)
            for until in (first, last)
        )
        return before, after

    (start, plain), (same, end) = ends(0.0), ends(drift)

    assert torch.equal(same, start)
    denoised = start - sigmas[first] * (base + sigmas[first] ** 2 * rise)
    moved = -drift * denoised * (sigmas[last] - sigmas[first]) / sigmas[first]
    torch.testing.assert_close(end - plain, moved, rtol=1e-11, atol=1e-12)
    assert (end - plain).abs().max() > 1e-3


def test_the_factor_of_denoised_by_hand() -> None:
    # -0.5 * (2 - 8) / 8 = 0.375 in all; (4 - 6) * (6 - 8) + (2 - 4) * (4 - 8) = 12
    assert denoised_factor(0.5, (8.0, 6.0, 4.0, 2.0)) == 0.375 / 12
    assert denoised_factor(-0.5, (8.0, 6.0, 4.0, 2.0)) == -0.375 / 12
    assert denoised_factor(0.0, (8.0, 6.0, 4.0, 2.0)) == 0.0


@pytest.mark.parametrize(
    "sigmas", [(4.0, 2.0), (4.0, 4.0, 1.0), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0), (4.0,)]
)
def test_an_edge_whose_estimates_all_lie_at_its_beginning_cannot_drift(
    sigmas: tuple[float, ...],
) -> None:
    assert denoised_factor(0.5, sigmas) == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("gain", [1.0, 0.5, 2.0, 0.0])
def test_without_a_drift_the_slope_is_what_it_was_to_the_bit(
    gain: float, dtype: torch.dtype
) -> None:
    """``v_t + gain * (sigma - sigma_t) * slope``; gains that are no powers of 2 round otherwise."""
    shape, levels = (2, 3, 4), SIGMAS
    schedule = Schedule(STEPS, COMPUTED, slope_gain=(1.0, gain, gain), drift=(0.0,) * 3)

    got = _run(VelocityCache(schedule, SIGMAS), shape, dtype)

    xs = [_noise(shape, step, dtype) for step in range(STEPS)]
    velocities = {
        step: velocity_from_denoised(xs[step], _model(step, shape, dtype), levels[step])
        for step in (0, 1, 3)
    }
    expected = []
    for step, at, before in ((2, 1, 0), (4, 3, 1), (5, 3, 1)):
        slope = (velocities[at] - velocities[before]).div(levels[at] - levels[before])
        velocity = velocities[at].add(slope, alpha=gain * (levels[step] - levels[at]))
        expected.append(denoised_from_velocity(xs[step], velocity, levels[step]))
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))


def test_without_any_gain_the_slope_is_reuse_to_the_bit() -> None:
    sigmas = tuple((1.0 - i / 20) ** 1.5 for i in range(21))
    schedules = [
        Schedule(20, (0, 3, 9, 19), "slope", slope_gain=(0.0, 0.0, 0.0)),
        Schedule(20, (0, 3, 9, 19), "reuse"),
    ]

    slope, reuse = (
        _euler(
            lambda sigma: torch.ones(3).double().mul_(sigma**2), sigmas, VelocityCache(s, sigmas)
        )
        for s in schedules
    )

    assert torch.equal(slope, reuse)


@pytest.mark.parametrize("kind", ["meancache", "reuse", "stochastic"])
def test_other_estimators_have_no_coefficients(kind: str) -> None:
    stochastic = kind == "stochastic"
    estimator = "slope" if stochastic else kind
    plain, damped = (
        VelocityCache(
            Schedule(STEPS, COMPUTED, estimator, LOOK_BACK, slope_gain=gains, drift=drifts),
            SIGMAS,
            stochastic=stochastic,
        )
        for gains, drifts in (((), ()), ((0.0, 0.5, -2.0), (1.0, -0.5, 2.0)))
    )

    pairs = zip(*(_run(cache, (3, 4), torch.float32) for cache in (plain, damped)), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_step_that_had_to_be_computed_is_followed_by_the_plain_slope() -> None:
    """A run may begin at a step that the schedule skips: no edge, and so no gain or drift, begins
    there."""
    schedule = Schedule(5, (0, 4), "slope", slope_gain=(0.0,), drift=(1.0,))
    cache = VelocityCache(schedule, (8.0, 6.0, 4.0, 2.0, 1.0, 0.0))

    _observe(cache, 1, 6.0, x=12, denoised=0)  # v = 2
    _observe(cache, 2, 4.0, x=12, denoised=0)  # v = 3, slope = (3 - 2) / (4 - 6) = -0.5

    assert _estimate(cache, 3, 2.0, x=9) == 1.0  # v = 3 - 0.5 * (2 - 4) = 4; 9 - 2 * 4


def test_slope_between_computed_steps_only() -> None:
    """What was estimated in between leaves no trace."""
    sigmas = (8.0, 6.0, 4.0, 2.0, 1.0, 0.0)
    with_skip, without = (VelocityCache(Schedule(5, (0, 2, 4)), sigmas) for _ in range(2))
    for cache in (with_skip, without):
        _observe(cache, 0, 8.0, x=20, denoised=4)
        if cache is with_skip:
            _estimate(cache, 1, 6.0, x=16)
        _observe(cache, 2, 4.0, x=12, denoised=0)

    assert _estimate(with_skip, 3, 2.0, x=9) == _estimate(without, 3, 2.0, x=9)


def test_meancache_by_hand() -> None:
    sigmas = (4.0, 3.0, 2.0, 1.0, 0.5, 0.0)
    cache = VelocityCache(Schedule(5, (0, 1, 4), "meancache", (1, 2)), sigmas)

    _observe(cache, 0, 4.0, x=10, denoised=2)  # v_0 = (10 - 2) / 4 = 2
    _observe(cache, 1, 3.0, x=8, denoised=2)  # v_1 = (8 - 2) / 3 = 2
    # K = 2, so r = 0: u = (5 - 10) / (2 - 4) = 2.5, JVP = (2.5 - 2) / (2 - 4) = -0.25,
    # v = 2 - 0.25 * (1 - 2) = 2.25; 5 - 2 * 2.25
    assert _estimate(cache, 2, 2.0, x=5) == 0.5
    # Now r = 1: u = (3 - 8) / (1 - 3) = 2.5, JVP = (2.5 - 2) / (1 - 3) = -0.25,
    # v = 2.25 - 0.25 * (0.5 - 1) = 2.375; 3 - 1 * 2.375
    assert _estimate(cache, 3, 1.0, x=3) == 0.625


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("computed", [(0, 7), (0, 1, 7), (0, 2, 3, 7), (0, 1, 2, 3, 4, 7)])
def test_meancache_follows_the_formulas(k: int, computed: tuple[int, ...]) -> None:
    sigmas = [3.0, 2.5, 2.25, 1.75, 1.5, 1.0, 0.5, 0.25, 0.0]
    xs = _noise((8,), 1, torch.float64).tolist()
    predictions = _noise((8,), 2, torch.float64).tolist()
    cache = VelocityCache(
        Schedule(8, computed, "meancache", (k,) * (len(computed) - 1)), tuple(sigmas)
    )

    v: list[float] = []
    for i in range(8):
        if i in computed:
            v.append((xs[i] - predictions[i]) / sigmas[i])
            _observe(cache, i, sigmas[i], xs[i], predictions[i])
            continue
        if k == 1:
            v.append(v[i - 1])
        else:
            r = max(i - k, 0)  # the K-th last of the steps 0 to i - 1
            u = (xs[i] - xs[r]) / (sigmas[i] - sigmas[r])
            jvp = (u - v[r]) / (sigmas[i] - sigmas[r])
            v.append(v[i - 1] + jvp * (sigmas[i + 1] - sigmas[i]))
        expected = xs[i] - sigmas[i] * v[i]
        assert _estimate(cache, i, sigmas[i], xs[i]) == pytest.approx(expected, rel=1e-12)


def test_meancache_look_back_belongs_to_the_edge() -> None:
    """K = 1 up to step 3, K = 2 after it."""
    sigmas = (4.0, 3.0, 2.0, 1.0, 0.5, 0.0)
    schedule = Schedule(5, (0, 2, 4), "meancache", (1, 2))
    cache = VelocityCache(schedule, sigmas)

    _observe(cache, 0, 4.0, x=10, denoised=2)  # v = 2
    assert _estimate(cache, 1, 3.0, x=7) == 1.0  # 7 - 3 * 2
    _observe(cache, 2, 2.0, x=5, denoised=1)  # v = 2
    # r = 1, which is a skipped step: u = (4 - 7) / (1 - 3) = 1.5, JVP = (1.5 - 2) / -2 = 0.25,
    # v = 2 + 0.25 * (0.5 - 1) = 1.875; 4 - 1 * 1.875
    assert _estimate(cache, 3, 1.0, x=4) == 2.125


def test_meancache_reuses_plainly_after_a_step_that_had_to_be_computed() -> None:
    """A run may begin at a step that the schedule skips: no edge begins there."""
    sigmas = (4.0, 3.0, 2.0, 1.0, 0.5, 0.0)
    cache = VelocityCache(Schedule(5, (0, 4), "meancache", (3,)), sigmas)

    _observe(cache, 1, 3.0, x=8, denoised=2)  # v = 2

    assert _estimate(cache, 2, 2.0, x=5) == 1.0  # 5 - 2 * 2
    assert _estimate(cache, 3, 1.0, x=4) == 2.0  # 4 - 1 * 2


def _euler(
    velocity: Callable[[float], Tensor],
    sigmas: tuple[float, ...],
    cache: VelocityCache | None,
    until: int | None = None,
) -> Tensor:
    """k-diffusion's Euler, with the model's calls replaced where the cache says so."""
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for i, sigma in enumerate(sigmas[:-1][:until]):
        if cache is None or cache.must_compute(i, x):
            denoised = x - sigma * velocity(sigma)
            if cache is not None:
                cache.observe(i, sigma, x, denoised)
        else:
            denoised = cache.estimate(i, sigma, x)
        x = x + (x - denoised) / sigma * (sigmas[i + 1] - sigma)
    return x


@pytest.mark.parametrize(
    "computed", [(0, 1, 19), (0, 1, 2, 11, 19), (0, 1, 10, 19), (0, 1, 10, 15)]
)
def test_a_velocity_linear_in_sigma_is_integrated_exactly_by_the_slope(
    computed: tuple[int, ...],
) -> None:
    base, rise = _noise((3,), 1, torch.float64), _noise((3,), 2, torch.float64)
    sigmas = tuple((1.0 - i / 20) ** 1.5 for i in range(21))

    def velocity(sigma: float) -> Tensor:
        return base + sigma * rise

    full = _euler(velocity, sigmas, None)
    slope = _euler(velocity, sigmas, VelocityCache(Schedule(20, computed, "slope"), sigmas))
    reuse = _euler(velocity, sigmas, VelocityCache(Schedule(20, computed, "reuse"), sigmas))

    torch.testing.assert_close(slope, full, rtol=1e-12, atol=1e-12)
    assert (reuse - full).abs().min() > 0.01


@pytest.mark.parametrize("last", [17, 19])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_constant_velocity_is_integrated_exactly_by_all(kind: str, last: int) -> None:
    base = _noise((3,), 1, torch.float64)
    sigmas = tuple(1.0 - i / 20 for i in range(21))
    cache = VelocityCache(Schedule(20, (0, 3, last), kind, (3, 5)), sigmas)

    torch.testing.assert_close(
        _euler(lambda sigma: base, sigmas, cache), _euler(lambda sigma: base, sigmas, None)
    )


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_full_schedule_changes_no_bit(kind: str) -> None:
    base, rise = _noise((3,), 1, torch.float64), _noise((3,), 2, torch.float64)
    sigmas = tuple(1.0 - i / 9 for i in range(10))
    cache = VelocityCache(Schedule(9, tuple(range(9)), kind), sigmas)

    def velocity(sigma: float) -> Tensor:
        return base + sigma**2 * rise

    assert torch.equal(_euler(velocity, sigmas, cache), _euler(velocity, sigmas, None))


# Samplers that add noise


def test_stochastic_samplers_get_the_last_denoised() -> None:
    cache = _cache("stochastic")

    _observe(cache, 1, SIGMAS[1], x=3.0, denoised=0.5)
    assert _estimate(cache, 2, SIGMAS[2], x=-7.0) == 0.5
    _observe(cache, 3, SIGMAS[3], x=2.0, denoised=0.25)
    assert _estimate(cache, 4, SIGMAS[4], x=11.0) == 0.25
    assert _estimate(cache, 5, SIGMAS[5], x=0.0) == 0.25


def test_stochastic_answers_are_never_aliases() -> None:
    cache, denoised = _cache("stochastic"), torch.ones(2)
    cache.observe(1, SIGMAS[1], torch.zeros(2), denoised)

    first = cache.estimate(2, SIGMAS[2], torch.zeros(2))
    second = cache.estimate(2, SIGMAS[2], torch.zeros(2))

    assert len({t.data_ptr() for t in (denoised, first, second)}) == 3


def test_a_level_computed_twice_keeps_the_slope() -> None:
    # heun and its kin ask at a level twice: v = 3 at 1.0, 5 at 0.8, and 6 at 0.8 again.
    schedule = Schedule(4, (0, 1, 3))
    cache = VelocityCache(schedule, (1.0, 0.8, 0.4, 0.2, 0.0))
    x = torch.zeros(1)
    for step, sigma, velocity in ((0, 1.0, 3.0), (1, 0.8, 5.0), (1, 0.8, 6.0)):
        cache.observe(step, sigma, x, torch.full((1,), -sigma * velocity))

    # slope (5 - 3) / (0.8 - 1.0) = -10 from the last velocity, 6: at 0.4 it is 6 + 4 = 10
    denoised = cache.estimate(2, 0.4, x)

    torch.testing.assert_close(denoised, torch.tensor([-4.0]))  # 0 - 0.4 * 10


def test_a_level_computed_twice_keeps_what_its_coefficients_add_up_to() -> None:
    """As above, the edge's gain being 1/2 and its drift such that denoised counts threefold."""
    levels = (1.0, 0.8, 0.4, 0.2, 0.0)
    # f = 0.32 * 0.6 / (0.8 * 0.08), where 0.08 = (0.2 - 0.4) * (0.4 - 0.8)
    schedule = Schedule(4, (0, 1, 3), slope_gain=(1.0, 0.5), drift=(0.0, 0.32))
    cache = VelocityCache(schedule, levels)
    x = torch.zeros(1, dtype=torch.float64)
    for step, sigma, velocity in ((0, 1.0, 3.0), (1, 0.8, 5.0), (1, 0.8, 9.0), (1, 0.8, 6.0)):
        cache.observe(step, sigma, x, torch.full_like(x, -sigma * velocity))

    # Of the first time: the slope -10 / 2, and 3 * denoised = 3 * -4. From the last velocity:
    # 6 + (0.4 - 0.8) * (-5 - 12) = 12.8
    denoised = cache.estimate(2, 0.4, x)

    torch.testing.assert_close(denoised, torch.full_like(x, -0.4 * 12.8))


def test_a_first_level_computed_twice_keeps_its_drift() -> None:
    levels = (1.0, 0.8, 0.4, 0.0)
    # f = 0.5 * 0.6 / (1 * 0.08) = 3.75, where 0.08 = (0.4 - 0.8) * (0.8 - 1)
    cache = VelocityCache(Schedule(3, (0, 2), drift=(0.5,)), levels)
    x = torch.zeros(1, dtype=torch.float64)
    for velocity in (-4.0, -2.0):
        cache.observe(0, 1.0, x, torch.full_like(x, -velocity))

    # -2 + (0.8 - 1) * 3.75 * 4 = -5
    torch.testing.assert_close(cache.estimate(1, 0.8, x), torch.full_like(x, 0.8 * 5.0))


def test_the_slope_after_a_level_computed_twice_is_from_its_last_velocity() -> None:
    levels = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
    cache = VelocityCache(Schedule(5, (0, 1, 2, 4), slope_gain=(1.0, 0.5, 1.0)), levels)
    x = torch.zeros(1, dtype=torch.float64)
    for step, sigma, velocity in ((0, 1.0, 3.0), (1, 0.8, 5.0), (1, 0.8, 6.0), (2, 0.6, 7.0)):
        cache.observe(step, sigma, x, torch.full_like(x, -sigma * velocity))

    # slope (7 - 6) / (0.6 - 0.8) = -5: 7 + 0.2 * 5 = 8
    torch.testing.assert_close(cache.estimate(3, 0.4, x), torch.full_like(x, -0.4 * 8.0))


EVEN = tuple(i / 20 for i in range(21))


def _share_followed(times: tuple[float, ...], **known: float) -> float:
    """The share of the full slope that is followed after a first edge that changed nothing much."""
    sigmas = tuple(1.0 - time for time in EVEN)
    cache = VelocityCache(Schedule(20, (0, 4, 8, 12, 16), "adaptive", **known), sigmas, times=times)
    x = torch.ones(1, 2, 4, 4)
    for step in (0, 4):
        cache.observe(step, sigmas[step], x, x)
    estimator = cache._estimator
    assert isinstance(estimator, Adaptive)
    return float(estimator.trust.share(torch.zeros(1)))


def test_the_first_edge_tells_how_slopes_go_on_in_runs_from_the_beginning_alone() -> None:
    assert _share_followed(EVEN) > 0.5
    assert _share_followed(()) == 0.0
    assert _share_followed(tuple(0.5 + time / 2 for time in EVEN)) == 0.0  # image to image
    assert _share_followed((0.0,) * 20 + (1.0,)) == 0.0  # levels above all that the model knows


def test_what_a_model_has_shown_counts_where_the_first_edge_cannot_tell() -> None:
    assert _share_followed(EVEN, steadiness=-0.9) == _share_followed(EVEN) > 0.5
    shown = 3.0 * (0.6 + 0.7 * math.log(5 / 10))
    assert _share_followed((), steadiness=0.6) == pytest.approx(shown) != 0.0


def test_a_first_edge_longer_than_others_tells_of_slopes_that_go_on_the_more() -> None:
    """Beside other edges of the same run: a prediction that shrank as much over more of it."""
    later = tuple(min(1.0, time**2 + 1e-3) for time in EVEN)
    sooner = tuple(time**0.5 for time in EVEN)

    def share(times: tuple[float, ...]) -> float:
        sigmas = tuple(1.0 - time for time in EVEN)
        schedule = Schedule(20, (0, 4, 8, 12, 16), "adaptive")
        cache = VelocityCache(schedule, sigmas, times=times)
        x = torch.ones(1, 2, 4, 4)
        cache.observe(0, 1.0, x, x)
        cache.observe(4, sigmas[4], x, 0.75 * x)
        estimator = cache._estimator
        assert isinstance(estimator, Adaptive)
        return float(estimator.trust.share(torch.zeros(1)))

    assert share(later) < share(EVEN) < share(sooner)
