"""Try the pack as a newcomer has it: `python -m scripts.release.trial PACK` says what it did.

The pack is copied into a fresh base folder of an unkind name, loaded by ComfyUI's own loader in a
process that lacks what only calibration and measuring need, and samples with the anchor it ships.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.host.inprocess import Host, start_host
from scripts.host.server import PACK_NAME, copy_shipped

OPTIONAL = ("cmaes", "lpips", "optuna")
"""Packages that sampling works without."""

BASE_NAME = "a base (1) \u6570\u636e"  # nor has it the letters of a Western console
STEPS = 50
BUDGET = 8
# Nothing of them is looked at before the packages are.
IMAGES = {"image": None, "reference": None, "net": "alex", "amplify": 4.0}
CALIBRATION = {"positive": [], "negative": [], "name": ["mine"]}


def block(packages: tuple[str, ...]) -> None:
    """Makes packages look as if they were not installed, from here on."""
    for name in packages:
        sys.modules[name] = None  # type: ignore[assignment]


def sample_with_the_shipped_anchor(host: Host) -> dict[str, Any]:
    """Eight of fifty steps of the bundled model, and what the sampler says of it."""
    model, clip, _, latent = host.run("OTCacheDemoModel", batch_size=1).outputs
    (positive,) = host.run("CLIPTextEncode", clip=clip, text="a big red house at night").outputs
    (anchor,) = host.run("OTCacheLoadAnchor", anchor_name="preset: otcache-demo").outputs
    schedule = host.run(
        *("OTCachePredictSchedule",),
        **{"anchor": anchor, "budget": BUDGET, "rho": 1.2, "anchor_rho": True, "steps": STEPS},
    ).outputs[0]
    sampled = host.run(
        *("OTCacheSampler",),
        **{"model": model, "positive": positive, "negative": positive, "latent_image": latent},
        **{"seed": 1, "steps": STEPS, "cfg": 1.0, "denoise": 1.0, "schedule": schedule},
        **{"sampler_name": "euler", "scheduler": "simple"},
    )
    counted = sampled.ui["otcache"][0]
    return {
        "steps": counted["steps"],
        "computed": counted["computed"],
        "finite": bool(sampled.outputs[0]["samples"].isfinite().all()),
    }


def refusal(host: Host, node_id: str, validated: str, inputs: dict[str, Any]) -> str:
    """What a node that cannot work here says when it is queued, and again when it runs."""
    queued = str(host.node(node_id).validate_inputs(**{validated: inputs[validated]}))
    try:
        host.run(node_id, **inputs)
    except ValueError as error:
        return queued if str(error) == queued else f"not twice the same: {queued} / {error}"
    return "it ran"


def try_pack(pack: Path, base: Path) -> dict[str, Any]:
    """Copies a pack into a base folder and samples with it; what was seen.

    Args:
        pack: A folder that holds what is published, or a checkout.
        base: ComfyUI's base folder, which need not exist.
    """
    block(OPTIONAL)
    installed = base / "custom_nodes" / PACK_NAME
    copy_shipped(pack, installed)
    begin = time.perf_counter()
    host = start_host(base, lpips=False, pack=installed)
    loaded = time.perf_counter()
    sampled = sample_with_the_shipped_anchor(host)
    return {
        **sampled,
        "compare": refusal(host, "OTCacheCompareImages", "net", IMAGES),
        "calibrate": refusal(host, "OTCacheCalibrateAnchor", "name", CALIBRATION),
        "imported": [name for name in OPTIONAL if sys.modules.get(name) is not None],
        "load_seconds": round(loaded - begin, 1),
        "sampling_seconds": round(time.perf_counter() - loaded, 1),
    }


def mistakes(seen: dict[str, Any]) -> list[str]:
    """What is not as it should be in what `try_pack` saw."""
    expected = {"steps": STEPS, "computed": BUDGET, "finite": True, "imported": []}
    found = [f"{k} must be {v} but is {seen[k]}" for k, v in expected.items() if seen[k] != v]
    for node, lacks in (("compare", "lpips"), ("calibrate", "lpips, optuna, cmaes")):
        if f"lacks {lacks}: install" not in seen[node]:
            found.append(f"{node} must say that {lacks} is missing but said: {seen[node]}")
    return found


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path, help="a folder that holds what is published")
    pack = parser.parse_args().pack.absolute()
    with tempfile.TemporaryDirectory(prefix="otcache-", ignore_cleanup_errors=True) as scratch:
        seen = try_pack(pack, Path(scratch) / BASE_NAME)
    print(json.dumps(seen, indent=1))
    for line in mistakes(seen):
        print(line, file=sys.stderr)
    return 1 if mistakes(seen) else 0


if __name__ == "__main__":
    sys.exit(main())
