"""The bundled model for benchmarks: many prompts in one batch, through the host's own sampler."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.instruments.record import write_record
from scripts.host.find import REPOSITORY
from scripts.host.inprocess import Host, start_host

ANCHOR = "preset: otcache-demo"
STEPS = 50
CFG = 2.5
BATCH = 12
"""Prompts that are sampled at once: larger batches are no faster on a CPU."""
THREADS = 2
"""Of torch, where nothing is timed."""

Row = dict[str, Any]


def prompts(kind: str) -> list[str]:
    """The bundled prompts, ``"calibration"`` or ``"held_out"``."""
    text = (REPOSITORY / "demo_model" / "prompts.json").read_text(encoding="utf-8")
    listed: list[str] = json.loads(text)[kind]
    return listed


def rms(samples: torch.Tensor, reference: torch.Tensor) -> float:
    """Root mean square difference of each picture, on average, to the digits of a record.

    Args:
        samples, reference: Final latents ``(N, C, H, W)``.
    """
    of_each = (samples - reference).square().mean(dim=(1, 2, 3)).sqrt()
    return round(float(of_each.mean()), 4)


def record_rows(name: str, measure: Callable[[Host], Iterable[Row]], **settings: Any) -> None:
    """Measures row by row, prints each row as it comes, and writes the record.

    Args:
        name: The benchmark's and its record's name.
        measure: Gives the rows.
        settings: What the record says of all rows.
    """
    torch.set_num_threads(THREADS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(start_host(Path(folder))):
            rows.append(row)
            print(row, flush=True)
    path = write_record(name, f"nox -s bench -- {name}", {**settings, "rows": rows})
    print("record:", path.name)


class BundledModel:
    """Full runs and cached runs of the bundled model on a list of prompts.

    Args:
        host: A ComfyUI in this process.
        texts: The prompts.
        seed: Noise of prompt i is ``seed + i``, as in Calibrate OT Anchor.
    """

    def __init__(self, host: Host, texts: list[str], seed: int = 0) -> None:
        self.host, self.texts, self.seed = host, texts, seed
        self.model, self.clip, self.vae, _ = host.run("OTCacheDemoModel", batch_size=1).outputs
        self.negative = self._encode([""])
        self.lpips = host.module("nodes.library.lpips").load_lpips()
        self.references: list[torch.Tensor] = []

    def _encode(self, texts: list[str]) -> list[Any]:
        parts = [
            self.host.run("CLIPTextEncode", clip=self.clip, text=text).outputs[0][0]
            for text in texts
        ]
        pooled = torch.cat([about["pooled_output"] for _, about in parts])
        return [[torch.cat([context for context, _ in parts]), {"pooled_output": pooled}]]

    def sample(
        self,
        indices: list[int],
        model: Any = None,
        *,
        steps: int = STEPS,
        sampler: str = "euler",
        scheduler: str = "simple",
        sigmas: Sequence[float] | None = None,
    ) -> torch.Tensor:
        """Samples some prompts in one batch; final latents, which are pictures here.

        Args:
            indices: The prompts.
            model: The bundled model by default.
            steps, sampler, scheduler: As KSampler has them.
            sigmas: Own noise levels instead of those of ``steps`` and ``scheduler``.
        """
        import comfy.sample

        noise = torch.cat(
            [comfy.sample.prepare_noise(torch.zeros(1, 3, 64, 64), self.seed + i) for i in indices]
        )
        with torch.inference_mode():
            return comfy.sample.sample(
                self.model if model is None else model, noise, steps, CFG, sampler, scheduler,
                self._encode([self.texts[i] for i in indices]), self.negative,
                torch.zeros_like(noise), disable_pbar=True, seed=self.seed,
                sigmas=None if sigmas is None else torch.tensor(sigmas),
            )  # fmt: skip

    def resume(self, indices: list[int], states: torch.Tensor, sigmas: Sequence[float]) -> Any:
        """Goes on from the middle of runs under Euler.

        Args:
            indices: The prompt of each state; prompts may repeat.
            states: Noisy states, ``(N, 3, 64, 64)``, as the sampler has them.
            sigmas: The levels still to go, that of the states first.

        Returns:
            The last states, ``(N, 3, 64, 64)``, as the sampler has them.
        """
        import comfy.sample
        import comfy.samplers

        # A flow model starts from sigma * noise where the latent is empty.
        with torch.inference_mode():
            samples = comfy.sample.sample_custom(
                self.model, states / sigmas[0], CFG, comfy.samplers.sampler_object("euler"),
                torch.tensor(sigmas), self._encode([self.texts[i] for i in indices]),
                self.negative, torch.zeros_like(states), disable_pbar=True, seed=self.seed,
            )  # fmt: skip
        return self.model.model.process_latent_in(samples)

    def sample_at(
        self,
        sigmas: torch.Tensor,
        model: Any = None,
        *,
        sampler: str = "euler",
        latent: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Samples all prompts in one batch at given noise levels; final latents.

        Args:
            sigmas: Noise levels, ``(steps + 1,)``.
            model: The bundled model by default.
            sampler: Name of a sampler of the host.
            latent: What the noise is added to; nothing by default.
        """
        import comfy.sample
        import comfy.samplers

        empty = torch.zeros(1, 3, 64, 64)
        seeds = range(self.seed, self.seed + len(self.texts))
        noise = torch.cat([comfy.sample.prepare_noise(empty, seed) for seed in seeds])
        with torch.inference_mode():
            return comfy.sample.sample_custom(
                self.model if model is None else model, noise, CFG,
                comfy.samplers.sampler_object(sampler), sigmas, self._encode(self.texts),
                self.negative, torch.zeros_like(noise) if latent is None else latent,
                disable_pbar=True, seed=self.seed + 1,
            )  # fmt: skip

    def levels(
        self,
        steps: int = STEPS,
        model: Any = None,
        *,
        sampler: str = "euler",
        scheduler: str = "simple",
        denoise: float = 1.0,
    ) -> torch.Tensor:
        """The noise levels that KSampler gives to a sampler, ``(steps + 1,)``."""
        import comfy.samplers

        model = self.model if model is None else model
        found: torch.Tensor = comfy.samplers.KSampler(
            model, steps, model.load_device, sampler, scheduler, denoise=denoise
        ).sigmas
        return found

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Pictures ``(N, H, W, 3)``."""
        picture: torch.Tensor = self.vae.decode(samples)
        return picture

    def full_runs(self) -> list[Any]:
        """Runs every step on every prompt: keeps the pictures, returns the trajectories."""
        trajectories = []
        recorder_of = self.host.core("trajectory").TrajectoryRecorder
        observe = self.host.module("nodes.sampling.host").observe_predictions
        sigmas = self.sigmas()
        for batch in self.batches(range(len(self.texts))):
            recorders = [recorder_of(sigmas) for _ in batch]

            def record(x: torch.Tensor, denoised: torch.Tensor, into: Any = recorders) -> None:
                for i, recorder in enumerate(into):
                    recorder.add(x[i : i + 1], denoised[i : i + 1])

            pictures = self.decode(self.sample(batch, observe(self.model, record)))
            self.references.extend(pictures.split(1))
            trajectories += [recorder.finish() for recorder in recorders]
        return trajectories

    def sigmas(self) -> tuple[float, ...]:
        """Noise levels of a run."""
        job = self.host.module("nodes.calibration.runner").Job
        nothing: Any = None
        return job(
            self.model, nothing, nothing, nothing, STEPS, CFG, "euler", "simple", self.seed
        ).sigmas()

    def losses(self, schedule: Any, indices: list[int] | None = None) -> np.ndarray:
        """LPIPS of a schedule's pictures to the full runs', per prompt."""
        cached = self.host.module("nodes.sampling.host").apply_schedule(
            self.model, schedule, quiet=True
        )
        return self.distances(cached, indices)

    def distances(self, model: Any, indices: list[int] | None = None, **how: Any) -> np.ndarray:
        """LPIPS of a model's pictures to the full runs', per prompt; ``how`` goes to ``sample``."""
        found: list[torch.Tensor] = []
        for batch in self.batches(range(len(self.texts)) if indices is None else indices):
            pictures = self.decode(self.sample(batch, model, **how))
            found.append(self.lpips(pictures, torch.cat([self.references[i] for i in batch])))
        return torch.cat(found).double().cpu().numpy()

    @staticmethod
    def batches(indices: Any, size: int = BATCH) -> list[list[int]]:
        """Indices in groups of ``size``."""
        listed = list(indices)
        return [listed[i : i + size] for i in range(0, len(listed), size)]
