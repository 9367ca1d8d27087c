"""One training loop for the proving ground's models: stops by the clock, goes on after a stop.

AdamW under a cosine of the time that is left, an average of the weights, a log of one JSON row per
50 steps, and a checkpoint with all that is needed to go on where it stopped. ``--start`` takes such
a checkpoint; the clock goes on from it, so that a larger ``--minutes`` trains a finished run more.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

logger = logging.getLogger("otcache.training")

RUNS = Path(__file__).resolve().parent / "runs"
EMA_DECAY = 0.999
WARM_UP_STEPS = 150
LOG_STEPS = 50
CHECKPOINT, WEIGHTS, LOG = "checkpoint.pt", "model.safetensors", "training_log.jsonl"


class Task(Protocol):
    """What a training script brings to the loop.

    Attributes:
        model: All that is trained.
    """

    model: nn.Module

    def loss(self, batch: int) -> Tensor:
        """The loss of a random batch, drawn from torch's own generator."""

    def export(self, average: nn.Module, path: Path, steps: int) -> None:
        """Writes the averaged weights as they are shipped."""


@dataclass
class Settings:
    """How long and how to train; `parser` has the meaning of each."""

    out: Path
    minutes: float = 60.0
    batch: int = 64
    rate: float = 1e-3
    decay: float = 0.01
    threads: int = 1
    device: str = "cpu"
    seed: int = 0
    start: Path | None = None
    save_seconds: float = 180.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)


def parser(about: str, name: str, **defaults: Any) -> argparse.ArgumentParser:
    """The options that every training script has."""
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--minutes", type=float, default=60.0, help="of training, in all")
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--rate", type=float, default=1e-3, help="the highest learning rate")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--device", default="cpu", help="cpu or cuda")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--start", type=Path, default=None, help="a checkpoint to go on from")
    made.add_argument("--weights", type=Path, default=None, help="shipped weights to begin with")
    made.add_argument("--out", type=Path, default=RUNS / name)
    made.set_defaults(**defaults)
    return made


def settings(args: argparse.Namespace) -> Settings:
    """The options as the loop takes them."""
    names = ("out", "minutes", "batch", "rate", "threads", "device", "seed", "start")
    return Settings(**{name: getattr(args, name) for name in names})


def rate_factor(share: float, step: int) -> float:
    """Share of the highest rate: a warm-up by steps, then a cosine by the share of time gone."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return min(1.0, (step + 1) / WARM_UP_STEPS) * max(cosine, 0.005)


class Run:
    """State of one training run: what a checkpoint holds."""

    def __init__(self, task: Task, how: Settings) -> None:
        self.task, self.how = task, how
        torch.set_num_threads(how.threads)
        torch.manual_seed(how.seed)
        task.model.to(how.device)
        self.average = copy.deepcopy(task.model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            _groups(task.model, how.decay), lr=how.rate, betas=(0.9, 0.98)
        )
        self.step, self.images, self.seconds = 0, 0, 0.0
        how.out.mkdir(parents=True, exist_ok=True)
        if how.start is not None:
            self._load(how.start)

    def _load(self, path: Path) -> None:
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.task.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        self.step, self.images, self.seconds = state["step"], state["images"], state["seconds"]

    def save(self) -> None:
        """Writes the checkpoint and the weights; a stop in the middle leaves the former ones."""
        state = {
            "model": self.task.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "step": self.step,
            "images": self.images,
            "seconds": self.seconds,
        }
        partial = self.how.out / f"{CHECKPOINT}.part"
        torch.save(state, partial)
        os.replace(partial, self.how.out / CHECKPOINT)
        self.task.export(self.average, self.how.out / WEIGHTS, self.step)

    def advance(self) -> tuple[float, float]:
        """One step; its loss, and its share of the highest rate."""
        factor = rate_factor(self.seconds / (self.how.minutes * 60), self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.how.rate * factor
        loss = self.task.loss(self.how.batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.task.model.parameters(), 1.0)
        if math.isfinite(float(norm)):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        pair = [list(m.parameters()) for m in (self.average, self.task.model)]
        torch._foreach_lerp_(*pair, 1 - decay)
        self.step += 1
        self.images += self.how.batch
        return loss.item(), factor


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for vectors and tables of words."""
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    plain = [p for n, p in trained if p.ndim < 2 or n.startswith("text.")]
    chosen = {id(p) for p in plain}
    others = [p for _, p in trained if id(p) not in chosen]
    return [{"params": others, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]


def _keep_log(path: Path, step: int) -> None:
    """Drops rows of steps that the checkpoint does not have: they will be made again."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    kept = [row for row in rows if row.get("step", math.inf) <= step]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))


def train(task: Task, how: Settings) -> Run:
    """Trains until the time is over; checkpoint, weights and log are in ``how.out`` then."""
    run = Run(task, how)
    _keep_log(how.out / LOG, run.step)
    recent: list[float] = []
    last = saved = how.clock()
    with (how.out / LOG).open("a") as log:
        while run.seconds < how.minutes * 60:
            loss, factor = run.advance()
            recent.append(loss)
            now = how.clock()
            run.seconds, last = run.seconds + now - last, now
            if run.step % LOG_STEPS == 0:
                row = _row(run, recent, factor)
                logger.info("%s", row)
                log.write(json.dumps(row) + "\n")
                log.flush()
                recent = []
            if now - saved > how.save_seconds:
                run.save()
                saved = how.clock()
        run.save()
        done = {"done": True, "steps": run.step, "device": how.device, "torch": torch.__version__}
        log.write(json.dumps(done) + "\n")
    return run


def _row(run: Run, recent: list[float], factor: float) -> dict[str, float]:
    return {
        "step": run.step,
        "images": run.images,
        "loss": round(sum(recent) / len(recent), 5),
        "rate_factor": round(factor, 4),
        "seconds": round(run.seconds, 1),
    }
