"""Trains the demo model: a small text-to-image FLUX on drawn scenes.

``python -m training.train --minutes 70`` draws the pictures, trains for that long and writes
``model.safetensors`` (float16) with ``training_log.jsonl`` beside it; ``--start`` goes on from such
a file, with fresh optimizers. Loss: flow matching,
E |v(x_sigma, sigma, text) - (noise - x0)|^2, with sigma drawn as in Stable Diffusion 3
(logit-normal), one prompt in ten empty for classifier-free guidance.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from demo_model.config import FLUX_CONFIG, PIXEL_SCALE
from demo_model.text import MAX_WORDS, WordEncoder, WordTokenizer
from training.scenes import SIZE, draw_scene, sample_scene, vocabulary
from training.twin import FluxTwin

logger = logging.getLogger("otcache.training")

EMPTY_PROMPTS = 0.1
EMA_DECAY = 0.999


class DemoModel(nn.Module):
    """Transformer and text encoder, trained together."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.transformer = FluxTwin(FLUX_CONFIG)
        self.transformer.init_weights()
        self.text = WordEncoder(words)

    def forward(self, x: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        return self.transformer(x, sigma, *self.text(words))


def _draw_share(job: tuple[int, int]) -> tuple[np.ndarray, list[str]]:
    """Draws ``count`` trainable scenes from one seed; the seed fixes the pictures."""
    seed, count = job
    rng = np.random.default_rng(seed)
    pictures, prompts = np.empty((count, SIZE, SIZE, 3), np.uint8), []
    while len(prompts) < count:
        scene = sample_scene(rng)
        if not scene.held_out():
            pictures[len(prompts)] = draw_scene(scene, rng)
            prompts.append(scene.prompt())
    return pictures, prompts


def draw_data(count: int, seed: int, workers: int) -> tuple[Tensor, Tensor]:
    """Pictures ``(count, 3, SIZE, SIZE)`` uint8 and word indices ``(count, MAX_WORDS)``."""
    share = 1000
    jobs = [(seed + i, share) for i in range(math.ceil(count / share))]
    with ProcessPoolExecutor(workers) as pool:
        drawn = list(pool.map(_draw_share, jobs))
    pictures = torch.from_numpy(np.concatenate([p for p, _ in drawn])).permute(0, 3, 1, 2)
    tokenizer = WordTokenizer(vocabulary())
    words = torch.tensor([tokenizer.encode(text) for _, texts in drawn for text in texts])
    return pictures.contiguous(), words


def build_optimizers(model: DemoModel, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings, first and last layers, biases."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        in_block = "blocks" in name and parameter.ndim == 2
        (matrices if in_block else others).append(parameter)
    return [
        torch.optim.Muon(
            matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw", momentum=0.95
        ),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def flow_matching_loss(model: DemoModel, pictures: Tensor, words: Tensor) -> Tensor:
    """Mean squared velocity error on one batch of uint8 pictures."""
    x0 = (pictures.float() / 127.5 - 1.0) * PIXEL_SCALE
    sigma = torch.sigmoid(torch.randn(len(x0)) + 0.3)
    noise = torch.randn_like(x0)
    at = sigma.view(-1, 1, 1, 1)
    words = torch.where(torch.rand(len(x0), 1) < EMPTY_PROMPTS, 0, words)
    with torch.autocast("cpu", torch.bfloat16):
        velocity = model((1 - at) * x0 + at * noise, sigma, words)
    return (velocity.float() - (noise - x0)).square().mean()


def save(model: DemoModel, path: Path, steps: int) -> None:
    """Writes the float16 weights that the pack ships, vocabulary in the metadata."""
    from safetensors.torch import save_file

    state = {f"transformer.{k}": v for k, v in model.transformer.state_dict().items()}
    state |= {f"text.{k}": v for k, v in model.text.state_dict().items()}
    about = {
        "vocabulary": vocabulary(),
        "max_words": MAX_WORDS,
        "steps": steps,
        "licence": "CC0-1.0",
    }
    partial = path.with_suffix(".partial")
    save_file({k: v.half() for k, v in state.items()}, partial, {"otcache_demo": json.dumps(about)})
    partial.replace(path)


def load(model: DemoModel, path: Path) -> None:
    """Reads what ``save`` wrote."""
    from safetensors.torch import load_file

    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})


class Schedule:
    """Learning rate over time: short warm-up, then a cosine down to a hundredth."""

    def __init__(self, optimizers: list[torch.optim.Optimizer], seconds: float) -> None:
        self.optimizers, self.seconds = optimizers, seconds
        self.peak = [o.param_groups[0]["lr"] for o in optimizers]

    def set(self, elapsed: float, step: int) -> float:
        share = min(elapsed / self.seconds, 1.0)
        factor = min(1.0, (step + 1) / 100) * (0.505 + 0.495 * math.cos(math.pi * share))
        for optimizer, peak in zip(self.optimizers, self.peak, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
        return factor


def train(args: argparse.Namespace) -> None:
    """The training loop; stops by the clock, so that it fits the time one has."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    pictures, words = draw_data(args.pictures, args.seed, args.threads)
    logger.info("drew %d pictures", len(pictures))
    model = DemoModel(len(vocabulary()))
    if args.start is not None:
        load(model, Path(args.start))
    average = copy.deepcopy(model).requires_grad_(False)
    optimizers = build_optimizers(model, args.rate)
    schedule = Schedule(optimizers, args.minutes * 60)
    log = (out / "training_log.jsonl").open("w", encoding="utf-8")
    start, step, recent, last_save = time.monotonic(), 0, [], time.monotonic()
    order = torch.Generator().manual_seed(args.seed)
    while (elapsed := time.monotonic() - start) < args.minutes * 60:
        factor = schedule.set(elapsed, step)
        pick = torch.randint(len(pictures), (args.batch,), generator=order)
        loss = flow_matching_loss(model, pictures[pick], words[pick])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        recent.append(loss.item())
        step += 1
        if step % 50 == 0:
            row = {
                "step": step,
                "images": step * args.batch,
                "loss": round(float(np.mean(recent)), 5),
                "rate_factor": round(factor, 4),
                "seconds": round(elapsed, 1),
            }
            logger.info("%s", row)
            log.write(json.dumps(row) + "\n")
            log.flush()
            recent = []
        if time.monotonic() - last_save > 240:
            save(average, out / "model.safetensors", step)
            last_save = time.monotonic()
    save(average, out / "model.safetensors", step)
    log.write(
        json.dumps({"done": True, "steps": step, "device": "cpu", "torch": torch.__version__})
    )
    log.write("\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=70.0)
    parser.add_argument("--pictures", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", default=None, help="weights to go on from")
    parser.add_argument("--out", default=str(Path(__file__).parent / "runs"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(args)


if __name__ == "__main__":
    main()
