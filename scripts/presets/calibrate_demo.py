"""Calibrates the bundled anchor anew: `python -m scripts.presets.calibrate_demo`.

Runs the shipped calibration workflow, and so the pack's own Calibrate OT Anchor, on the bundled
model in a real ComfyUI, and puts the anchor it saved among the presets.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.host.find import REPOSITORY
from scripts.host.server import ComfyServer
from scripts.workflows.to_prompt import find_node, set_input, to_api

NAME = "otcache-demo"
WORKFLOW = REPOSITORY / "example_workflows" / "OTCache calibration.json"
PRESET = REPOSITORY / "presets" / f"{NAME}.otanchor.json"
TIMEOUT = 6 * 3600.0


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--patience", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--estimator", default="slope")
    parser.add_argument("--search", default="cma-es")
    parser.add_argument("--report", type=Path, help="where to put the report picture")
    parser.add_argument("--out", type=Path, default=PRESET)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder, ComfyServer(base=Path(folder)) as comfy:
        workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
        prompt = to_api(workflow, comfy.object_info())
        node = find_node(prompt, class_type="OTCacheCalibrateAnchor")
        set_input(prompt, node, "size", "custom")
        for key in ("trials", "patience", "estimator", "search"):
            set_input(prompt, node, key, getattr(args, key))
        set_input(prompt, node, "name", NAME)
        listed = find_node(prompt, class_type="OTCacheCalibrationPrompts")
        set_input(prompt, listed, "limit", args.prompts)
        entry = comfy.wait(comfy.queue(prompt), timeout=TIMEOUT)
        print(entry["outputs"][node]["text"][0])
        saved = entry["outputs"][node]["otcache"][0]["saved"]
        args.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder) / "models" / "otcache" / saved, args.out)
        pictures = [i for o in entry["outputs"].values() for i in o.get("images", [])]
        if args.report is not None and pictures:
            shown = pictures[0]
            picture = comfy.fetch_image(shown["filename"], shown["subfolder"], shown["type"])
            args.report.write_bytes(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
