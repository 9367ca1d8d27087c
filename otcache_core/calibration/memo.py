"""Model calls that candidates share: two schedules with a common prefix need it only once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ..documents.schedule import Schedule, coefficients

Place: TypeAlias = Literal["host memory", "device", "off"]
PLACES: tuple[Place, ...] = ("host memory", "device", "off")

DEFAULT_MEMO_BYTES = 1 << 30


class PrefixMemo:
    """Predictions of the model by prompt and schedule prefix, the least recently used go first.

    Up to a computed step, a deterministic run depends only on the steps computed before it and how
    the ones between were estimated. What the model said there is kept and given out again, to the
    bit, so a search with a memo finds what it finds without one.

    Args:
        place: Where tensors are kept: ``"host memory"``, the ``"device"`` they came from, or
            ``"off"`` for nothing.
        max_bytes: Bound on what is kept.

    Attributes:
        calls: Model calls that were made through it.
        saved: Model calls that it answered.
        held_bytes: Bytes kept.
    """

    def __init__(self, place: Place = "host memory", max_bytes: int = DEFAULT_MEMO_BYTES) -> None:
        self.place, self.max_bytes = place, max_bytes
        self.calls = self.saved = self.held_bytes = 0
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def for_run(self, prompt: int, schedule: Schedule) -> RunMemo:
        """The memo of one run: remembers by step and evaluation alone."""
        return RunMemo(self, prompt, schedule)

    def recall(self, key: Hashable, like: Tensor, predict: Callable[[], Tensor]) -> Tensor:
        """What ``predict`` returned for this key, or what it returns now.

        Args:
            key: What the prediction depends on.
            like: A tensor on the device that the prediction is wanted on.
            predict: Runs the model.
        """
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            self.saved += 1
            # Samplers may write into what they are given.
            return kept.to(like.device, copy=True)
        predicted = predict()
        self.calls += 1
        wanted = self.place != "off" and predicted.nbytes <= self.max_bytes
        if wanted and bool(torch.isfinite(predicted).all()):
            device = "cpu" if self.place == "host memory" else predicted.device
            self._keep(key, predicted.detach().to(device, copy=True))
        return predicted

    def _keep(self, key: Hashable, value: Tensor) -> None:
        self._kept[key] = value
        self.held_bytes += value.nbytes
        while self.held_bytes > self.max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.held_bytes -= oldest.nbytes

    def clear(self) -> None:
        """Frees everything kept."""
        self._kept.clear()
        self.held_bytes = 0


class RunMemo:
    """A memo's view of one run.

    Args:
        memo: Where predictions are kept.
        prompt: The run's prompt.
        schedule: The run's schedule.
    """

    def __init__(self, memo: PrefixMemo, prompt: int, schedule: Schedule) -> None:
        self._memo, self._prompt, self._schedule = memo, prompt, schedule
        self._evaluations: dict[int, int] = {}

    def __call__(self, step: int, x: Tensor, predict: Callable[[], Tensor]) -> Tensor:
        """The model's prediction at a computed step.

        Args:
            step: The step's index.
            x: The noisy state there.
            predict: Runs the model.
        """
        nth = self._evaluations[step] = self._evaluations.get(step, -1) + 1
        schedule = self._schedule
        prefix = tuple(s for s in schedule.computed_steps if s <= step)
        edges = slice(len(prefix) - 1)
        values = coefficients(schedule, edges).values()
        look_back = schedule.look_back[edges]
        estimated = (schedule.estimator, schedule.steadiness, look_back, *values)
        key = (self._prompt, estimated, prefix, step, nth, tuple(x.shape))
        return self._memo.recall(key, x, predict)
