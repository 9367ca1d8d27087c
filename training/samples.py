"""Shows what a trained model of the proving ground draws: ``python -m training.samples unet``.

Writes ``samples.png`` into the model's folder (held-out prompts over their pictures, 50 steps) and
prints, per guidance, the LPIPS of fewer plain steps to the run of 50.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.models import grounds
from benchmarks.models.ground_model import FOLDER, GroundModel
from benchmarks.models.sampled import SampledModel
from scripts.host.inprocess import Host, start_host

FEWER, MEASURED, SEED = 15, 8, 1000
"""Steps to compare with 50, prompts that this is done for, and the first prompt's noise."""
COLUMNS, SHOWN_FRAMES, SIDE, CAPTION = 4, 3, 128, 30


def _tile(frames: Tensor) -> Image.Image:
    """A picture, or some frames of a video side by side, enlarged without smoothing."""
    chosen = torch.linspace(0, len(frames) - 1, min(len(frames), SHOWN_FRAMES)).round().long()
    row = torch.cat(list(frames[chosen]), dim=1)
    image = Image.fromarray((row * 255).round().byte().numpy())
    return image.resize((SIDE * len(chosen), SIDE), Image.Resampling.NEAREST)


def _wrap(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], joined] if len(joined) <= width else [*lines, word]
    return "\n".join(lines)


def contact_sheet(tiles: list[Image.Image], captions: list[str]) -> Image.Image:
    """Tiles in rows, each under its caption."""
    width, gap = tiles[0].width, 6
    columns = max(1, COLUMNS * 2 // (width // SIDE + 1))
    rows = -(-len(tiles) // columns)
    size = (columns * (width + gap) + gap, rows * (SIDE + CAPTION + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for i, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x = gap + (i % columns) * (width + gap)
        y = gap + (i // columns) * (SIDE + CAPTION + gap)
        pen.text((x, y), _wrap(caption, width // 6), fill="black")
        sheet.paste(tile, (x, y + CAPTION))
    return sheet


def draw(host: Host, ground: GroundModel, texts: list[str]) -> Tensor:
    """Writes the contact sheet at the guidance of choice; returns its pictures."""
    model = SampledModel(host, ground, texts, SEED)
    groups = model.batches(range(len(texts)))
    drawn = torch.cat([model.pictures(model.sample(group)) for group in groups])
    sheet = contact_sheet([_tile(each) for each in drawn], texts)
    sheet.save(FOLDER / ground.name / "samples.png", optimize=True)
    return drawn


def distances(
    host: Host, ground: GroundModel, texts: list[str], steps: list[int], drawn: Tensor | None
) -> dict[str, float]:
    """LPIPS of fewer plain steps to the full run at the ground's guidance.

    Args:
        texts: The prompts, one batch of them.
        steps: Numbers of steps to measure.
        drawn: The full run's pictures, where they are there already.
    """
    model, every = SampledModel(host, ground, texts, SEED), list(range(len(texts)))
    full = model.pictures(model.sample(every)) if drawn is None else drawn
    model.references = list(full.split(1))
    found = {n: model.distances(None, every, steps=n).mean() for n in steps}
    return {f"lpips_{n}": round(float(value), 4) for n, value in found.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="unet, latent or video")
    parser.add_argument("--cfg", type=float, nargs="*", help="of the LPIPS; else the model's two")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--steps", type=int, nargs="*", default=[FEWER])
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder))
        ground = grounds.build(host, args.name)
        texts = ground.prompts("held_out")[: args.prompts]
        drawn = draw(host, ground, texts)[:MEASURED]
        for cfg in args.cfg if args.cfg is not None else [ground.cfg, ground.hard_cfg]:
            full = drawn if cfg == ground.cfg else None
            at = replace(ground, cfg=cfg)
            row = distances(host, at, texts[:MEASURED], args.steps, full)
            print(json.dumps({"cfg": cfg, **row}), flush=True)


if __name__ == "__main__":
    main()
