"""The contestants that are not ours, as far as they are arithmetic."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

from benchmarks.contestants.forecasters import blended, chebyshev_ridge, gram_of, learned, taylor
from benchmarks.contestants.fsampler import Adaptive, lagrange, of_noise
from benchmarks.contestants.lemica import LONGEST, fill_costs, minimax_path
from benchmarks.contestants.linear import plan_weights, slope
from benchmarks.contestants.tuning import TOLERANCE, TRIES, Tuned, bisect
from benchmarks.contestants.vde import Parts, join, onward, own_steps, split

KNOWN = (0, 2, 3, 7, 11, 14)


@pytest.mark.parametrize("nodes", [2, 4, 6, 9])
@pytest.mark.parametrize("seed", range(5))
def test_the_minimax_path_is_the_best_of_all(nodes, seed):
    rng = np.random.default_rng(seed)
    # Few different values, so that ties in the largest cost leave the next one to decide.
    costs = rng.integers(1, 5, (9, 9)).astype(float)

    def key(path):
        return sorted((costs[t, s] for t, s in zip(path, path[1:], strict=False)), reverse=True)

    paths = [(0, *middle, 8) for middle in combinations(range(1, 8), nodes - 2)]
    found = minimax_path(costs, nodes)
    assert found in paths
    assert key(found) == min(map(key, paths))


def test_a_path_avoids_edges_that_are_not_there():
    costs = np.full((5, 5), 1.0)
    costs[0, 1] = costs[0, 3] = math.inf
    assert minimax_path(costs, 3) == (0, 2, 4)
    with pytest.raises(ValueError, match="5 of 5 nodes"):
        minimax_path(costs, 5)


def test_costs_between_measured_ones_are_interpolated_in_their_logarithm():
    # Costs that are a power of 3 in the length and of 2 in the end are met exactly.
    measured = {(e - n, e): 3.0**n * 2.0**-e for e in range(4, 30, 2) for n in (2, 4)}
    costs = fill_costs(measured, 30)
    assert costs[5, 6] == 0.0
    assert costs[7, 10] == pytest.approx(3.0**3 * 2.0**-10)
    assert costs[9, 11] == pytest.approx(3.0**2 * 2.0**-11)
    assert costs[8, 11] == pytest.approx(3.0**3 * 2.0**-11)
    assert math.isinf(costs[0, LONGEST + 1]) and math.isinf(costs[6, 5])


def test_chebyshev_fit_is_exact_on_a_polynomial_of_its_degree():
    coefficients = [0.3, -1.0, 0.5, 0.2, -0.7]
    values = chebyshev.chebval(2 * np.arange(20) / 20 - 1, coefficients)
    weights = chebyshev_ridge(20, ridge=1e-12)(KNOWN, 16)
    assert weights @ values[list(KNOWN)] == pytest.approx(values[16], rel=1e-6)


def test_the_ridge_holds_back_the_fit():
    assert chebyshev_ridge(20)(KNOWN, 16).sum() != pytest.approx(1.0, abs=1e-3)
    assert np.abs(chebyshev_ridge(20, ridge=1e6)(KNOWN, 16)).max() < 1e-4
    assert chebyshev_ridge(20)((0,), 3).tolist() == [1.0]


def test_taylor_is_exact_on_a_parabola_of_even_steps():
    # Backward differences h apart: f + k (f - f1) + k^2 / 2 (f - 2 f1 + f2), k steps of h ahead.
    assert taylor((0, 1), 3).tolist() == [-2.0, 3.0]
    assert taylor((0, 2, 4), 6) == pytest.approx([0.5, -2.0, 2.5])
    assert taylor((4,), 6).tolist() == [1.0]
    assert taylor(KNOWN, 17, order=0).tolist() == [0, 0, 0, 0, 0, 1.0]


def test_learned_weights_are_the_true_ones_where_there_are_any():
    rng = np.random.default_rng(0)
    truth = np.array([0.25, -1.5, 2.25])
    runs = []
    for _ in range(3):
        velocity = rng.normal(size=(6, 200))
        velocity[5] = truth @ velocity[[0, 2, 3]]
        runs.append(type("Run", (), {"velocity": velocity})())
    assert learned(gram_of(runs), ridge=1e-12)((0, 2, 3), 5) == pytest.approx(truth)


def test_the_slope_is_a_line_in_sigma():
    sigmas = np.linspace(1, 0, 21) ** 2
    line = slope(sigmas)
    assert line(KNOWN, 17) @ (3 - 2 * sigmas[list(KNOWN)]) == pytest.approx(3 - 2 * sigmas[17])
    assert line((0,), 1).tolist() == [1.0]
    half = blended(line, taylor)(KNOWN, 17)
    assert half == pytest.approx(0.5 * line(KNOWN, 17) + 0.5 * taylor(KNOWN, 17))


def test_weights_are_there_for_skipped_steps_alone():
    plan = plan_weights(6, (0, 2, 5), slope(np.linspace(1, 0, 7)))
    assert [len(weights) for weights in plan] == [0, 1, 0, 2, 2, 0]


def test_a_velocity_is_split_along_and_across_its_state():
    x = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    velocity = torch.tensor([[6.0 - 4.0, 8.0 + 3.0], [1.0, -2.0]])  # 2 x and 5 across it; -x and 1
    parts = split(velocity, x)
    assert parts.along.flatten().tolist() == pytest.approx([2.0, -1.0])
    assert parts.across.flatten().tolist() == pytest.approx([1.0, 0.5])
    assert torch.allclose(parts.direction, torch.tensor([[-0.8, 0.6], [1.0, 0.0]]))
    assert torch.allclose(join(parts, x), velocity)


def test_its_sizes_go_on_along_a_line_and_its_direction_stays():
    direction = torch.tensor([[0.0, 1.0]])
    last, before = (Parts(torch.tensor([[a]]), torch.tensor([[b]]), direction * c)
                    for a, b, c in ((2.0, 0.5, 1), (1.0, 0.7, -1)))  # fmt: skip
    further = onward(last, before, 2.0)
    assert (further.along.item(), further.across.item()) == pytest.approx((4.0, 0.1))
    assert torch.equal(further.direction, direction)
    assert onward(last, None, 2.0) is last


@pytest.mark.parametrize("calls", [8, 12, 20])
@pytest.mark.parametrize("warm_up", [1, 3, 6])
def test_its_steps_are_as_many_as_asked_and_end_with_the_last(calls, warm_up):
    steps = own_steps(calls, warm_up, 50)
    assert len({*steps}) == calls and sorted(steps) == list(steps)
    assert steps[:warm_up] == tuple(range(warm_up)) and steps[-1] == 49
    gaps = np.diff(steps[warm_up - 1 :])
    assert gaps.max() - gaps.min() <= 1


def test_lagrange_is_exact_on_a_polynomial_of_its_degree():
    values = [t**2 - 3.0 * t for t in KNOWN]
    assert lagrange(KNOWN, 17, 3) @ values == pytest.approx(17**2 - 51)
    assert lagrange(KNOWN, 17, 2) @ [5.0 - t for t in KNOWN] == pytest.approx(-12)
    assert lagrange((4, 5), 6, 2).tolist() == [-1.0, 2.0]  # FSampler's own h2
    assert lagrange((3, 4, 5), 6, 3) == pytest.approx([1.0, -3.0, 3.0])  # and h3
    assert lagrange((4,), 9, 3).tolist() == [1.0]


def test_noise_is_extrapolated_and_not_the_velocity():
    sigmas = np.linspace(2, 0, 21)
    velocity = [-(1.0 + t) / sigmas[t] for t in KNOWN]  # the noise estimate is 1 + t
    assert of_noise(sigmas, 2)(KNOWN, 17) @ velocity == pytest.approx(-18.0 / sigmas[17])


def test_the_adaptive_mode_skips_where_its_two_estimates_agree():
    sigmas = tuple(np.linspace(1, 0, 11))
    computed = []

    def run(noise, **bounds):
        computed.clear()
        adaptive = Adaptive(sigmas, 1e-4, **bounds)
        x, found = torch.full((1, 4), 2.0), []
        for step in range(10):

            def evaluate(step=step):
                computed.append(step)
                return x + noise(step)

            found.append((adaptive(step, x, evaluate) - x)[0, 0].item())
        return found

    assert run(lambda step: 1.0 + step) == pytest.approx([1.0 + step for step in range(10)])
    assert computed == [0, 1, 2, 9]  # history, then a line that holds; the last is protected
    run(lambda step: float(step % 2))
    assert computed == list(range(10))
    run(lambda step: 1.0 + step, most_skips=2)
    assert computed == [0, 1, 2, 5, 8, 9]


@pytest.mark.parametrize("wanted", [8, 12, 20])
def test_bisection_reaches_a_value_of_a_falling_function(wanted):
    asked = []

    def count(setting):
        asked.append(setting)
        return 50 / (1 + 10 * setting)

    found = bisect(count, wanted, 1e-3, 10.0)
    assert found.calls == pytest.approx(wanted, abs=TOLERANCE)
    assert found.calls == count(found.setting)
    assert len(asked) <= TRIES + 1


def test_bisection_returns_the_nearest_where_the_value_is_jumped_over():
    found = bisect(lambda setting: 20.0 if setting < 0.3 else 9.0, 12, 1e-3, 10.0)
    assert found.calls == 9.0


def test_bisection_ends_at_the_greatest_setting_where_that_is_not_enough():
    assert bisect(lambda setting: 13.0, 8, 1e-3, 0.75) == Tuned(0.75, 13.0)
