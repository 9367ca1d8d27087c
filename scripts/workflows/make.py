"""Writes the workflows that ship with the pack: `python -m scripts.workflows.make`.

They are described in `scripts.workflows.demo`, `models`, `one_node` and `app`; blueprints, which
lie in a folder of their own, in `blueprints`. ComfyUI's template browser lists every JSON file of
the folder of templates and shows its name as the title. With `--pictures FOLDER` and `--report
PICTURE` it also makes the thumbnails that show pictures: from what `scripts.demo.run` left in that
folder, and from what `scripts.presets.calibrate_demo --report` has.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from otcache_core.auto_plan import calls_for, teaching_itself
from otcache_core.documents.anchor import SUFFIX, Anchor, load_anchor
from otcache_core.drawing.contact_sheet import contact_sheet
from otcache_core.drawing.schedule_plot import render_schedule
from otcache_core.run_time.fine_grid import fine_grid
from otcache_core.transport import predict_schedule
from scripts.host.find import REPOSITORY
from scripts.workflows.app import APP, app
from scripts.workflows.app import CALLS as APP_CALLS
from scripts.workflows.blueprints import BLUEPRINTS
from scripts.workflows.demo import (
    CALIBRATE,
    DEMO,
    DEMO_SCHEDULES,
    DEMO_WORKFLOWS,
    ONE_NODE,
    OWN_STEPS,
)
from scripts.workflows.models import GENERIC, MODEL_WORKFLOWS, SCHEDULES
from scripts.workflows.one_node import ONE_NODE_WORKFLOWS

FOLDER = REPOSITORY / "example_workflows"
BLUEPRINT_FOLDER = REPOSITORY / "subgraphs"
THUMBNAIL_WIDTH, THUMBNAIL_PICTURES = 640, 4

WORKFLOWS = {
    **DEMO_WORKFLOWS,
    **MODEL_WORKFLOWS,
    **{name: make for name, (make, _) in ONE_NODE_WORKFLOWS.items()},
    APP: app,
}


def as_text(workflow: dict[str, Any]) -> str:
    """The file's content."""
    return json.dumps(workflow, indent=1) + "\n"


def _save_thumbnail(name: str, picture: Image.Image) -> None:
    picture = picture.convert("RGB")
    picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
    picture.save(FOLDER / f"{name}.jpg", quality=88, optimize=True)


def write_thumbnails(pictures: Path) -> None:
    """Makes the thumbnails with pictures from a folder that `scripts.demo.run` has written.

    The demo's shows the first pictures of the full run over those of the run with 10 calls, that of
    the node OTCache all that it was run for.
    """
    rows = []
    for label, run in (("every step", "full"), ("1 step in 5", "otcache_b10")):
        files = sorted((pictures / run).glob("*.png"))[:THUMBNAIL_PICTURES]
        rows.append((label, [np.asarray(Image.open(file).convert("RGB")) for file in files]))
    sheet = contact_sheet(rows=rows, columns=[""] * len(rows[0][1]), scale=2)
    _save_thumbnail(DEMO, Image.fromarray(sheet))
    _save_thumbnail(ONE_NODE, Image.open(pictures / "one_node.png"))


_PLOTTED = {**DEMO_SCHEDULES, **SCHEDULES}


def _anchor(preset: str) -> Anchor:
    file = f"{preset.removeprefix('preset: ')}{SUFFIX}"
    return load_anchor(REPOSITORY / "presets" / file)


def write_schedule_thumbnails() -> None:
    """Shows which steps run, for workflows whose models cannot be run here."""
    for name, (preset, budget, steps) in _PLOTTED.items():
        prediction = predict_schedule(_anchor(preset), budget, steps=steps)
        picture = render_schedule(
            steps=steps,
            computed_steps=prediction.schedule.computed_steps,
            curves={name: curve.tolist() for name, curve in prediction.curves.items()},
            caption=name,
        )
        _save_thumbnail(name, Image.fromarray(picture))


def write_one_node_thumbnails() -> None:
    """Shows which steps of the finer grid run, for the same reason.

    Levels fall evenly there: the steps are placed by their number, whatever the model.
    """
    plotted = {APP: (OWN_STEPS, False, calls_for(OWN_STEPS, APP_CALLS))}
    for name, (_, stock) in ONE_NODE_WORKFLOWS.items():
        steps, higher = sum(stock.steps), stock.of_higher_order
        plotted[name] = (steps, higher, calls_for(steps, 0, higher_order=higher))
    for name, (steps, higher, calls) in plotted.items():
        levels = [1.0 - step / steps for step in range(steps + 1)]
        grid = fine_grid(levels, higher_order=higher)
        plan = teaching_itself(_anchor(GENERIC), grid, calls)
        picture = render_schedule(
            steps=grid.steps, computed_steps=plan.schedule.computed_steps, curves={}, caption=name
        )
        _save_thumbnail(name, Image.fromarray(picture))


def main() -> int:
    """Write the workflows, and the thumbnails if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="a folder that scripts.demo.run has written")
    parser.add_argument("--report", type=Path, help="the report that a calibration has shown")
    options = parser.parse_args()
    for folder, described in ((FOLDER, WORKFLOWS), (BLUEPRINT_FOLDER, BLUEPRINTS)):
        folder.mkdir(exist_ok=True)
        for name, make in described.items():
            (folder / f"{name}.json").write_text(as_text(make()), encoding="utf-8", newline="\n")
    write_schedule_thumbnails()
    write_one_node_thumbnails()
    if options.pictures is not None:
        write_thumbnails(options.pictures)
    if options.report is not None:
        _save_thumbnail(CALIBRATE, Image.open(options.report))
    print(f"wrote {', '.join(WORKFLOWS)} to {FOLDER}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
