"""Caches on the blocks of a FLUX: exact where they skip nothing, counted by hand, free of leaks.

The tiny FLUX has 2 blocks, 6 words and 16 image tokens: one block on one token is 1 / 44 of a call.
"""

import logging
from types import SimpleNamespace

import pytest
import torch

from benchmarks.contestants import dbcache, dicache, duca, taylorseer, teacache, toca
from benchmarks.contestants.blocks import with_block_cache
from benchmarks.contestants.contestant import sample
from benchmarks.contestants.dbcache import DBCache
from benchmarks.contestants.dicache import DiCache
from benchmarks.contestants.duca import norm_of_values
from benchmarks.contestants.taylorseer import TaylorSeer
from benchmarks.contestants.teacache import TeaCache, polynomial
from benchmarks.contestants.toca import (
    Plan,
    ToCa,
    attention_received,
)
from benchmarks.contestants.token_blocks import Chosen, Memory, every_token, token_blocks
from benchmarks.models import demo
from benchmarks.models.sampled import SampledModel

BLOCK_RIVALS = {
    name: contestant
    for module in (dbcache, dicache, duca, taylorseer, teacache, toca)
    for name, contestant in module.CONTESTANTS.items()
}
RUN = 10
EVER = 1e9
PLENTY = 1e15

NEVER_SKIPPING = {
    "TeaCache": lambda: TeaCache(0.0, polynomial([1.0, 0.0])),
    "DiCache": lambda: DiCache(0.0),
    "DBCache F1B0": lambda: DBCache(0.0, 1, 0),
    "DBCache F1B1": lambda: DBCache(0.0, 1, 1),
    "TaylorSeer": lambda: TaylorSeer(range(RUN), 2),
    "ToCa": lambda: ToCa(Plan(range(RUN), [], 0.0), attention_received),
    "ToCa, every token chosen anew": lambda: ToCa(
        Plan([0], range(1, RUN), 1.0), attention_received
    ),
}

SKIPPING = {
    # Foretold changes are 1 a step: 0, 2, 4, 6, 8 are evaluated, and the last step, 9.
    "TeaCache": (lambda: TeaCache(2.0, polynomial([1.0])), 6.0),
    # Only the first and the last step.
    "TeaCache, as seldom as can be": (lambda: TeaCache(EVER, polynomial([1.0])), 2.0),
    # The first step, and 1 of 2 blocks at 9 others: 1 + 9 / 2.
    "DiCache": (lambda: DiCache(EVER), 5.5),
    "DBCache F1B0": (lambda: DBCache(EVER, 1, 0), 5.5),
    # Nothing lies between the first and the last block.
    "DBCache F1B1": (lambda: DBCache(EVER, 1, 1), 10.0),
    "TaylorSeer": (lambda: TaylorSeer([0, 3, 6], 1), 3.0),
    # 2 steps, and half of the tokens at 8: 2 + 8 / 2.
    "ToCa": (lambda: ToCa(Plan([0, 5], [*range(1, 5), *range(6, 10)], 0.5), attention_received), 6),
    # 2 steps, and 11 of 44 tokens in blocks, 6 + 5, at 2, 4, 7 and 9: 2 + 4 / 4.
    "DuCa": (lambda: ToCa(Plan([0, 5], [2, 4, 7, 9], 0.25), norm_of_values), 3.0),
}


@pytest.fixture(autouse=True)
def conds_in_one_forward(host, monkeypatch):
    """The host splits them where memory is short."""
    monkeypatch.setattr(
        "comfy.model_management.get_free_memory",
        lambda device=None, torch_free_too=False: (PLENTY,) * 2 if torch_free_too else PLENTY,
    )


@pytest.mark.parametrize("name", NEVER_SKIPPING)
def test_a_setting_that_never_skips_is_the_plain_run(tiny_flux, plain, name):
    model, work = with_block_cache(tiny_flux.model, NEVER_SKIPPING[name])
    samples = plain(tiny_flux, model, steps=RUN, cfg=2.0)
    expected = plain(tiny_flux, steps=RUN, cfg=2.0)
    assert work.equivalents == pytest.approx([RUN])
    if name.startswith("ToCa, every"):  # attention adds up the same tokens in another order
        assert torch.allclose(samples, expected, atol=1e-4)
    else:
        assert torch.equal(samples, expected)


@pytest.mark.parametrize("name", SKIPPING)
def test_equivalents_are_blocks_times_tokens(tiny_flux, plain, name):
    make, equivalents = SKIPPING[name]
    model, work = with_block_cache(tiny_flux.model, make)
    samples = plain(tiny_flux, model, steps=RUN, cfg=2.0)
    assert work.equivalents == pytest.approx([equivalents])
    same = torch.equal(samples, plain(tiny_flux, steps=RUN, cfg=2.0))
    assert same == (equivalents == RUN)


@pytest.mark.parametrize("name", SKIPPING)
def test_nothing_is_left_for_the_next_run(tiny_flux, plain, state_of, name):
    before = state_of(tiny_flux.model)
    model, _ = with_block_cache(tiny_flux.model, SKIPPING[name][0])
    patched = state_of(model)
    first = plain(tiny_flux, model, steps=RUN, seed=1)
    plain(tiny_flux, model, steps=7, seed=2)
    assert torch.equal(plain(tiny_flux, model, steps=RUN, seed=1), first)
    assert state_of(model) == patched and state_of(tiny_flux.model) == before


class OnlyFirstRow:
    """Evaluates the first row of a forward alone."""

    def through(self, call, hidden):
        out = hidden.clone()
        rows = torch.arange(len(hidden)) == 0
        out[rows] = call.run(hidden, range(len(call.blocks)), rows)
        return out


def test_prompts_and_conds_are_counted_apart(tiny_flux, plain):
    model, work = with_block_cache(tiny_flux.model, OnlyFirstRow)
    two = {"samples": tiny_flux.latent["samples"].repeat(2, 1, 1, 1)}
    plain(tiny_flux, model, two, steps=RUN, cfg=2.0)
    # Of the two conds of the first prompt one, of the second prompt's none.
    assert work.equivalents == pytest.approx([RUN / 2, 0.0])


@pytest.mark.parametrize("apart", [False, True])
def test_each_picture_decides_for_itself(tiny_flux, plain, monkeypatch, apart):
    """A picture beside another gets what it gets alone, with its conds in one forward or in two."""
    model, work = with_block_cache(tiny_flux.model, lambda: DBCache(0.7, 1, 0))
    expected = plain(tiny_flux, model, steps=RUN, cfg=2.0)
    if apart:
        needed = lambda *args, **named: PLENTY  # noqa: E731
        monkeypatch.setattr(tiny_flux.model.model, "memory_required", needed)
    two = {"samples": tiny_flux.latent["samples"].repeat(2, 1, 1, 1)}
    both = plain(tiny_flux, model, two, steps=RUN, cfg=2.0)
    together = work.equivalents
    alone = plain(tiny_flux, model, steps=RUN, cfg=2.0)
    assert 5.5 < work.equivalents[0] < RUN
    assert together[0] == pytest.approx(work.equivalents[0])
    assert torch.allclose(both[:1], alone, atol=1e-4)
    assert torch.allclose(alone, expected, atol=1e-4)


class AgreesWithItself:
    """Evaluates some tokens again, with all others kept from the same input."""

    def through(self, call, hidden):
        rows = len(hidden)
        some = Chosen(torch.tensor([[4, 1]] * rows), torch.tensor([[20, 7, 11]] * rows))
        for block in token_blocks(call):
            memory = Memory()
            whole = block.evaluate(call, hidden, memory, every_token(call))
            again = block.evaluate(call, hidden, memory, some)
            assert torch.allclose(again, whole, atol=1e-5)
            assert torch.equal(block.replay(call, hidden, memory.updates), again)
            memory.updates = [torch.full_like(u, torch.nan) for u in memory.updates]
            part = block.evaluate(call, hidden, memory, some)
            evaluated = part.isfinite().all(dim=2)
            assert [row.nonzero().flatten().tolist() for row in evaluated] == [
                [1, 4, 7, 11, 20]
            ] * rows
            hidden = whole
        return hidden


def test_tokens_are_evaluated_as_the_whole_block_does(tiny_flux, plain):
    model, _ = with_block_cache(tiny_flux.model, AgreesWithItself)
    assert torch.equal(plain(tiny_flux, model, steps=2), plain(tiny_flux, steps=2))


@pytest.fixture(scope="module")
def bench(host, tmp_path_factory):
    seen = SampledModel(host, demo.build(host), demo.prompts("calibration")[:2])
    seen.full_runs()
    work = tmp_path_factory.mktemp("work")
    return SimpleNamespace(host=host, seen=seen, model=seen.model, sigmas=seen.sigmas(), work=work)


@pytest.mark.parametrize("name", [n for n in BLOCK_RIVALS if n.startswith(("Taylor", "ToCa"))])
def test_contestants_reach_the_asked_calls(bench, monkeypatch, name):
    monkeypatch.setattr("benchmarks.contestants.tuning.PROMPTS", 2)
    how = BLOCK_RIVALS[name](bench, 20)
    samples, calls = sample(bench.seen, how, [0, 1])
    assert calls == pytest.approx([20.0, 20.0], abs=0.1)
    full = bench.seen.sample([0, 1])
    assert 0 < float((samples - full).square().mean().sqrt()) < 0.1


def test_what_probing_alone_uses_up_is_refused(bench, monkeypatch, caplog):
    monkeypatch.setattr("benchmarks.contestants.tuning.PROMPTS", 2)
    name = next(n for n in BLOCK_RIVALS if n.startswith("DiCache"))
    with caplog.at_level(logging.WARNING, "otcache"):
        assert BLOCK_RIVALS[name](bench, 8) is None
    # The first step, and 1 of 6 blocks at 49 others.
    assert "DiCache at 8 calls: left out, it needs 9.2 equivalents" in caplog.text


@pytest.mark.parametrize("name", BLOCK_RIVALS)
def test_other_models_are_refused(tiny_eps, caplog, name):
    with caplog.at_level(logging.WARNING, "otcache"):
        assert BLOCK_RIVALS[name](SimpleNamespace(model=tiny_eps.model), 10) is None
    assert "blocks of the FLUX class" in caplog.text
