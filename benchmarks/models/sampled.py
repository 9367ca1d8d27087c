"""A model on a list of prompts: many of them in one batch, through the host's own sampler."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.models.ground_model import GroundModel
from scripts.host.inprocess import Host

STEPS = 50
"""Of a full run."""
BATCH = 12
"""Prompts that are sampled at once: larger batches are no faster on a CPU."""


class SampledModel:
    """Full runs and cached runs of a model on a list of prompts.

    Args:
        host: A ComfyUI in this process.
        ground: The model and the settings that it is sampled with.
        texts: The prompts.
        seed: Noise of prompt i is ``seed + i``, as in Calibrate OT Anchor.

    Attributes:
        references: Pictures of each prompt's full run, ``(1, F, H, W, 3)``; ``full_runs`` makes
            them.
    """

    def __init__(self, host: Host, ground: GroundModel, texts: list[str], seed: int = 0) -> None:
        self.host, self.ground, self.texts, self.seed = host, ground, texts, seed
        self.model = ground.model
        self.negative = self._encode([""])
        self.lpips = host.module("nodes.library.lpips").load_lpips()
        self.references: list[torch.Tensor] = []

    def encode(self, text: str) -> list[Any]:
        """One prompt's conditioning."""
        conditioning: list[Any] = self.host.run(
            "CLIPTextEncode", clip=self.ground.clip, text=text
        ).outputs[0]
        return conditioning

    def _encode(self, texts: list[str]) -> list[Any]:
        parts = [self.encode(text)[0] for text in texts]
        pooled = torch.cat([about["pooled_output"] for _, about in parts])
        return [[torch.cat([context for context, _ in parts]), {"pooled_output": pooled}]]

    def _noise(self, indices: Iterable[int]) -> torch.Tensor:
        import comfy.sample

        empty = torch.zeros_like(self.ground.latent[:1])
        return torch.cat([comfy.sample.prepare_noise(empty, self.seed + i) for i in indices])

    def sample(
        self,
        indices: list[int],
        model: Any = None,
        *,
        steps: int = STEPS,
        sampler: str | None = None,
        scheduler: str | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> torch.Tensor:
        """Samples some prompts in one batch; final latents.

        Args:
            indices: The prompts.
            model: The plain model by default.
            steps, sampler, scheduler: As KSampler has them, the model's own by default.
            sigmas: Own noise levels instead of those of ``steps`` and ``scheduler``.
        """
        import comfy.sample

        ground, noise = self.ground, self._noise(indices)
        with torch.inference_mode():
            return comfy.sample.sample(
                self.model if model is None else model, noise, steps, ground.cfg,
                sampler or ground.sampler, scheduler or ground.scheduler,
                self._encode([self.texts[i] for i in indices]), self.negative,
                torch.zeros_like(noise), disable_pbar=True, seed=self.seed,
                sigmas=None if sigmas is None else torch.tensor(sigmas),
            )  # fmt: skip

    def resume(self, indices: list[int], states: torch.Tensor, sigmas: Sequence[float]) -> Any:
        """Goes on from the middle of runs under Euler.

        Args:
            indices: The prompt of each state; prompts may repeat.
            states: Noisy states, ``(N, *latent)``, as the sampler has them.
            sigmas: The levels still to go, that of the states first; below the highest.

        Returns:
            The last states, as the sampler has them.
        """
        import comfy.sample
        import comfy.samplers

        # A model of either kind starts from sigma * noise where the latent is empty.
        with torch.inference_mode():
            samples = comfy.sample.sample_custom(
                self.model, states / sigmas[0], self.ground.cfg,
                comfy.samplers.sampler_object("euler"),
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
            model: The plain model by default.
            sampler: Name of a sampler of the host.
            latent: What the noise is added to; nothing by default.
        """
        import comfy.sample
        import comfy.samplers

        noise = self._noise(range(len(self.texts)))
        with torch.inference_mode():
            return comfy.sample.sample_custom(
                self.model if model is None else model, noise, self.ground.cfg,
                comfy.samplers.sampler_object(sampler), sigmas, self._encode(self.texts),
                self.negative, torch.zeros_like(noise) if latent is None else latent,
                disable_pbar=True, seed=self.seed + 1,
            )  # fmt: skip

    def levels(
        self,
        steps: int = STEPS,
        model: Any = None,
        *,
        sampler: str | None = None,
        scheduler: str | None = None,
        denoise: float = 1.0,
    ) -> torch.Tensor:
        """The noise levels that KSampler gives to a sampler, ``(steps + 1,)``."""
        import comfy.samplers

        model = self.model if model is None else model
        found: torch.Tensor = comfy.samplers.KSampler(
            model, steps, model.load_device, sampler or self.ground.sampler,
            scheduler or self.ground.scheduler, denoise=denoise,
        ).sigmas  # fmt: skip
        return found

    def sigmas(self) -> tuple[float, ...]:
        """Noise levels of a full run."""
        return tuple(self.levels().tolist())

    def job(self) -> Any:
        """What every run of a calibration on these prompts shares, as Calibrate OT Anchor has."""
        ground = self.ground
        return self.host.module("nodes.calibration.runner").Job(
            *(ground.model, ground.vae, [self.encode("")], {"samples": ground.latent}),
            *(STEPS, ground.cfg, ground.sampler, ground.scheduler, self.seed),
        )

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures of final latents, ``(N, F, H, W, 3)``: a video's frames, or one picture."""
        decoded: torch.Tensor = self.ground.vae.decode(latents)
        return decoded.reshape(len(latents), -1, *decoded.shape[-3:])

    def keep_references(self, path: Path, steps: int = STEPS) -> None:
        """Takes the full runs' pictures from a file, which is made where there is none.

        Args:
            path: The file.
            steps: Of a full run.
        """
        if path.is_file():
            self.references = list(torch.load(path, weights_only=True).split(1))
            return
        self.references = []
        for batch in self.batches(range(len(self.texts))):
            self.references.extend(self.pictures(self.sample(batch, steps=steps)).split(1))
        partial = path.with_suffix(f".{os.getpid()}")
        torch.save(torch.cat(self.references), partial)
        partial.replace(path)

    def full_runs(self) -> list[Any]:
        """Runs every step on every prompt: keeps the pictures, returns the trajectories."""
        trajectories = []
        self.references = []
        recorder_of = self.host.core("trajectory").TrajectoryRecorder
        observe = self.host.module("nodes.sampling.host").observe_predictions
        sigmas = self.sigmas()
        for batch in self.batches(range(len(self.texts))):
            recorders = [recorder_of(sigmas) for _ in batch]

            def record(x: torch.Tensor, denoised: torch.Tensor, into: Any = recorders) -> None:
                for i, recorder in enumerate(into):
                    recorder.add(x[i : i + 1], denoised[i : i + 1])

            pictures = self.pictures(self.sample(batch, observe(self.model, record)))
            self.references.extend(pictures.split(1))
            trajectories += [recorder.finish() for recorder in recorders]
        return trajectories

    def compare(self, measure: Any, pictures: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
        """A measure of pictures against the full runs', ``(N,)``: the mean over frames.

        Args:
            measure: Of two batches of pictures ``(N, H, W, 3)``.
            pictures: As ``pictures`` gives them.
            indices: Their prompts.
        """
        references = torch.cat([self.references[i] for i in indices])
        found: torch.Tensor = measure(pictures.flatten(0, 1), references.flatten(0, 1))
        return found.reshape(len(pictures), -1).mean(dim=1).double().cpu()

    def losses(self, schedule: Any, indices: Iterable[int] | None = None) -> np.ndarray:
        """LPIPS of a schedule's pictures to the full runs', per prompt."""
        cached = self.host.module("nodes.sampling.host").apply_schedule(
            self.model, schedule, quiet=True
        )
        return self.distances(cached, indices)

    def distances(self, model: Any, indices: Iterable[int] | None = None, **how: Any) -> np.ndarray:
        """LPIPS of a model's pictures to the full runs', per prompt; ``how`` goes to ``sample``."""
        found = [
            self.compare(self.lpips, self.pictures(self.sample(batch, model, **how)), batch)
            for batch in self.batches(range(len(self.texts)) if indices is None else indices)
        ]
        return torch.cat(found).numpy()

    @staticmethod
    def batches(indices: Iterable[int], size: int = BATCH) -> list[list[int]]:
        """Indices in groups of ``size``."""
        listed = list(indices)
        return [listed[i : i + size] for i in range(0, len(listed), size)]
