"""Blueprints as ComfyUI keeps them: one node, its definition, and borders that fit."""

from __future__ import annotations

import json

import pytest

from scripts.workflows import make as make_workflows
from scripts.workflows.blueprints import (
    BLUEPRINTS,
    INPUT_BORDER,
    OUTPUT_BORDER,
    SAMPLER,
    Port,
    as_blueprint,
)
from scripts.workflows.canvas import Canvas


def _definition(blueprint):
    (definition,) = blueprint["definitions"]["subgraphs"]
    return definition


def test_the_folder_has_what_is_described_and_nothing_else():
    files = {path.name: path.read_bytes() for path in make_workflows.BLUEPRINT_FOLDER.iterdir()}
    made = {
        f"{name}.json": make_workflows.as_text(make()).encode() for name, make in BLUEPRINTS.items()
    }
    assert files == made, "run python -m scripts.workflows.make"


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_links_are_known_to_both_their_ends(name):
    definition = _definition(BLUEPRINTS[name]())
    nodes = {node["id"]: node for node in definition["nodes"]}
    for link in definition["links"]:
        if link["origin_id"] == INPUT_BORDER:
            origin = definition["inputs"][link["origin_slot"]]
            assert origin["linkIds"] == [link["id"]]
        else:
            origin = nodes[link["origin_id"]]["outputs"][link["origin_slot"]]
            assert link["id"] in origin["links"]
        if link["target_id"] == OUTPUT_BORDER:
            target = definition["outputs"][link["target_slot"]]
            assert target["linkIds"] == [link["id"]]
        else:
            target = nodes[link["target_id"]]["inputs"][link["target_slot"]]
            assert target["link"] == link["id"]
        assert origin["type"] == target["type"] == link["type"]
    ids = [link["id"] for link in definition["links"]]
    assert ids == list(range(1, definition["state"]["lastLinkId"] + 1))


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_the_node_has_the_ports_of_its_definition(name):
    blueprint = BLUEPRINTS[name]()
    definition, (node,) = _definition(blueprint), blueprint["nodes"]
    assert node["type"] == definition["id"]
    assert node["title"] == definition["name"] == name
    for side in ("inputs", "outputs"):
        ports = [(port["name"], port["type"]) for port in definition[side]]
        assert [(socket["name"], socket["type"]) for socket in node[side]] == ports
        assert len({port["id"] for port in definition[side]}) == len(ports)
    assert definition["description"].endswith(".")


def test_a_widget_becomes_a_socket_and_a_label_its_name_outside():
    canvas = Canvas("x")
    with canvas.column("1", 200):
        (cond,) = canvas.add("CLIPTextEncode", text="a")
    ports = [Port(cond.node, "clip"), Port(cond.node, "text", "prompt")]
    blueprint = as_blueprint(canvas, "Says something.", ports, [cond])

    (node,) = blueprint["nodes"]
    assert [socket["name"] for socket in node["inputs"]] == ["clip", "prompt"]
    assert [socket.get("widget") for socket in node["inputs"]] == [None, {"name": "prompt"}]
    inside = _definition(blueprint)["nodes"][0]["inputs"]
    assert [(socket["name"], socket["link"]) for socket in inside] == [("clip", 1), ("text", 2)]
    assert inside[1]["widget"] == {"name": "text"}


def test_ids_stay_the_same_and_differ_between_blueprints():
    first, again = BLUEPRINTS[SAMPLER](), BLUEPRINTS[SAMPLER]()
    assert json.dumps(first) == json.dumps(again)
    assert len({_definition(make())["id"] for make in BLUEPRINTS.values()}) == len(BLUEPRINTS)
