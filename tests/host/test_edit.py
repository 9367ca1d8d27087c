"""Edit Cache Schedule: what a mask says is what a run does."""

from __future__ import annotations

import pytest
import torch

pytestmark = pytest.mark.host

STEPS = 20
MASK = "1101001000" + "1000100011"  # 8 of 20
COMPUTED = [0, 1, 3, 6, 10, 14, 18, 19]


def _edit(host, mask, schedule=None):
    return host.run("OTCacheEditSchedule", mask=mask, schedule=schedule)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("estimator", ["slope", "adaptive", "reuse", "meancache"])
def test_a_run_computes_the_steps_of_the_mask(
    host, tiny_flux, sample, uniform, counted, alone, estimator
):
    before = None if alone else uniform(STEPS, 5, estimator)
    edited, mask = _edit(host, MASK, before).outputs
    with counted(tiny_flux.model) as (model, calls):
        _, done = sample(tiny_flux, edited, model=model)

    assert mask == MASK
    assert done["computed_steps"] == COMPUTED and done["skipped"] == STEPS - len(COMPUTED)
    assert calls.forwards == done["evaluations"] == MASK.count("1")


@pytest.mark.parametrize("alone", [False, True])
def test_a_mask_of_ones_is_the_plain_sampler_to_the_bit(
    host, tiny_flux, sample, plain, uniform, alone
):
    edited = _edit(host, "1" * STEPS, None if alone else uniform(STEPS, 5)).outputs[0]

    assert torch.equal(sample(tiny_flux, edited)[0], plain(tiny_flux))


def test_an_empty_mask_changes_nothing(host, tiny_flux, sample, uniform):
    schedule = uniform(STEPS, 6)  # 0, 4, 8, 11, 15, 19
    result = _edit(host, " \n", schedule)

    assert result.outputs == (schedule, "10001000100100010001")
    assert result.outputs[0] is schedule
    assert result.ui["text"] == ("6 calls of 20 steps, slope",)
    assert result.ui["otcache"] == [{**schedule.to_document(), "edited": False}]
    again = _edit(host, result.outputs[1], schedule)
    assert again.ui["otcache"] == [{**schedule.to_document(), "edited": True}]
    assert torch.equal(sample(tiny_flux, again.outputs[0])[0], sample(tiny_flux, schedule)[0])


def test_without_mask_and_schedule_every_step_runs(host, tiny_flux, sample, plain):
    result = _edit(host, "")

    assert result.outputs == (None, "")
    assert result.ui["text"] == ("No schedule is connected: every step runs the model.",)
    assert torch.equal(sample(tiny_flux, result.outputs[0])[0], plain(tiny_flux))


def test_a_mask_is_not_moved_where_the_scheduler_is_another_one(host, tiny_eps, sample, uniform):
    from dataclasses import replace

    # Made for levels that fall evenly, run at those of karras, which do not.
    levels = tuple(14.6 * (1.0 - i / STEPS) for i in range(STEPS + 1))
    origin = host.core("documents.schedule").Origin(sigmas=levels)
    schedule = replace(uniform(STEPS, 8), origin=origin)
    mask = _edit(host, "", schedule).outputs[1]

    moved = sample(tiny_eps, schedule, scheduler="karras")[1]
    edited = sample(tiny_eps, _edit(host, mask, schedule).outputs[0], scheduler="karras")[1]
    assert edited["computed_steps"] == list(schedule.computed_steps) != moved["computed_steps"]
    assert "not those of the calibration" in moved["note"]
    assert "not those of the calibration" not in edited["note"]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("1010", "must have as many steps as the schedule, 20, but has 4"),
        ("0" + "1" * 19, "must begin with 1 but begins with 0"),
        ("1" * 19 + "2", "must have nothing but 0 and 1"),
        ("1" * 1001, "must have from 1 to 1000 steps but has 1001"),
    ],
)
def test_masks_that_break_a_rule_are_refused(host, uniform, mask, message):
    with pytest.raises(host.core("errors").OTCacheError, match=message):
        _edit(host, mask, uniform(STEPS, 5))
