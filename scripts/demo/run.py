"""The pack's main job, end to end, in a real ComfyUI: `python -m scripts.demo.run`.

Samples held-out prompts with the bundled workflows. First the node OTCache in front of a sampler
of 20 steps, beside those steps without it, both compared with 200 steps; and at high guidance,
where a person sees the difference, beside plain samplers with as many calls. Then the paper's way:
50 steps in full, by schedules of 15, 10 and 8 model calls, and in 10 plain steps. Leaves pictures,
contact sheets, the schedule's picture and `report.json` in `OTCACHE_DEMO` (default `demo_output/`),
and prints the report as tables.

Times are the sampler node's own, of the sampling alone, each the mean over the prompts without the
fastest and the slowest: one hiccup of the machine would move a mean, and a median would flatter the
short runs, which now and then slip through a busy spell. The runs of a prompt follow each other, so
that such a spell meets them all: the full run first, for the others are compared with it, then
these in an order that turns from prompt to prompt.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otcache_core.errors import OTCacheError
from scripts.demo.one_node import HARD_CFG, HARD_PROMPTS, as_lines, run_one_node
from scripts.demo.report import BUSY, Run, as_table, save_pictures, spread, summary
from scripts.host.client import ComfyClient, PromptError
from scripts.host.fetch import SetupError
from scripts.host.find import REPOSITORY
from scripts.host.server import ComfyServer
from scripts.workflows.demo import DEMO, PROMPTS, STEPS
from scripts.workflows.make import FOLDER
from scripts.workflows.to_prompt import (
    Prompt,
    WorkflowError,
    find_node,
    only_for,
    set_input,
    to_api,
)

MODEL = "OTCache Demo Model"
DEFAULT_PROMPTS, MOST_PROMPTS = 8, 40
RUN_TIMEOUT = 120.0


def make_runs() -> list[Run]:
    """The runs of the report, in its order."""
    cached = [Run(f"otcache_b{budget}", STEPS, budget) for budget in (15, 10, 8)]
    return [Run("full", STEPS, STEPS), *cached, Run("euler_10", 10, 10)]


class Demo:
    """The bundled workflow on a running ComfyUI.

    Args:
        comfy: The running ComfyUI.
    """

    def __init__(self, comfy: ComfyClient) -> None:
        self.comfy = comfy
        text = (FOLDER / f"{DEMO}.json").read_text(encoding="utf-8")
        self.base = to_api(json.loads(text), comfy.object_info())
        titles = ("Prompt", "Seed", "Every step", "With a schedule")
        self.prompt, self.seed, self.full, self.cached = (self._find(title) for title in titles)
        self.full_picture = self._find("Picture of every step")
        self.cached_picture = self._find("Picture with a schedule")
        self.schedule_picture = self._find("Schedule")
        self.predict = find_node(self.base, class_type="OTCachePredictSchedule")
        self.compare = find_node(self.base, class_type="OTCacheCompareImages")
        for preview in (self.full_picture, self.cached_picture):
            enlarged, _ = self.base[preview]["inputs"]["images"]
            # The files get the pictures as they are, not enlarged for the eye.
            set_input(self.base, preview, "images", self.base[enlarged]["inputs"]["image"])

    def _find(self, title: str) -> str:
        return find_node(self.base, title=title)

    def workflow(self, run: Run, text: str, seed: int) -> Prompt:
        """The part of the bundled workflow that a run needs, with its settings."""
        wanted = [self.full_picture] if run.is_full else [self.cached_picture, self.compare]
        if run.has_schedule:
            wanted.append(self.schedule_picture)
        prompt = only_for(self.base, *wanted)
        set_input(prompt, self.prompt, "text", text)
        set_input(prompt, self.seed, "value", seed)
        if run.has_schedule:
            set_input(prompt, self.predict, "budget", run.nfe)
        elif not run.is_full:
            set_input(prompt, self.cached, "steps", run.steps)
            del prompt[self.cached]["inputs"]["schedule"]
            prompt = only_for(prompt, *wanted)
        return prompt

    def sample(self, run: Run, text: str, seed: int) -> dict[str, Any]:
        """Runs it once, adds what it measured to ``run`` and returns the nodes' outputs."""
        entry = self.comfy.wait(self.comfy.queue(self.workflow(run, text, seed)), RUN_TIMEOUT)
        outputs: dict[str, Any] = entry["outputs"]
        sampler = self.full if run.is_full else self.cached
        if sampler in _reused_nodes(entry):
            raise WorkflowError(f"{run.name} must be sampled anew but ComfyUI reused its result.")
        done = outputs[sampler]["otcache"][0]
        if (done["steps"], done["computed"]) != (run.steps, run.nfe):
            raise WorkflowError(
                f"{run.name} must run the model at {run.nfe} of {run.steps} steps but did at "
                f"{done['computed']} of {done['steps']}."
            )
        run.seconds.append(done["seconds"])
        picture = self.full_picture if run.is_full else self.cached_picture
        run.pictures.append(self.fetch(outputs, picture))
        if not run.is_full:
            distance = outputs[self.compare]["otcache"][0]
            run.lpips += distance["lpips"]
            run.ssim += distance["ssim"]
            # Identical pictures have no PSNR; they are left out of its mean.
            run.psnr += [value for value in distance["psnr"] if value is not None]
        return outputs

    def fetch(self, outputs: dict[str, Any], node_id: str) -> bytes:
        """The PNG that a preview node shows."""
        return self.comfy.fetch_image(**outputs[node_id]["images"][0])


def _reused_nodes(entry: dict[str, Any]) -> list[str]:
    """Nodes whose results ComfyUI had from an earlier prompt: their times are that one's."""
    for kind, details in entry["status"]["messages"]:
        if kind == "execution_cached":
            nodes: list[str] = details["nodes"]
            return nodes
    return []


def measure(demo: Demo, prompts: Sequence[str]) -> tuple[list[Run], bytes]:
    """Samples every prompt in every way.

    Returns:
        The runs, and the picture of the schedule with 10 model calls.
    """
    # The first run loads the model, the first comparison its network.
    for run in make_runs():
        demo.sample(run, "a house", seed=0)
    runs, schedule = make_runs(), b""
    for index, text in enumerate(prompts):
        full, *others = runs
        turn = index % len(others)
        for run in (full, *others[turn:], *others[:turn]):
            outputs = demo.sample(run, text, seed=index + 1)
            if run.name == "otcache_b10":
                schedule = demo.fetch(outputs, demo.schedule_picture)
        print(f"{index + 1} of {len(prompts)}: {text}", flush=True)
    return runs, schedule


def run_demo(comfy: ComfyClient, folder: Path, count: int) -> dict[str, Any]:
    """Measures, and writes everything to ``folder``; returns the report."""
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))["held_out"][:count]
    one_node = run_one_node(comfy, folder, prompts)
    hard = run_one_node(comfy, folder, prompts[:HARD_PROMPTS], hard=True)
    runs, schedule = measure(Demo(comfy), prompts)
    folder.mkdir(parents=True, exist_ok=True)
    save_pictures(folder, runs, prompts)
    (folder / "schedule.png").write_bytes(schedule)
    version = comfy.get_json("/system_stats")["system"]["comfyui_version"]
    lines = [summary(run, runs[0]) for run in runs]
    about = {"comfyui": version, "model": MODEL}
    report = {**about, "one_node": one_node, "hard": hard, "runs": lines}
    text = json.dumps(report, indent=1) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8", newline="\n")
    if spread(runs[0].seconds) > BUSY:
        print("\nThe machine was busy and times scatter: take the speedups of an idle one.")
    return report


def main() -> int:
    """Start a ComfyUI, run the demo in it, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=DEFAULT_PROMPTS, help="default: %(default)s")
    count = min(max(parser.parse_args().prompts, 1), MOST_PROMPTS)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(os.environ.get("OTCACHE_DEMO") or REPOSITORY / "demo_output").absolute()
    # Threads that wait in a loop for one that has lost its core to another program make a busy
    # machine slower by orders of magnitude; sleeping ones do not, and cost an idle one nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    log = ""
    try:
        with ComfyServer() as comfy:
            print(f"ComfyUI runs at {comfy.address}", flush=True)
            try:
                report = run_demo(comfy, folder, count)
            except BaseException:
                log = comfy.log_tail(40)  # it goes with the server
                raise
    except (SetupError, PromptError, WorkflowError, OTCacheError, OSError) as error:
        # TimeoutError is an OSError.
        end = f"\nThe end of ComfyUI's log:\n{log}" if log else ""
        print(f"the demo failed: {error}{end}", file=sys.stderr)
        return 1
    print(f"\n{as_lines(report['one_node'])}\n\nat guidance {HARD_CFG:g}:")
    print(f"{as_lines(report['hard'])}\n\n{as_table(report['runs'])}")
    print(f"\npictures, one_node.png, one_node_hard.png, contact_sheet.png, report.json: {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
