"""The workflows that ship, in a real ComfyUI: they fit its node classes, and the demo runs."""

import json

import pytest

from scripts.demo import run as demo
from scripts.host.client import PromptError
from scripts.host.server import ComfyServer
from scripts.workflows import make as make_workflows
from scripts.workflows.classes import CLASSES
from scripts.workflows.to_prompt import find_node, only_for, set_input, to_api

pytestmark = [pytest.mark.host, pytest.mark.slow]

DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
OPENED = list(make_workflows.WORKFLOWS)


@pytest.fixture(scope="module")
def comfy():
    with ComfyServer(device="cpu") as server:
        yield server


@pytest.fixture(scope="module")
def info(comfy):
    return comfy.object_info()


def _workflow(name):
    return json.loads((make_workflows.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def _declared(inputs):
    """Inputs by name, and those that the first choice of a newer host's input brings along."""
    found = {**inputs.get("required", {}), **inputs.get("optional", {})}
    for kind, *rest in list(found.values()):
        if kind == DYNAMIC:
            found |= _declared(rest[0]["options"][0]["inputs"])
    return found


def _spec(definition, name):
    """An input's type and options as the host has them; a type may be a list of choices."""
    kind, *rest = _declared(definition["input"])[name]
    options = rest[0] if rest else {}
    if kind == DYNAMIC:
        return "COMBO", options, [option["key"] for option in options["options"]]
    choices = kind if isinstance(kind, list) else options.get("options")
    return ("COMBO" if isinstance(kind, list) else kind), options, choices


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind != "MarkdownNote"])
def test_classes_are_the_hosts_own(info, kind):
    shape, definition = CLASSES[kind], info[kind]
    outputs = [word.split(":")[1] for word in shape.outputs.split()]
    # Newer hosts add outputs at the end, and inputs that may be left open.
    assert definition["output"][: len(outputs)] == outputs
    named = dict(word.split(":") for word in f"{shape.sockets} {shape.widgets}".split())
    required = definition["input"].get("required", {})
    assert {*required} <= set(named) <= {*_declared(definition["input"])}
    for name, wanted in named.items():
        assert _spec(definition, name)[0] == wanted.rstrip("!").replace("TEXT", "STRING")


@pytest.mark.parametrize("name", OPENED)
def test_values_lie_in_the_ranges_and_lists_of_the_host(info, name):
    workflow = _workflow(name)
    # Files that the host of the tests has not got; the workflow says where they are to be had.
    linked = {m["name"] for n in workflow["nodes"] for m in n["properties"].get("models", [])}
    for node in to_api(workflow, info).values():
        for key, value in node["inputs"].items():
            _, options, choices = _spec(info[node["class_type"]], key)
            if isinstance(value, list):
                continue
            if choices is not None:
                assert value in choices or value in linked
            elif isinstance(value, (int, float)):
                assert options.get("min", value) <= value <= options.get("max", value)


def test_the_templates_are_offered(comfy):
    assert set(comfy.get_json("/workflow_templates")["otcache"]) == set(make_workflows.WORKFLOWS)


def test_the_demo_as_it_ships_runs_the_model_just_as_often_as_it_says(comfy, info):
    prompt = to_api(_workflow(make_workflows.DEMO), info)
    outputs = comfy.wait(comfy.queue(prompt))["outputs"]
    full = outputs[find_node(prompt, title="Every step")]["otcache"][0]
    cached = outputs[find_node(prompt, title="With a schedule")]["otcache"][0]
    assert (full["steps"], full["computed"], full["skipped"]) == (50, 50, 0)
    assert (cached["steps"], cached["computed"], cached["skipped"]) == (50, 10, 40)
    assert cached["evaluations"] == 10
    distance = outputs[find_node(prompt, class_type="OTCacheCompareImages")]["otcache"][0]
    assert 0 < distance["lpips"][0] < 1
    saved = outputs[find_node(prompt, class_type="SaveImage")]["images"][0]
    assert comfy.fetch_image(**saved).startswith(b"\x89PNG")


def test_every_run_of_the_demo_is_sampled_anew_and_exactly_as_often_as_it_says(comfy):
    runs = demo.make_runs()
    bench = demo.Demo(comfy)
    for run in runs:
        bench.sample(run, "a red house at night", seed=5)  # raises where a count is off
        assert len(run.seconds) == len(run.pictures) == 1
    again = demo.make_runs()[0]
    with pytest.raises(demo.WorkflowError, match="full must be sampled anew but ComfyUI reused"):
        bench.sample(again, "a red house at night", seed=5)
    assert {run.name: len(run.lpips) for run in runs} == {
        "full": 0, "otcache_b15": 1, "otcache_b10": 1, "otcache_b8": 1, "euler_10": 1,
    }  # fmt: skip


def test_the_calibration_as_it_ships_is_accepted_and_maps_over_its_prompts(comfy, info):
    prompt = to_api(_workflow(make_workflows.CALIBRATE), info)
    lines = find_node(prompt, class_type="OTCacheCalibrationPrompts")
    node = find_node(prompt, class_type="OTCacheCalibrateAnchor")
    small = {"steps": 12, "reference_budget": 6, "anchor_budget": 4, "trials": 3, "patience": 3}
    for name, value in small.items():
        set_input(prompt, node, name, value)
    set_input(prompt, lines, "limit", 2)
    outputs = comfy.wait(comfy.queue(prompt))["outputs"]
    assert outputs[node]["otcache"][0]["saved"] == "my demo anchor.otanchor.json"
    assert outputs[find_node(prompt, title="Report")]["images"]


def test_a_value_the_host_does_not_know_is_refused_by_name(comfy, info):
    prompt = to_api(_workflow(make_workflows.DEMO), info)
    prompt = only_for(prompt, find_node(prompt, title="Schedule"))
    set_input(prompt, find_node(prompt, class_type="OTCacheLoadAnchor"), "anchor_name", "lost")
    with pytest.raises(PromptError, match=r"\(OTCacheLoadAnchor\)"):
        comfy.queue(prompt)
