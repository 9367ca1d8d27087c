"""A GPU that is not there: CPU tensors that say they lie on one, and what would wait for it.

Under ``StandInDevice`` tensors may move to ``cuda:0`` on any machine. Their values and their
arithmetic are the CPU's, and each call for which a real GPU would make the program wait is written
down.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE, CPU = torch.device("cuda", 0), torch.device("cpu")

READ = "aten._local_scalar_dense"
"""A number is read: ``.item()``, ``float()``, ``bool()`` and an ``if`` over a tensor."""
TO_HOST, TO_DEVICE = "copy to the host", "copy to the device"
"""Copies that block: ``.cpu()``, ``.tolist()``, ``torch.tensor(..., device=)``."""
SIZE = "size by values"
"""A result whose size the values decide: ``nonzero``, indexing with a mask."""

_SIZED_BY_VALUES = ("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive")
_READERS = ("_local_scalar_dense", "equal", "allclose")
_TO_PYTHON = ("cpu", "tolist", "numpy", "__array__")
_COPIERS = ("to", "tensor", "as_tensor", "cuda", "asarray")


class _OnDevice(torch.Tensor):
    """A CPU tensor that says it lies on the device."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = DEVICE
    is_cuda = True


def on_host(value: Any) -> Any:
    """Any structure with its tensors as the plain ones that they are."""
    return tree_map(lambda t: t.as_subclass(torch.Tensor) if isinstance(t, _OnDevice) else t, value)


def on_device(value: Any) -> Any:
    """Any structure with its plain tensors on the device."""
    return tree_map(lambda t: t.as_subclass(_OnDevice) if type(t) is torch.Tensor else t, value)


class _Operators(TorchDispatchMode):
    """Writes down operators that wait, while the device's tensors are at work."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self.waits, self.watching = waits, False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping it would import the whole of torch's compiler

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if self.watching and name in _READERS:
            self.waits.append(READ)
        elif self.watching and (name in _SIZED_BY_VALUES or _by_mask(name, args)):
            self.waits.append(SIZE)
        with self:  # in inference mode operators come whole: `item` is not yet a reading
            parts = func.decompose(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if parts is NotImplemented else parts


def _by_mask(name: str, args: tuple[Any, ...]) -> bool:
    indices = args[1] if name in ("index", "index_put", "index_put_") else ()
    return any(i is not None and i.dtype == torch.bool for i in indices)


class _Generator(torch.Generator):
    """The CPU's, for any device."""

    def __new__(cls, device: Any = None) -> _Generator:
        return super().__new__(cls)


class StandInDevice(TorchFunctionMode):
    """`with StandInDevice() as device`: tensors may be on ``cuda:0``; see ``device.waits``."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._operators = _Operators(self.waits)
        self._entered = ExitStack()

    def __enter__(self) -> StandInDevice:
        for place, name, part in (
            (torch.cuda, "Event", lambda **_: _Event(self.waits)),
            (torch.cuda, "current_stream", lambda *_: _Stream()),
            (torch.cuda, "current_device", lambda: DEVICE.index),
            (torch.cuda, "set_device", lambda device: None),
            (torch, "Generator", _Generator),
        ):
            self._entered.enter_context(patch.object(place, name, part))
        self._entered.enter_context(self._operators)
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        super().__exit__(kind, error, trace)
        self._entered.close()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, leaves = func.__name__, tree_leaves((args, kwargs))
        here = any(isinstance(leaf, _OnDevice) for leaf in leaves)
        target = _target(name, args, leaves, here)
        self._note_copy(name, args, kwargs or {}, target)
        self._operators.watching = here
        try:
            result = func(*_for_cpu(args), **_for_cpu(kwargs or {}))
        finally:
            self._operators.watching = False
        if target == DEVICE:
            return on_device(result)
        return on_host(result.clone() if args and result is args[0] and here else result)

    def _note_copy(
        self, name: str, args: Any, kwargs: dict[str, Any], target: torch.device
    ) -> None:
        if kwargs.get("non_blocking"):
            return
        if name in (*_COPIERS, *_TO_PYTHON) or name == "copy_":
            source = DEVICE if isinstance(args[name == "copy_"], _OnDevice) else CPU
            if source != target:
                self.waits.append(TO_HOST if target == CPU else TO_DEVICE)


def _target(name: str, args: tuple[Any, ...], leaves: list[Any], here: bool) -> torch.device:
    """Where a call's tensors come to lie."""
    if name in _TO_PYTHON:
        return CPU
    if name.endswith("_") and not name.endswith("__"):  # in place
        return args[0].device
    if name == "to" and isinstance(args[-1], torch.Tensor) and len(args) > 1:
        return args[-1].device
    asked = [torch.device(leaf) for leaf in leaves if _is_device(leaf)]
    if asked:
        return CPU if asked[0].type == "cpu" else DEVICE
    return DEVICE if here or name == "cuda" else CPU


def _is_device(leaf: Any) -> bool:
    named = isinstance(leaf, str) and leaf in ("cpu", "cuda", "cuda:0")
    return named or isinstance(leaf, torch.device)


def _for_cpu(value: Any) -> Any:
    """Any structure with devices replaced by the CPU."""
    return tree_map(lambda leaf: CPU if _is_device(leaf) else leaf, value)


class _Stream:
    """The one stream of the device."""

    def record_event(self, event: _Event) -> _Event:
        """Puts a mark where the device's work is now."""
        event.record(self)
        return event


class _Event:
    """A mark in the device's work, told by the wall clock; passed once something was waited for."""

    def __init__(self, waits: list[str]) -> None:
        self._waits, self._before, self._time = waits, 0, 0.0

    def record(self, stream: _Stream) -> None:
        self._before, self._time = len(self._waits), time.perf_counter()

    def elapsed_time(self, end: _Event) -> float:
        """Milliseconds until another mark."""
        if len(self._waits) == end._before:
            raise RuntimeError("the device has not come to this event: wait for it first.")
        return 1e3 * (end._time - self._time)
