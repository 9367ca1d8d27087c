"""The parts of block caches on numbers that a reader can compute."""

from dataclasses import dataclass

import pytest
import torch

from benchmarks.contestants.block_settings import even_steps
from benchmarks.contestants.blocks import Call
from benchmarks.contestants.dbcache import DBCache
from benchmarks.contestants.dicache import DiCache
from benchmarks.contestants.duca import every_second, norm_of_values
from benchmarks.contestants.taylorseer import Differences
from benchmarks.contestants.toca import _leaders, attention_received, plans, tokens_of_blocks


def test_conds_follow_the_first_one():
    decided = {}
    together = _call(conds=2, decided=decided).agreed(torch.tensor([True, False, False, True]))
    assert together.tolist() == [True, False, True, False]
    later = _call(conds=1, decided=decided).agreed(torch.tensor([False, True]))
    assert later.tolist() == [True, False]


def _call(**fields):
    nothing = torch.empty(0)
    return Call([], 0, 0, (1, 1), nothing, nothing, step=3, steps=10, done=nothing, **fields)


@dataclass
class AddingCall:
    """Two blocks that add a number each, ``adds``, on one row of one number."""

    adds: tuple[float, float]
    blocks = (None, None)

    def every_row(self):
        return torch.ones(1, dtype=torch.bool)

    def agreed(self, due):
        return due

    def run(self, hidden, blocks, rows=None):
        rows = self.every_row() if rows is None else rows
        return hidden[rows] + sum(self.adds[i] for i in blocks)


def _through(cache, *adds):
    return cache.through(AddingCall(adds), torch.ones(1, 1, 1)).item()


def test_dicache_goes_on_along_the_probe():
    cache = DiCache(threshold=0.4)
    assert _through(cache, 1.0, 9.0) == 11.0  # kept: 10 where the probe's residual is 1
    assert _through(cache, 2.0, 18.0) == 21.0  # the probe, 2, became 3; kept: 20 where it is 2
    # The probe became 3.4, 0.13 more; its residual is 1.4 times as far along: 10 + 1.4 * 10.
    assert _through(cache, 2.4, 0.0) == pytest.approx(1.0 + 24.0)
    # Now 0.13 + 0.2 of change; 1.5 times as far at most.
    assert _through(cache, 3.08, 0.0) == pytest.approx(1.0 + 25.0)
    assert _through(cache, 4.0, 5.0) == 10.0  # 0.13 + 0.2 + 0.23 is beyond the threshold


def test_dbcache_compares_with_the_last_evaluated_step():
    cache = DBCache(threshold=0.3, first=1, last=0)
    assert _through(cache, 1.0, 9.0) == 11.0
    assert _through(cache, 1.2, 0.0) == pytest.approx(1.0 + 1.2 + 9.0)
    assert _through(cache, 1.29, 0.0) == pytest.approx(1.0 + 1.29 + 9.0)  # 0.29 from 1, not 0.08
    assert _through(cache, 1.31, 2.0) == pytest.approx(1.0 + 1.31 + 2.0)
    assert _through(cache, 1.0, 0.0) == pytest.approx(1.0 + 1.0 + 2.0)  # 0.24 from 1.31


@pytest.mark.parametrize(
    ("order", "forecast"),
    [(0, 4.0), (1, 4.0 + 3.0 * 2), (2, 4.0 + 3.0 * 2 + 2.0 * 2**2 / 2)],
)
def test_forecasts_are_taylor_polynomials_of_differences(order, forecast):
    differences = Differences(order)
    for step, value in enumerate((0.0, 1.0, 4.0)):
        differences.add(step, torch.tensor(value))
    assert differences.at(4).item() == forecast


def test_differences_are_over_the_distance_of_steps():
    differences = Differences(1)
    differences.add(0, torch.tensor(1.0))
    differences.add(2, torch.tensor(5.0))
    assert differences.at(5).item() == 11.0


def test_steps_lie_evenly_after_the_warm_up():
    assert even_steps(50, 5) == (0, 10, 20, 30, 40)
    assert even_steps(10, 5, 3) == (0, 1, 2, 4, 7)
    assert every_second((0, 5), 10) == [2, 4, 7, 9]


def test_tokens_of_all_blocks_add_up_to_the_share():
    assert tokens_of_blocks(0.1, 76, 6) == [8, 8, 8, 8, 7, 7]  # 46 of 456


def test_plans_reach_the_equivalents():
    found = plans(50, 10, lambda full: every_second(full, 50))
    assert [len(plan.full) for plan in found] == [5, 6, 8, 9]
    assert [plan.equivalents for plan in found] == pytest.approx([10.0] * 4)


def test_the_best_of_each_neighbourhood_leads():
    score = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0, 9.0]])
    # 1 2 | 3
    # 4 0 | 9
    assert _leaders(score, (2, 3)).tolist() == [[False, False, False, True, False, True]]


def test_attention_received_and_norms_of_values():
    q = k = torch.tensor([[[[0.0], [0.0]]]])
    v = torch.tensor([[[[3.0, 4.0], [0.0, 1.0]]]])
    assert attention_received(q, k, v).tolist() == [[0.5, 0.5]]
    assert norm_of_values(q, k, v).tolist() == [[5.0, 1.0]]
