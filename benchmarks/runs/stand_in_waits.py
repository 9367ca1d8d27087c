"""Runs of the host's samplers on a GPU that is not there, to count what waits for it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch

from benchmarks.instruments.stand_in_device import DEVICE, StandInDevice, on_device, on_host
from benchmarks.instruments.step_clock import Apply, unchanged
from benchmarks.instruments.waits import RunWaits


class _Watch:
    """Wrappers around a run that tell its evaluations apart.

    Args:
        device: What the run is on.
        tables: The model's noise levels, which the host's samplers read from the device.
    """

    def __init__(self, device: StandInDevice, tables: dict[str, Any]) -> None:
        self.device, self.tables = device, tables
        self.begins: list[int] = []
        self.computed: list[bool] = []

    def added_to(self, model: Any) -> Any:
        """A clone that is watched."""
        from comfy.patcher_extension import WrappersMP

        clone = model.clone()
        clone.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, "waits", self._sampler)
        clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "waits", self._prediction)
        clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "waits", self._forward)
        return clone

    def _sampler(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        result = executor(*args, **kwargs)
        self.begins.append(len(self.device.waits))
        return result

    def _prediction(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self.begins.append(len(self.device.waits))
        self.computed.append(False)
        return executor(*args, **kwargs)

    def _forward(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self.computed[-1] = True
        args, kwargs = on_host((args, kwargs))
        with torch._C.DisableTorchFunction(), patch.dict(self.tables, on_host(self.tables)):
            denoised = executor(*args, **kwargs)
        return on_device(denoised)


def _much_memory(device: Any = None, torch_free_too: bool = False) -> Any:
    free = 1 << 40
    return (free, free) if torch_free_too else free


def waits_of_run(
    parts: Any, sampler: str, steps: int, apply: Apply = unchanged, cfg: float = 1.0
) -> tuple[RunWaits, torch.Tensor]:
    """Samples on the GPU that is not there, with seed 1 on 'simple' noise levels, and counts.

    Args:
        parts: A small model with its conditionings.
        sampler: The host's name of a sampler.
        steps: Of the run.
        apply: What is done to the model first, such as applying a schedule.
        cfg: Guidance scale.

    Returns:
        What was waited for, and the latent.
    """
    import comfy.model_management as management
    import comfy.sample

    management.unload_all_models()  # from a real GPU, where there is one
    device = StandInDevice()
    tables = parts.model.get_model_object("model_sampling")._buffers
    watch = _Watch(device, tables)
    model = apply(watch.added_to(parts.model))
    model.load_device = DEVICE
    latent = parts.latent["samples"]
    with (
        patch.object(management, "load_models_gpu", lambda *_, **__: None),
        patch.object(management, "get_free_memory", _much_memory),
        patch.dict(tables, on_device(tables)),
        torch.inference_mode(),
        device,
    ):
        noise = comfy.sample.prepare_noise(latent, 1)
        sampled: torch.Tensor = comfy.sample.sample(
            model, noise, steps, cfg, sampler, "simple", parts.positive, parts.negative, latent,
            seed=1, disable_pbar=True,
        )  # fmt: skip
    return RunWaits.of(device.waits, watch.begins, watch.computed), sampled
