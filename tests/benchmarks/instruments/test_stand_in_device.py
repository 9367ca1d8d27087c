"""The GPU that is not there: whatever waits for a real one is written down, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmarks.instruments.stand_in_device import (
    DEVICE,
    READ,
    SIZE,
    TO_DEVICE,
    TO_HOST,
    StandInDevice,
    on_host,
)

VALUES = (1.0, 2.0, 3.0, 4.0)

Work = Callable[[torch.Tensor, torch.Tensor], Any]


def _waits(work: Work, *, inference: bool = False) -> tuple[list[str], Any]:
    with torch.inference_mode(inference), StandInDevice() as device:
        x = torch.tensor(VALUES).to(DEVICE)
        mask = x > 2
        before = len(device.waits)
        found = work(x, mask)
        return device.waits[before:], found


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    ("work", "wait"),
    [
        (lambda x, mask: x[0].item(), READ),
        (lambda x, mask: float(x[0]), READ),
        (lambda x, mask: int(x.argmax()), READ),
        (lambda x, mask: bool(mask.all()), READ),
        (lambda x, mask: 1 if x.isfinite().all() else 0, READ),
        (lambda x, mask: max(x[0], x[1]), READ),
        (lambda x, mask: torch.equal(x, x), READ),
        (lambda x, mask: torch.allclose(x, x), READ),
        (lambda x, mask: x.cpu(), TO_HOST),
        (lambda x, mask: x.to("cpu"), TO_HOST),
        (lambda x, mask: x.tolist(), TO_HOST),
        (lambda x, mask: torch.stack((x[0], x[1])).tolist(), TO_HOST),
        (lambda x, mask: torch.zeros(4).copy_(x), TO_HOST),
        (lambda x, mask: torch.ones(3).to(x.device), TO_DEVICE),
        (lambda x, mask: torch.tensor(0.5, device=x.device), TO_DEVICE),
        (lambda x, mask: x.copy_(torch.zeros(4)), TO_DEVICE),
        (lambda x, mask: mask.nonzero(), SIZE),
        (lambda x, mask: x[mask], SIZE),
        (lambda x, mask: x.unique(), SIZE),
    ],
)
def test_what_waits_is_seen(work: Work, wait: str, inference: bool) -> None:
    assert _waits(work, inference=inference)[0] == [wait]


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    "work",
    [
        lambda x, mask: x * 2 + x.sub(x, alpha=0.5).div_(3.0),
        lambda x, mask: torch.where(mask, x, 0.0),
        lambda x, mask: torch.zeros(3, device=x.device) + x[:3],
        lambda x, mask: x.sum(dtype=torch.float32).to(x.device, torch.float32),
        lambda x, mask: x * torch.tensor(2.0),  # a number goes along with the kernel
        lambda x, mask: x.to("cpu", non_blocking=True),
        lambda x, mask: float(torch.ones(1)),  # lies on the CPU
        lambda x, mask: (x.shape, x.dtype, x.device, len(x)),
    ],
)
def test_what_does_not_wait_is_not_written_down(work: Work, inference: bool) -> None:
    assert _waits(work, inference=inference)[0] == []


def test_tensors_say_where_they_lie_and_hold_what_they_hold() -> None:
    _, found = _waits(lambda x, mask: (x, x + 1, torch.zeros(2), x.cpu()))

    assert [t.device.type for t in found] == ["cuda", "cuda", "cpu", "cpu"]
    assert on_host(found[1]).tolist() == [2.0, 3.0, 4.0, 5.0]
    assert type(found[3]) is torch.Tensor


def test_time_is_told_only_after_the_device_has_come_to_it() -> None:
    with StandInDevice():
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        x = torch.ones(1, device=DEVICE)
        start.record(torch.cuda.current_stream())
        assert torch.cuda.current_stream().record_event(end) is end
        with pytest.raises(RuntimeError, match="wait for it first"):
            start.elapsed_time(end)
        x.item()
        assert start.elapsed_time(end) >= 0.0
