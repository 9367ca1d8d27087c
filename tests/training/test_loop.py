"""The training loop stops by the clock, and goes on from a checkpoint as if it had not stopped."""

import json

import pytest
import torch
from torch import nn

from training.loop import CHECKPOINT, LOG, WARM_UP_STEPS, Settings, rate_factor, train


class Line:
    """A line through random points; each loss is a second of the clock's."""

    def __init__(self, stop_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(3, 1)
        self.seconds, self.stop_at = 0.0, stop_at

    def clock(self) -> float:
        return self.seconds

    def loss(self, batch: int) -> torch.Tensor:
        if self.seconds == self.stop_at:
            raise KeyboardInterrupt
        self.seconds += 1.0
        x = torch.randn(batch, 3)
        return (self.model(x) - x.sum(1, keepdim=True)).square().mean()

    def export(self, average: nn.Module, path, steps: int) -> None:
        torch.save(average.state_dict(), path)


def trained(folder, stop_at=None, start=None):
    """Weights, their average and the logged steps of a run of 200 seconds, saved every 30."""
    task = Line(stop_at)
    how = Settings(
        out=folder, minutes=200 / 60, batch=4, start=start, save_seconds=29.5, clock=task.clock
    )
    run = train(task, how)
    rows = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return task.model.state_dict(), run.average.state_dict(), [row.get("step") for row in rows]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    *whole, steps = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts", stop_at=110)
    # Saved after 90 steps: the row of step 100 is made again.
    *parts, again = trained(tmp_path / "parts", start=tmp_path / "parts" / CHECKPOINT)
    assert steps == again == [50, 100, 150, 200, None]
    for one, other in zip(whole, parts, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_run_can_be_trained_longer(tmp_path):
    trained(tmp_path)
    task = Line()
    how = Settings(out=tmp_path, minutes=5, start=tmp_path / CHECKPOINT, clock=task.clock)
    assert train(task, how).step == 300


def test_the_rate_rises_by_steps_and_falls_by_the_clock():
    assert rate_factor(0.0, 0) == pytest.approx(1 / WARM_UP_STEPS)
    assert rate_factor(0.0, WARM_UP_STEPS) == 1.0
    assert rate_factor(0.5, WARM_UP_STEPS) == pytest.approx(0.5)
    assert 0 < rate_factor(1.0, WARM_UP_STEPS) < 0.01
