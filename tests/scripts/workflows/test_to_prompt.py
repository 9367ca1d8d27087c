"""The conversion of saved workflows, on node classes made up here; and the workflows that ship."""

import json
import re

import pytest

from scripts.workflows import make as make_workflows
from scripts.workflows.canvas import CHINESE_TITLE, TITLE_HEIGHT, Canvas
from scripts.workflows.to_prompt import WorkflowError, find_node, only_for, set_input, to_api
from training.prompts import TARGET, make_prompts

INFO = {
    "Source": {"display_name": "A Source", "input": {}},
    "Sampler": {
        "display_name": "A Sampler",
        # As a host may send it: sections in one order, their inputs in another.
        "input": {
            "optional": {"note": ["STRING", {"default": "none"}], "mask": ["MASK"]},
            "required": {
                "model": ["MODEL"],
                "kind": [["euler", "heun"], {}],
                "seed": ["INT", {"default": 0}],
                "cfg": ["FLOAT", {"default": 1.0}],
                "extra": ["STRING", {"forceInput": True}],
            },
        },
        "input_order": {
            "required": ["model", "seed", "cfg", "extra", "kind"],
            "optional": ["note", "mask"],
        },
    },
    "Filter": {"display_name": "A Filter", "input": {"required": {"model": ["MODEL"]}}},
}


def _node(number, kind, *, values=(), links=None, outputs=("MODEL",), **more):
    """A saved node; `links` are the links into its sockets by name, all of type MODEL."""
    sockets = [{"name": n, "type": "MODEL", "link": link} for n, link in (links or {}).items()]
    slots = [{"name": kind, "type": kind, "links": []} for kind in outputs]
    node = {"id": number, "type": kind, "mode": 0, "inputs": sockets, "outputs": slots}
    return {**node, "widgets_values": list(values), **more}


def _workflow(*nodes, links=()):
    return {"nodes": list(nodes), "links": [[*link, "MODEL"] for link in links], "version": 0.4}


def _inputs(*values, links=None, **more):
    """The converted inputs of one Sampler with these saved values."""
    node = _node(1, "Sampler", values=values, links=links, **more)
    return to_api(_workflow(node), INFO)["1"]["inputs"]


# Widgets


def test_values_follow_the_order_of_the_definition_and_a_seed_has_one_more():
    expected = {"seed": 7, "cfg": 2.5, "kind": "heun", "note": "hello"}
    assert _inputs(7, "fixed", 2.5, "heun", "hello") == expected


def test_values_that_an_older_file_lacks_are_the_defaults():
    expected = {"seed": 7, "cfg": 1.0, "kind": "euler", "note": "none"}
    assert _inputs(7, "randomize") == expected
    assert _inputs() == {**expected, "seed": 0}


def test_values_by_name_are_taken_by_name():
    node = _node(1, "Sampler") | {"widgets_values": {"cfg": 3.0, "seed": 1, "videopreview": {}}}
    inputs = to_api(_workflow(node), INFO)["1"]["inputs"]
    assert inputs == {"seed": 1, "cfg": 3.0, "kind": "euler", "note": "none"}


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (["INT", {"control_after_generate": True}], [5, "fixed", "next"]),
        (["INT", {}], [5, "next"]),
        ([["a", "b"], {"control_after_generate": True}], ["b", "fixed", "", "next"]),
        (["COMBO", {"options": ["a.png"], "image_upload": True}], ["a.png", "image", "next"]),
        (["COMBO", {"options": ["a", "b"]}], ["b", "next"]),
        (["BOOLEAN", {}], [True, "next"]),
    ],
)
def test_a_widget_is_followed_by_what_its_definition_says(spec, values):
    info = {"N": {"input": {"required": {"first": spec, "second": ["STRING", {}]}}}}
    converted = to_api(_workflow(_node(1, "N", values=values)), info)
    assert converted["1"]["inputs"] == {"first": values[0], "second": "next"}


def test_a_seed_without_control_has_one_value():
    seed = ["INT", {"control_after_generate": False}]
    info = {"N": {"input": {"required": {"seed": seed, "steps": ["INT", {}]}}}}
    converted = to_api(_workflow(_node(1, "N", values=[5, 20])), info)
    assert converted["1"]["inputs"] == {"seed": 5, "steps": 20}


def test_values_that_do_not_fit_the_class_are_an_error():
    message = r"node 1 \(Sampler\) must have one of fixed, .* after `seed` but has 2.5"
    with pytest.raises(WorkflowError, match=message):
        _inputs(7, 2.5, "heun")


# Links


def test_a_link_wins_over_the_value_and_the_title_is_kept():
    source = _node(3, "Source", outputs=("MODEL", "INT"))
    sampler = _node(1, "Sampler", values=[7, "fixed"], links={"model": 1, "seed": 2}, title="Mine")
    workflow = _workflow(source, sampler, links=[(1, 3, 0, 1, 0), (2, 3, 1, 1, 1)])
    prompt = to_api(workflow, INFO)
    assert list(prompt) == ["3", "1"]
    assert prompt["3"] == {"class_type": "Source", "inputs": {}, "_meta": {"title": "A Source"}}
    assert prompt["1"]["inputs"] | {"note": ""} == {
        "model": ["3", 0], "seed": ["3", 1], "cfg": 1.0, "kind": "euler", "note": "",
    }  # fmt: skip
    assert prompt["1"]["_meta"] == {"title": "Mine"}


def _through(middle):
    """What a Sampler gets from a Source through a node in the middle."""
    source = _node(1, "Source")
    sampler = _node(3, "Sampler", links={"model": 2})
    links = [(1, 1, 0, 2, 0), (2, 2, 0, 3, 0)]
    prompt = to_api(_workflow(source, middle, sampler, links=links), INFO)
    return set(prompt), prompt["3"]["inputs"].get("model")


@pytest.mark.parametrize(
    ("middle", "nodes", "expected"),
    [
        (_node(2, "Filter", links={"model": 1}), {"1", "2", "3"}, ["2", 0]),
        (_node(2, "Filter", links={"model": 1}, mode=4), {"1", "3"}, ["1", 0]),
        (_node(2, "Filter", links={"model": 1}, mode=2), {"1", "3"}, None),
        (_node(2, "Filter", links={"model": 1}, mode=4, outputs=("VAE",)), {"1", "3"}, None),
        (_node(2, "Reroute", links={"": 1}, outputs=("*",)), {"1", "3"}, ["1", 0]),
        (_node(2, "Unheard-of", links={"model": 1}, mode=4), {"1", "3"}, ["1", 0]),
    ],
    ids=["plain", "bypassed", "muted", "bypassed without its type", "reroute", "bypassed unknown"],
)  # fmt: skip
def test_links_through_nodes_that_do_not_run(middle, nodes, expected):
    assert _through(middle) == (nodes, expected)


def test_a_bypassed_node_prefers_the_input_at_the_outputs_own_place():
    sources = [_node(1, "Source"), _node(2, "Source")]
    middle = _node(3, "Filter", links={"a": 1, "b": 2}, outputs=("MODEL", "MODEL"), mode=4)
    sampler = _node(4, "Sampler", links={"model": 3})
    links = [(1, 1, 0, 3, 0), (2, 2, 0, 3, 1), (3, 3, 1, 4, 0)]
    prompt = to_api(_workflow(*sources, middle, sampler, links=links), INFO)
    assert prompt["4"]["inputs"]["model"] == ["2", 0]


def test_notes_are_left_out_and_a_primitive_leaves_the_widget_its_value():
    note, primitive = _node(1, "MarkdownNote", values=["text"]), _node(2, "PrimitiveNode")
    sampler = _node(3, "Sampler", values=[9, "fixed"], links={"seed": 1})
    prompt = to_api(_workflow(note, primitive, sampler, links=[(1, 2, 0, 3, 0)]), INFO)
    assert list(prompt) == ["3"]
    assert prompt["3"]["inputs"]["seed"] == 9


# Errors


def test_unknown_classes_are_all_named():
    workflow = _workflow(_node(1, "Lost"), _node(2, "Source"), _node(3, "Gone"))
    with pytest.raises(WorkflowError, match=r"these are not: Lost \(node 1\), Gone \(node 3\)\."):
        to_api(workflow, INFO)


def test_the_api_format_is_not_a_saved_workflow():
    with pytest.raises(WorkflowError, match="must have a list of `nodes` but has none"):
        to_api({"1": {"class_type": "Source", "inputs": {}}}, INFO)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([], "link 1 must be in `links` but does not"),
        ([(1, 8, 0, 1, 0)], "link 1 must start at a node but 8 is none"),
        ([(1, 2, 0, 1, 0), (2, 2, 0, 2, 0)], "link 2 must lead somewhere but does not"),
    ],
)
def test_broken_links_are_errors(links, message):
    sampler = _node(1, "Sampler", links={"model": 1})
    circle = _node(2, "Reroute", links={"": 2})
    with pytest.raises(WorkflowError, match=message):
        to_api(_workflow(sampler, circle, links=links), INFO)


# Helpers


def _prompt():
    nodes = {"1": ("Load", {}), "2": ("Draw", {"model": ["1", 0], "seed": 3})}
    nodes |= {"3": ("Save", {"image": ["2", 0]}), "4": ("Save", {"image": ["1", 1]})}
    return {
        key: {"class_type": kind, "inputs": inputs, "_meta": {"title": f"{kind} {key}"}}
        for key, (kind, inputs) in nodes.items()
    }


def test_nodes_are_found_by_title_and_class():
    assert find_node(_prompt(), title="Save 3") == "3"
    assert find_node(_prompt(), class_type="Load") == "1"
    assert find_node(_prompt(), title="Save 4", class_type="Save") == "4"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"class_type": "Save"}, "one node must have class 'Save' but 2 do"),
        ({"title": "x", "class_type": "Load"}, "must have title 'x' and class 'Load' but 0 do"),
    ],
)
def test_no_node_or_more_than_one_is_an_error(wanted, message):
    with pytest.raises(WorkflowError, match=message):
        find_node(_prompt(), **wanted)


def test_inputs_are_set_over_values_and_links_but_not_made_up():
    prompt = _prompt()
    set_input(prompt, "2", "model", "none")
    assert prompt["2"]["inputs"] == {"model": "none", "seed": 3}
    with pytest.raises(WorkflowError, match="must have the input 'sed' but has only model, seed"):
        set_input(prompt, "2", "sed", 1)


def test_only_what_an_output_needs_is_kept_and_the_original_stays():
    prompt = _prompt()
    part = only_for(prompt, "3")
    assert list(part) == ["1", "2", "3"]
    part["2"]["inputs"]["seed"] = 9
    assert prompt["2"]["inputs"]["seed"] == 3
    assert list(only_for(prompt, "4", "2")) == ["1", "2", "4"]


# The workflows that ship

SHIPPED = sorted(make_workflows.WORKFLOWS)


def _shipped(name):
    return json.loads((make_workflows.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_workflows_are_what_their_description_makes(name):
    written = (make_workflows.FOLDER / f"{name}.json").read_bytes()
    made = make_workflows.as_text(make_workflows.WORKFLOWS[name]())
    assert written == made.encode(), "run python -m scripts.workflows.make"


def test_prompts_are_what_their_description_makes():
    assert json.loads(TARGET.read_text(encoding="utf-8")) == make_prompts()


@pytest.mark.parametrize("name", SHIPPED)
def test_links_are_known_to_both_their_ends(name):
    workflow = _shipped(name)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for link, origin, slot, target, socket, kind in workflow["links"]:
        assert link in nodes[origin]["outputs"][slot]["links"]
        assert nodes[origin]["outputs"][slot]["type"] == kind
        assert nodes[target]["inputs"][socket]["link"] == link
        assert nodes[target]["inputs"][socket]["type"] == kind
    ends = [s["link"] for node in nodes.values() for s in node["inputs"] if s["link"] is not None]
    assert sorted(ends) == [link[0] for link in workflow["links"]]


@pytest.mark.parametrize("name", SHIPPED)
def test_nodes_lie_inside_their_groups_and_do_not_overlap(name):
    workflow = _shipped(name)
    boxes = []
    for node in workflow["nodes"]:
        (x, y), (width, height) = node["pos"], node["size"]
        height = 0 if node["flags"].get("collapsed") else height
        boxes.append((x, y - TITLE_HEIGHT, x + width, y + height))
    for index, (left, top, right, bottom) in enumerate(boxes):
        for x0, y0, x1, y1 in boxes[index + 1 :]:
            assert right <= x0 or x1 <= left or bottom <= y0 or y1 <= top
    groups = [(x, y, x + w, y + h) for x, y, w, h in (g["bounding"] for g in workflow["groups"])]
    for left, top, right, bottom in boxes:
        around = [
            x0 < left and y0 < top and x1 > right and y1 > bottom for x0, y0, x1, y1 in groups
        ]
        assert sum(around) == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_nodes_say_which_pack_they_come_from(name):
    for node in _shipped(name)["nodes"]:
        if node["type"] != "MarkdownNote":
            about = node["properties"]
            assert about["Node name for S&R"] == node["type"]
            assert about["cnr_id"] == ("otcache" if "OTCache" in node["type"] else "comfy-core")
            assert about["ver"]


def test_the_calibration_has_all_its_prompts():
    nodes = {node["type"]: node for node in _shipped("OTCache calibration")["nodes"]}
    text, limit, source = nodes["OTCacheCalibrationPrompts"]["widgets_values"]
    assert source == "the text above"
    assert text.splitlines() == make_prompts()["calibration"]
    assert len(text.splitlines()) <= limit


def _notes(name):
    """The texts of a workflow's notes by their titles."""
    notes = [node for node in _shipped(name)["nodes"] if node["type"] == "MarkdownNote"]
    return {note["title"]: note["widgets_values"][0] for note in notes}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_note_has_no_inline_code(name):
    assert [text for text in _notes(name).values() if "`" in text] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_note_is_there_in_chinese_folded_and_with_the_same_numbers(name):
    english, chinese = _notes(name).values()
    assert list(_notes(name)) == ["About this workflow", CHINESE_TITLE]
    folded = [node for node in _shipped(name)["nodes"] if node.get("title") == CHINESE_TITLE]
    assert [node["flags"] for node in folded] == [{"collapsed": True}]
    assert re.search("[\u4e00-\u9fff]", chinese)
    numbers = [set(re.findall(r"\d[\d,.]*\d|\d", text)) for text in (english, chinese)]
    assert numbers[1] == numbers[0]


def test_the_calibrations_note_names_inputs_that_have_a_say_at_its_size():
    nodes = {node["type"]: node for node in _shipped("OTCache calibration")["nodes"]}
    note = _notes("OTCache calibration")["About this workflow"]
    assert "standard" in nodes["OTCacheCalibrateAnchor"]["widgets_values"]
    named = set(re.findall(r"\*(\w+)\*", note))
    assert "size" in named and named & {"trials", "patience"} == set()


def test_nothing_but_templates_lies_beside_them_and_their_names_can_be_read():
    # ComfyUI lists every JSON file as a template and shows its name as the title.
    kept = {path.name for path in make_workflows.FOLDER.iterdir()}
    assert kept == {f"{name}{ending}" for name in SHIPPED for ending in (".json", ".jpg")}
    assert [name for name in SHIPPED if not re.fullmatch(r"[\w.-]+( [\w.-]+)+", name)] == []
    assert [name for name in SHIPPED if "_" in name or "OTCache" not in name] == []


def test_an_input_that_a_class_has_not_is_an_error():
    canvas = Canvas("x")
    with canvas.column("1", 200), pytest.raises(ValueError, match="PreviewImage must have .* size"):
        canvas.add("PreviewImage", size=3)
