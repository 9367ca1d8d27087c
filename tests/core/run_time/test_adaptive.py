"""The estimate that teaches itself: exact where velocities keep a law, harmless where not."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from otcache_core.documents.schedule import Schedule
from otcache_core.errors import OTCacheError
from otcache_core.run_time import adaptive, slope_trust
from otcache_core.run_time.adaptive import Adaptive
from otcache_core.run_time.edge import Edge, denoised_from_velocity
from otcache_core.run_time.own_coefficients import RIDGE
from otcache_core.run_time.velocity import VelocityCache

SIGMAS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)


def _tensor(seed: int, pictures: int = 2) -> Tensor:
    return torch.randn(pictures, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def _observe(estimator: Adaptive, sigma: float, velocity: Tensor, x: Tensor, end: float) -> None:
    estimator.observe(sigma, x, velocity, Edge(end=end))


def test_nothing_can_be_estimated_before_a_step_is_computed() -> None:
    with pytest.raises(OTCacheError, match="must be computed"):
        Adaptive().estimate(1.0, 0.8, _tensor(0))


def test_the_first_edge_holds_the_velocity() -> None:
    estimator, velocity = Adaptive(), _tensor(1)
    _observe(estimator, 1.0, velocity, _tensor(2), 0.6)

    assert torch.equal(estimator.estimate(0.8, 0.6, _tensor(3)), velocity)


def test_a_slope_that_goes_on_is_followed() -> None:
    """Velocities on a straight line, as far as the ridge lets the coefficients go."""
    estimator, begin, slope = Adaptive(), _tensor(1), _tensor(2)
    x = torch.zeros_like(begin)  # so that the prediction of the clean picture is -sigma v
    for sigma, end in ((1.0, 0.8), (0.8, 0.6), (0.6, 0.4)):
        _observe(estimator, sigma, begin + (sigma - 1.0) * slope, x, end)

    estimate = estimator.estimate(0.4, 0.2, x)
    wanted, held = begin - 0.6 * slope, begin - 0.4 * slope

    assert (estimate - wanted).norm() < 2 * RIDGE * (held - wanted).norm()


def test_a_slope_that_turns_back_is_followed_back() -> None:
    """Each slope is minus half the one before: the whole slope would miss doubly."""
    estimator, slope = Adaptive(), _tensor(2)
    # Predictions of the clean picture that have nothing to do with it.
    velocity, levels = _tensor(1), ((1.0, 0.8), (0.8, 0.6), (0.6, 0.4))
    seen = [velocity, velocity - 0.2 * slope, velocity - 0.2 * slope + 0.1 * slope]
    for (sigma, end), v in zip(levels, seen, strict=True):
        _observe(estimator, sigma, v, _tensor(9) + sigma * v, end)

    change = estimator.estimate(0.4, 0.2, velocity) - seen[-1]
    last = seen[-1] - seen[-2]

    share = float((change * last).sum() / last.square().sum())
    assert -0.65 < share < -0.35


def _after_three_steps(expected: float, turn: float) -> float:
    """The share of the last slope that is followed, where each is ``turn`` times the one before."""
    estimator, slope, velocity = Adaptive((), expected), _tensor(2), _tensor(1)
    first = velocity - 0.2 * slope
    levels = ((1.0, 0.8), (0.8, 0.6), (0.6, 0.4))
    seen = [velocity, first, first - 0.2 * turn * slope]
    for (sigma, end), v in zip(levels, seen, strict=True):
        _observe(estimator, sigma, v, _tensor(9) + sigma * v, end)
    change = estimator.estimate(0.4, 0.2, velocity) - seen[-1]
    last = seen[-1] - seen[-2]
    return float((change * last).sum() / last.square().sum())


def test_a_model_known_to_go_on_has_its_slopes_followed_in_full() -> None:
    """Each slope is half the one before, which least squares would carry on."""
    assert _after_three_steps(-1.0, 0.5) == pytest.approx(0.5, abs=0.1)
    assert _after_three_steps(0.5, 0.5) == pytest.approx(1.0, abs=1e-3)


def test_whatever_is_known_a_slope_that_turned_back_is_not_followed_in_full() -> None:
    known, unknown = _after_three_steps(1.0, -0.5), _after_three_steps(0.0, -0.5)
    assert known == pytest.approx(unknown)
    assert -0.65 < known < -0.35


def test_a_slope_that_grows_is_followed_as_it_grew_up_to_twice() -> None:
    assert _after_three_steps(1.0, 1.4) == pytest.approx(1.4, abs=0.01)
    assert _after_three_steps(1.0, 5.0) == pytest.approx(2.0, abs=0.01)


def test_growth_counts_by_what_is_known_beyond_what_full_slopes_need() -> None:
    """A mean cosine of 1 and four times 0.25 is 0.4: (0.4 - 0.2) 2 of the growth."""
    assert _after_three_steps(0.25, 1.5) == pytest.approx(1.2, abs=0.01)


LONG = tuple(1.0 - i / 20 for i in range(21))


def _bent(steadiness: float, nodes: tuple[int, ...]) -> tuple[float, list[Tensor]]:
    """How far a run over velocities on a parabola ends from all of its steps, and the differences
    of its computed steps' answers from the model's.
    """
    cache = VelocityCache(Schedule(20, nodes, "adaptive", steadiness=steadiness), LONG)
    part, bend = _tensor(1), _tensor(2)
    x, wanted = _tensor(3), _tensor(3)
    changed = []
    for i, (sigma, following) in enumerate(pairwise(LONG)):
        velocity = part * (0.5 + sigma) + 0.2 * bend * (1.0 - sigma) ** 2
        wanted = wanted + velocity * (following - sigma)
        if cache.must_compute(i, x):
            denoised = x - sigma * velocity
            answer = cache.observe(i, sigma, x, denoised)
            changed.append(answer - denoised)
            denoised = answer
        else:
            denoised = cache.estimate(i, sigma, x)
        x = x + (x - denoised) / sigma * (following - sigma)
    return float((x - wanted).norm()), changed


def test_what_an_edge_missed_is_put_back_where_slopes_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = (0, 3, 6, 9, 12, 15, 17, 19)
    corrected, changed = _bent(1.0, nodes)
    assert not changed[0].any() and all(change.any() for change in changed[1:-1])
    monkeypatch.setattr(adaptive, "PUT_BACK", 0.0)
    missed, changed = _bent(1.0, nodes)
    assert not any(change.any() for change in changed)
    assert corrected < 0.5 * missed


def test_nothing_is_put_back_where_slopes_turn_round_or_no_step_is_skipped() -> None:
    assert not any(change.any() for change in _bent(-1.0, (0, 3, 6, 9, 12, 15, 17, 19))[1])
    error, changed = _bent(1.0, tuple(range(20)))
    assert error < 1e-4 and not any(change.any() for change in changed)


def test_the_second_edge_follows_the_slope_as_far_as_is_known() -> None:
    def change(expected: float) -> Tensor:
        estimator, velocity, slope = Adaptive((), expected), _tensor(1), _tensor(2)
        x = torch.zeros_like(velocity)
        _observe(estimator, 1.0, velocity, x, 0.8)
        _observe(estimator, 0.8, velocity - 0.2 * slope, x, 0.6)
        return estimator.estimate(0.6, 0.4, x) - (velocity - 0.2 * slope)

    slope = _tensor(2)
    assert torch.allclose(change(1.0), -0.2 * slope, atol=1e-5)
    assert torch.allclose(change(0.1), 0.7 * change(-1.0) - 0.3 * 0.2 * slope, atol=1e-5)


def _after_first_edge(
    shrunk: tuple[float, ...], lengths: tuple[float, float] | None
) -> list[float]:
    """The share of the full slope that each picture follows next.

    From 1.0 to 0.8 the prediction of its clean picture shrinks by ``shrunk``.
    """
    estimator, count = Adaptive((), 0.0, lengths), len(shrunk)
    picture, noise = _tensor(1, count), _tensor(2, count)
    x = noise.clone()
    left = torch.ones(count, 1, 1, 1)
    _observe(estimator, 1.0, x - left * picture, x, 0.8)
    x = x - 0.2 * (x - picture)
    left = left - torch.tensor(shrunk).reshape(-1, 1, 1, 1)
    _observe(estimator, 0.8, (x - left * picture) / 0.8, x, 0.6)
    return estimator.trust.share(torch.zeros(count, 1, 1, 1)).flatten().tolist()


def test_the_first_edge_tells_for_each_picture_how_far_slopes_will_be_followed() -> None:
    steady, hard = _after_first_edge((0.1, 0.9), (0.06, 0.06))
    assert steady > 0.8
    assert hard < 0.3
    assert _after_first_edge((0.1, 0.9), None) == [0.0, 0.0]


def test_a_prediction_that_shrinks_by_the_same_share_is_foreseen() -> None:
    """The clean picture's prediction halves on each edge."""
    estimator, picture, noise = Adaptive(), _tensor(1), _tensor(2)
    sizes = (1.0, 0.5, 0.25)
    for sigma, end, size in zip((1.0, 0.8, 0.6), (0.8, 0.6, 0.4), sizes, strict=True):
        x = size * picture + sigma * noise
        _observe(estimator, sigma, (x - size * picture) / sigma, x, end)
    assert torch.allclose(estimator.estimate(0.5, 0.4, x), noise, atol=1e-5)  # nothing to foresee

    estimator = Adaptive()
    state = picture.clone()
    for sigma, end, size in zip((1.0, 0.8, 0.6), (0.8, 0.6, 0.4), sizes, strict=True):
        _observe(estimator, sigma, (state - size * picture) / sigma, state, end)
    held = (state - 0.25 * picture) / 0.6
    foreseen = estimator.estimate(0.4, 0.2, state)
    truth = (state - 0.125 * picture) / 0.4
    assert (foreseen - truth).norm() < (held - truth).norm()


def test_pictures_of_a_batch_learn_each_for_itself() -> None:
    together, alone = Adaptive(), Adaptive()
    for seed, (sigma, end) in enumerate(((1.0, 0.8), (0.8, 0.6), (0.6, 0.4))):
        velocity, x = _tensor(seed), _tensor(10 + seed)
        _observe(together, sigma, velocity, x, end)
        _observe(alone, sigma, velocity[:1], x[:1], end)

    x = _tensor(20)
    both = together.estimate(0.5, 0.4, x)
    assert torch.allclose(both[:1], alone.estimate(0.5, 0.4, x[:1]), atol=1e-6)


def test_streams_of_one_latent_learn_each_for_itself() -> None:
    """Two streams, one of 5 numbers and one of 3, against either of them alone."""
    streams = (5, 3)
    together, parts = Adaptive(streams), [Adaptive(), Adaptive()]
    for seed, (sigma, end) in enumerate(((1.0, 0.8), (0.8, 0.6), (0.6, 0.4))):
        velocity, x = (_tensor(seed + k)[:, :1, 0] for k in (0, 10))
        _observe(together, sigma, velocity, x, end)
        for part, v, own in zip(
            parts, velocity.split(streams, -1), x.split(streams, -1), strict=True
        ):
            _observe(part, sigma, v, own, end)

    x = torch.zeros(2, 1, 8)
    alone = [
        part.estimate(0.5, 0.4, x[..., :size]) for part, size in zip(parts, streams, strict=True)
    ]
    assert torch.allclose(together.estimate(0.5, 0.4, x), torch.cat(alone, -1), atol=1e-6)


def _gaussian(x: Tensor, sigma: float, spread: float, mean: float, guidance: float) -> Tensor:
    """The guided prediction where data are normal: cond around ``mean``, uncond around its minus.

    Of ``x = (1 - s) x0 + s n`` it is ``m + k (x - (1 - s) m)``, ``k = a d^2 / (a^2 d^2 + s^2)``.
    """
    a = 1.0 - sigma
    k = a * spread**2 / (a**2 * spread**2 + sigma**2)
    cond, uncond = (m + k * (x - a * m) for m in (mean, -mean))
    return uncond + guidance * (cond - uncond)


def _sampled(nodes: tuple[int, ...], streams: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Picture and sound of unlike data after 20 steps with shift 3, of which ``nodes`` run."""
    times = [i / 20 for i in range(20, -1, -1)]
    sigmas = tuple(3.0 * t / (1.0 + 2.0 * t) for t in times)
    cache = VelocityCache(Schedule(20, nodes, "adaptive"), sigmas, streams=streams)
    x = torch.randn(1, 1, 4060, generator=torch.Generator().manual_seed(1))
    for i, (sigma, following) in enumerate(pairwise(sigmas)):
        if cache.must_compute(i, x):
            picture, sound = x.split((4000, 60), dim=-1)
            parts = _gaussian(picture, sigma, 0.5, 0.5, 4.0), _gaussian(sound, sigma, 1.5, 1.0, 4.0)
            denoised = torch.cat(parts, dim=-1)
            cache.observe(i, sigma, x, denoised)
        else:
            denoised = cache.estimate(i, sigma, x)
        x = x + (x - denoised) / sigma * (following - sigma)
    picture, sound = x.split((4000, 60), dim=-1)
    return picture, sound


def test_sound_beside_a_far_larger_picture_is_nearer_where_it_learns_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By what the edges before foretell; the slope in full would be the same for both."""
    monkeypatch.setattr(slope_trust, "TRUST", 0.0)
    nodes = (0, 1, 2, 4, 6, 8, 11, 13, 15, 17, 19)
    full, shared = _sampled(tuple(range(20)), ()), _sampled(nodes, ())
    each = _sampled(nodes, (4000, 60))
    picture, sound = (
        float((ours - whole).norm() / (both - whole).norm())
        for ours, both, whole in zip(each, shared, full, strict=True)
    )
    assert sound < 0.6
    assert picture == pytest.approx(1.0, abs=0.05)


def test_a_latent_of_another_length_is_one_stream() -> None:
    """A stand-in for a window over a part of the latent: nothing to cut by."""
    several, one = Adaptive((5, 4)), Adaptive()
    for seed, (sigma, end) in enumerate(((1.0, 0.8), (0.8, 0.6), (0.6, 0.4))):
        velocity, x = _tensor(seed), _tensor(10 + seed)
        _observe(several, sigma, velocity, x, end)
        _observe(one, sigma, velocity, x, end)

    x = _tensor(20)
    assert torch.equal(several.estimate(0.5, 0.4, x), one.estimate(0.5, 0.4, x))


def test_asking_twice_at_one_level_keeps_what_was_learned() -> None:
    once, twice = Adaptive(), Adaptive()
    for seed, (sigma, end) in enumerate(((1.0, 0.8), (0.8, 0.6), (0.6, 0.4))):
        velocity, x = _tensor(seed), _tensor(10 + seed)
        _observe(once, sigma, velocity, x, end)
        _observe(twice, sigma, velocity, x, 0.0)
        _observe(twice, sigma, velocity, x, end)

    assert torch.allclose(once.estimate(0.5, 0.4, x), twice.estimate(0.5, 0.4, x), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e20, float("nan")])
def test_what_teaches_nothing_gives_no_wild_estimate(value: float) -> None:
    """All zeros, products that overflow, NaN from the model: coefficients stay within bounds."""
    estimator = Adaptive()
    for seed, (sigma, end) in enumerate(((1.0, 0.8), (0.8, 0.6))):
        _observe(estimator, sigma, _tensor(seed) * value, _tensor(5) * value, end)
    velocity = _tensor(7)
    _observe(estimator, 0.6, velocity, _tensor(8), 0.4)

    estimate = estimator.estimate(0.5, 0.4, velocity)
    if value == value and value < 1.0:
        assert torch.isfinite(estimate).all()
    assert estimate.shape == velocity.shape


def test_five_tensors_are_held_and_the_sampler_may_write_into_its_own() -> None:
    schedule = Schedule(5, (0, 2, 4), "adaptive")
    cache = VelocityCache(schedule, SIGMAS)
    x = _tensor(1)
    for step in (0, 2):
        state = x.clone()
        cache.observe(step, SIGMAS[step], state, _tensor(step + 5))
        state.fill_(float("nan"))

    estimate = cache.estimate(3, SIGMAS[3], x)
    assert torch.isfinite(estimate).all()
    assert cache.peak_bytes == 5 * x.nbytes
    assert not torch.allclose(estimate, denoised_from_velocity(x, torch.zeros_like(x), 0.4))


def test_a_schedule_says_its_estimator() -> None:
    schedule = Schedule(5, (0, 2, 4), "adaptive")

    assert Schedule.from_json(schedule.to_json()) == schedule
