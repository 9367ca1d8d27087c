"""Full-size models on a GPU: what is saved of sampling and of the whole, and what the pack adds.

    nox -s bench -- gpu [--model flux|qwen|hunyuan] [--again]

FLUX.1-dev, Qwen-Image and HunyuanVideo of the host's own classes in bfloat16 at the paper's sizes,
through the host's sampler. The weights are random: times are a trained model's, pictures are noise
and nothing is said of them. Each part is saved when it is done, so that a run that was cut short
goes on where it stopped. Without a GPU nothing is measured and nothing written; ``--tiny`` runs
everything on small models of the same classes, unrecorded.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.instruments import record as records
from benchmarks.models.full_size import MODELS, FullSize
from benchmarks.runs.full_size import STEPS, FullRuns
from scripts.host.inprocess import Host, start_host

BUDGETS = (15, 13, 12, 10)
NO_GPU = "gpu: nothing measured, because torch finds no CUDA device here; records are unchanged."

Row = dict[str, Any]
Save = Callable[[], None]


def device_facts() -> Row:
    """The device and the versions that decide how fast it is."""
    from comfy.ldm.modules.attention import optimized_attention
    from comfyui_version import __version__ as version

    facts: Row = {"comfyui": version, "attention": optimized_attention.__name__}
    facts |= {"torch": torch.__version__, "cuda": torch.version.cuda}
    if not torch.cuda.is_available():
        return facts | {"device": "CPU"}
    properties = torch.cuda.get_device_properties(0)
    return facts | {"device": properties.name, "memory_bytes": properties.total_memory}


def measure(host: Host, full: FullSize, dtype: torch.dtype, saved: Row, save: Save) -> None:
    """Measures what is missing of one model.

    Args:
        host: A ComfyUI in this process.
        full: The model.
        dtype: Of its weights.
        saved: Its part of the record; started anew if it was made on another device or version.
        save: Called after each part.
    """
    about = device_facts() | {
        "model": full.name, "resolution": full.resolution, "latent": list(full.latent),
        "dtype": str(dtype).removeprefix("torch."), "steps": STEPS, "cfg": full.cfg,
        "repeats": full.repeats, "anchor": full.anchor,
    }  # fmt: skip
    if saved.get("about") != about:
        saved.clear()
        saved["about"] = about
    runs: list[FullRuns] = []

    def part(name: str, work: Callable[[FullRuns], Row]) -> None:
        if name in saved:
            return
        if not runs:
            runs.append(FullRuns(host, full, dtype))
        saved[name] = work(runs[0])
        save()
        print(f"{full.name}: {name}: {saved[name]}")

    part("plain", FullRuns.plain)
    for budget in BUDGETS:
        part(f"budget {budget}", lambda runs, budget=budget: runs.cached(budget))
    part("steps", FullRuns.steps)
    part("easycache", FullRuns.easycache)
    part("one node", FullRuns.one_node)
    part("waits", FullRuns.waits)
    part("memory", FullRuns.memory)
    part("decode", FullRuns.decode)
    if full.calibrates:
        part("calibration", FullRuns.calibration)
    saved["table"] = table(full, saved)
    save()


def table(full: FullSize, saved: Row) -> list[Row]:
    """Speedups of sampling and of the whole, from what was measured.

    ``share_of_ideal`` is the sampling speedup over T/B; ``added_ms`` is what a skipped step costs
    by the seconds of whole runs, the sampler's own step included.
    """
    plain, decode = saved["plain"]["seconds"], saved["decode"]["seconds"]
    rows = []
    for budget in BUDGETS:
        seconds = saved[f"budget {budget}"]["seconds"]
        speedup = plain / seconds
        added = 1e3 * (seconds - plain * budget / STEPS) / (STEPS - budget)
        rows.append(
            {
                "budget": budget,
                "seconds": seconds,
                "speedup": round(speedup, 4),
                "share_of_ideal": round(speedup * budget / STEPS, 4),
                "added_ms": round(added, 4),
                "whole_speedup": round((plain + decode) / (seconds + decode), 4),
                "paper_whole_speedup": full.paper_speedup if budget == 10 else None,
            }
        )
    return rows


def show(saved: Row) -> None:
    """Prints one model's table."""
    about, plain, decode = saved["about"], saved["plain"], saved["decode"]
    print(f"{about['model']} at {about['resolution']} on {about['device']}")
    print(f"  {STEPS} steps {plain['seconds']:.2f} s, decode {decode['seconds']:.2f} s")
    for row in saved["table"]:
        print(
            f"  B={row['budget']:<3} {row['seconds']:.2f} s, {row['speedup']:.2f}x "
            f"({row['share_of_ideal']:.3f} of T/B), with decode {row['whole_speedup']:.2f}x, "
            f"skipped step {row['added_ms']:.3f} ms"
        )


def _recorded() -> Row:
    path = records.RECORDS / "gpu.json"
    if not path.is_file():
        return {}
    results: Row = json.loads(path.read_text(encoding="utf-8"))["results"]
    return results


def main(arguments: Sequence[str]) -> None:
    """Measures on the GPU and writes the record; says so where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=tuple(MODELS), action="append", help="all by default")
    parser.add_argument("--again", action="store_true", help="measure what is recorded, too")
    parser.add_argument("--tiny", action="store_true", help="small models, on any device")
    args = parser.parse_args(arguments)
    if not (args.tiny or torch.cuda.is_available()):
        print(NO_GPU)
        return
    results = {} if args.tiny else _recorded()
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32

    def save() -> None:
        if not args.tiny:
            records.write_record("gpu", "nox -s bench -- gpu", results)

    with tempfile.TemporaryDirectory() as folder:
        host = start_host(Path(folder), ("nodes_easycache",))
        for key in args.model or MODELS:
            full = MODELS[key].shrunk() if args.tiny else MODELS[key]
            saved = {} if args.again else results.get(key, {})
            results[key] = saved
            measure(host, full, dtype, saved, save)
            show(saved)
            torch.cuda.empty_cache()
