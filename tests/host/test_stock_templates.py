"""What is written down of ComfyUI's own templates, against the package that they come in."""

from __future__ import annotations

import json
from importlib import metadata, util
from pathlib import Path
from typing import Any

import pytest

from scripts.workflows.stock import FEW_STEPS, PACKAGE, STOCK

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def values():
    """`values(template)`: every value of a widget in it, its subgraphs' included, as texts."""
    name, version = PACKAGE
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = "none"
    if found != version:
        pytest.skip(f"{name} {version} was read, this ComfyUI has {found}")
    package = util.find_spec("comfyui_workflow_templates_json")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "templates"

    def read(template: str) -> set[str]:
        document = json.loads((folder / f"{template}.json").read_text(encoding="utf-8"))
        graphs = [document, *document.get("definitions", {}).get("subgraphs", [])]
        nodes = [node for graph in graphs for node in graph["nodes"]]
        listed = [value for node in nodes for value in node.get("widgets_values") or []]
        return {_as_text(value) for value in listed} | {node["type"] for node in nodes}

    return read


def _as_text(value: Any) -> str:
    return f"{round(value, 3):g}" if isinstance(value, (int, float)) else str(value)


@pytest.mark.parametrize("stock", STOCK, ids=lambda stock: stock.model)
def test_a_template_has_the_settings_written_down(values, stock):
    guidance = stock.guidance.split()[-1]
    numbers = {str(sum(stock.steps)), stock.shift, guidance}
    # What a template leaves to the model is not in it.
    left_alone = {
        "",
        "none",
        *(["3.5"] if stock.template.startswith(("flux_dev", "flux1")) else []),
    }
    expected = (numbers - left_alone) | {stock.sampler, stock.scheduler}
    assert expected - values(stock.template) == set()


@pytest.mark.parametrize("stock", STOCK, ids=lambda stock: stock.model)
def test_its_sampler_adds_noise_where_it_says_so(host, stock):
    import comfy.samplers

    rules = host.module("nodes.sampling.sampler_rules")
    sampler = comfy.samplers.sampler_object(stock.sampler)
    assert rules.is_stochastic(sampler) == stock.adds_noise


@pytest.mark.parametrize("name", FEW_STEPS)
def test_a_template_of_few_steps_has_them(values, name):
    template, steps = FEW_STEPS[name]
    found = values(template)
    levels = [value for value in found if value.count(",") == steps and value.endswith(" 0.0")]
    assert str(steps) in found or levels
