"""Edit Cache Schedule in the browser: clicks write the mask, a typed mask redraws the steps."""

from __future__ import annotations

import json

import pytest

from otcache_core.documents.anchor import load_anchor
from otcache_core.documents.mask import write_mask
from otcache_core.transport import predict_schedule
from scripts.host.find import REPOSITORY

pytestmark = [pytest.mark.web, pytest.mark.slow]

ANCHOR = load_anchor(REPOSITORY / "presets" / "otcache-demo.otanchor.json")
PREDICTED = write_mask(predict_schedule(ANCHOR, 10).schedule)
SKIPPED = [step for step, digit in enumerate(PREDICTED) if digit == "0"]
CELLS = """(panel) => [...panel.querySelectorAll(".otcache-strip rect:not(.otcache-cursor)")]
    .map((cell) => (cell.classList.contains("otcache-computed") ? "1" : "0")).join("")"""


@pytest.fixture
def graph(page, planned):
    """The page, Predict Cache Schedule, and Edit Cache Schedule behind it, drawn."""
    _, predict = planned
    edit = page.add("OTCacheEditSchedule", (640, 80))
    page.link(predict, 0, edit, "schedule")
    page.wait_for(edit, "edit", "10 of 50 model calls")
    return page, predict, edit


def _flipped(mask, *steps):
    return "".join("10"[int(d)] if i in steps else d for i, d in enumerate(mask))


def _point(page, panel, step, steps=50):
    """The middle of a step's cell on the screen."""
    box = panel.locator(".otcache-plot").bounding_box()
    return box["x"] + (step + 0.5) * box["width"] / steps, box["y"] + box["height"] / 2


def _click(page, edit, *steps, of=50):
    panel = page.panel(edit, "edit")
    for step in steps:
        page.page.mouse.click(*_point(page, panel, step, of))


def _wait_for_mask(page, edit, mask):
    page.page.wait_for_function(
        """([id, mask]) => app.graph.getNodeById(Number(id)).widgets
            .find((w) => w.name === "mask").value === mask""",
        arg=[edit, mask],
    )


def _wait_for_cells(page, edit, mask):
    """The strip of what the page shows, which need not be the panel that the node holds."""
    cells = ".map((cell) => (cell.classList.contains('otcache-computed') ? '1' : '0')).join('')"
    page.page.wait_for_function(
        """([id, mask]) => {
            const panel = app.graph.getNodeById(Number(id)).widgets
                .find((w) => w.name === "otcache_edit").element;
            const cells = panel.querySelectorAll(".otcache-strip rect:not(.otcache-cursor)");
            return panel.isConnected && [...cells]"""
        + cells
        + """ === mask; }""",
        arg=[edit, mask],
    )


def test_it_shows_the_schedule_as_it_comes(graph):
    page, predict, edit = graph
    panel = page.panel(edit, "edit")

    assert panel.evaluate(CELLS) == PREDICTED
    text = panel.inner_text()
    assert "up to 5.0x faster" in text and "as it comes, slope" in text
    assert panel.get_by_role("button").count() == 0
    assert page.widget(edit, "mask") == ""
    page.set_widget(predict, "budget", 12)
    page.wait_for(edit, "edit", "12 of 50 model calls")
    page.set_widget(predict, "steps", 30)
    page.wait_for(edit, "edit", "12 of 30 model calls")


def test_a_click_runs_a_step_or_skips_it(graph, artefacts):
    page, _, edit = graph
    step = SKIPPED[5]
    _click(page, edit, step)
    panel = page.wait_for(edit, "edit", "11 of 50 model calls")
    assert panel.evaluate(CELLS) == page.widget(edit, "mask") == _flipped(PREDICTED, step)
    assert "new edges take what was learned at their place" in panel.inner_text()
    page.screenshot(artefacts / f"edit_{page.renderer}.png")

    _click(page, edit, step)
    panel = page.wait_for(edit, "edit", "10 of 50 model calls")
    assert panel.evaluate(CELLS) == page.widget(edit, "mask") == PREDICTED
    last = PREDICTED.rindex("1")
    _click(page, edit, last)
    page.wait_for(edit, "edit", "9 of 50 model calls")
    assert page.widget(edit, "mask") == _flipped(PREDICTED, last)


def test_the_first_step_cannot_be_skipped(graph):
    page, _, edit = graph
    _click(page, edit, 0)
    panel = page.wait_for(edit, "edit", "the model runs, always: nothing is known before it")
    page.page.wait_for_timeout(300)
    assert page.widget(edit, "mask") == "" and panel.evaluate(CELLS) == PREDICTED


def test_clicks_that_come_fast_all_count(graph):
    page, _, edit = graph
    steps = SKIPPED[3:15]
    _click(page, edit, *steps)
    _wait_for_mask(page, edit, _flipped(PREDICTED, *steps))
    page.wait_for(edit, "edit", "22 of 50 model calls")


def test_a_press_that_leaves_its_step_changes_nothing_nor_moves_the_node(graph):
    page, _, edit = graph
    place = "(id) => [...app.graph.getNodeById(Number(id)).pos]"
    before = page.js(place, edit)
    panel = page.panel(edit, "edit")
    page.page.mouse.move(*_point(page, panel, 10))
    page.page.mouse.down()
    page.page.mouse.move(*_point(page, panel, 30), steps=4)
    page.page.mouse.up()
    page.page.wait_for_timeout(300)
    assert page.widget(edit, "mask") == "" and page.js(place, edit) == before


def test_the_keyboard_switches_steps_too(graph):
    page, _, edit = graph
    panel = page.panel(edit, "edit")
    plot = panel.locator(".otcache-plot")
    plot.focus()
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
    assert plot.get_attribute("aria-valuenow") == "2"
    assert plot.get_attribute("aria-readonly") == "false"
    page.page.keyboard.press("Enter")
    _wait_for_cells(page, edit, _flipped(PREDICTED, 2))
    assert plot.get_attribute("aria-valuetext").endswith("the model runs")
    page.page.keyboard.press(" ")
    _wait_for_cells(page, edit, PREDICTED)
    assert page.widget(edit, "mask") == PREDICTED


def _type(page, edit, text):
    """Types into the node's text field, as both renderers have it."""
    box = page.js(
        """(id) => {
            const held = app.graph.getNodeById(Number(id)).widgets.find((w) => w.name === "mask");
            const shown = document.querySelector(`[data-node-id="${id}"] textarea`);
            (held.element?.isConnected ? held.element : shown).dataset.test = "mask";
        }""",
        edit,
    )
    assert box is None
    page.page.locator('[data-test="mask"]').fill(text)


def test_a_typed_mask_redraws_the_steps(graph):
    page, _, edit = graph
    mask = "1111100100" * 5
    _type(page, edit, ", ".join(mask))
    panel = page.wait_for(edit, "edit", "30 of 50 model calls")
    assert panel.evaluate(CELLS) == mask
    _click(page, edit, 6)
    _wait_for_cells(page, edit, _flipped(mask, 6))
    assert page.widget(edit, "mask") == _flipped(mask, 6)
    page.panel(edit, "edit").get_by_role("button", name="Follow the schedule").click()
    panel = page.wait_for(edit, "edit", "as it comes, slope")
    assert page.widget(edit, "mask") == "" and panel.evaluate(CELLS) == PREDICTED


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ("1010", "`mask` must have as many steps as the schedule, 50, but has 4"),
        ("0" * 50, "`mask` must begin with 1 but begins with 0"),
        ("1" * 49 + "2", "`mask` must have nothing but 0 and 1"),
    ],
)
def test_a_mask_that_breaks_a_rule_says_what_to_do(graph, mask, said):
    page, _, edit = graph
    _type(page, edit, mask)
    panel = page.wait_for(edit, "edit", said)
    assert panel.evaluate(CELLS) == ""
    panel.get_by_role("button", name="Follow the schedule").click()
    page.wait_for(edit, "edit", "10 of 50 model calls")


def test_a_mask_needs_no_schedule(page):
    edit = page.add("OTCacheEditSchedule", (400, 80))
    page.wait_for(edit, "edit", "Connect a schedule")
    _type(page, edit, "11010010001000100011")
    panel = page.wait_for(edit, "edit", "8 of 20 model calls")
    assert "a mask alone, adaptive: each run learns by itself" in panel.inner_text()
    _click(page, edit, 2, of=20)
    page.wait_for(edit, "edit", "9 of 20 model calls")


def _note(page):
    """Has undo know of the graph; newer front ends take it in a moment after they are asked."""
    page.page.wait_for_timeout(300)
    page.note_state()
    page.page.wait_for_timeout(300)


def test_undo_and_redo_bring_back_masks(graph):
    page, _, edit = graph
    _note(page)
    masks = ["", _flipped(PREDICTED, SKIPPED[4]), _flipped(PREDICTED, SKIPPED[4], SKIPPED[9])]
    for step in (SKIPPED[4], SKIPPED[9]):
        _click(page, edit, step)
        page.page.wait_for_timeout(600)  # nothing else notes the state
    assert page.widget(edit, "mask") == masks[2]
    for command, mask in (("Undo", masks[1]), ("Undo", masks[0]), ("Redo", masks[1])):
        page.command(f"Comfy.{command}")
        _wait_for_mask(page, edit, mask)
        _wait_for_cells(page, edit, mask or PREDICTED)
    _click(page, edit, SKIPPED[9])
    _wait_for_cells(page, edit, masks[2])


def test_undo_brings_back_a_mask_that_was_taken_away(graph):
    page, _, edit = graph
    _note(page)
    step = SKIPPED[4]
    _click(page, edit, step)
    page.wait_for(edit, "edit", "11 of 50 model calls")
    page.page.wait_for_timeout(600)  # nothing else notes the state
    page.panel(edit, "edit").get_by_role("button", name="Follow the schedule").click()
    page.wait_for(edit, "edit", "10 of 50 model calls")
    page.page.wait_for_timeout(600)
    page.command("Comfy.Undo")
    _wait_for_cells(page, edit, _flipped(PREDICTED, step))
    assert page.widget(edit, "mask") == _flipped(PREDICTED, step)


@pytest.mark.parametrize("width", [240, 420])
@pytest.mark.parametrize("mask", ["", "1" * 50, "1010"])
def test_all_of_the_panel_is_seen(graph, width, mask):
    page, _, edit = graph
    page.js("([id, w]) => app.graph.getNodeById(Number(id)).setSize([w, 200])", [edit, width])
    page.set_widget(edit, "mask", mask)
    said = {"": "as it comes", "1010": "has 4"}.get(mask, "All 50 steps run the model")
    panel = page.wait_for(edit, "edit", said)
    page.page.wait_for_timeout(500)
    hidden = """(panel) => {
        const last = [...panel.children].map((part) => part.getBoundingClientRect().bottom);
        const below = Math.max(...last) - panel.getBoundingClientRect().bottom;
        return Math.max(below, panel.scrollHeight - panel.clientHeight);
    }"""
    assert panel.evaluate(hidden) <= 1
    height = "(id) => Math.round(app.graph.getNodeById(Number(id)).size[1])"
    room = page.js(height, edit)
    page.page.wait_for_timeout(500)
    assert page.js(height, edit) == room < 420


def test_what_follows_knows_the_edited_schedule(graph):
    page, predict, edit = graph
    second = page.add("OTCacheEditSchedule", (640, 500))
    sampler = page.add("OTCacheSampler", (1100, 80), steps=20)
    page.link(edit, 0, second, "schedule")
    page.link(second, 0, sampler, "schedule")
    said = "The schedule is for 50 steps, the sampler has 20"
    for node, kind in ((predict, "schedule"), (edit, "edit"), (second, "edit")):
        page.wait_for(node, kind, said)
    page.wait_for_panel(sampler, "result", said)
    page.set_widget(edit, "mask", "1" * 50)
    page.wait_for(second, "edit", "50 of 50 model calls")
    page.set_widget(sampler, "steps", 50)
    page.wait_for_panel(sampler, "result", "All 50 steps run the model")


def test_a_mask_of_another_node_is_shown_and_not_clicked(graph):
    page, _, edit = graph
    mask = "1100000001" * 5
    text = page.add("PrimitiveString", (180, 700), value=mask)
    page.link(text, 0, edit, "mask")
    panel = page.wait_for(edit, "edit", "mask comes from another node: change it there.")
    assert panel.evaluate(CELLS) == mask
    _click(page, edit, 5)
    page.page.wait_for_timeout(300)
    panel = page.panel(edit, "edit")
    assert panel.evaluate(CELLS) == mask and panel.get_by_role("button").count() == 0


def test_a_schedule_that_only_a_run_can_tell(page, comfy):
    # No Predict Cache Schedule shows it here: the result of a run does.
    edit = page.add("OTCacheEditSchedule", (640, 80))
    predict = page.add("OTCachePredictSchedule", (180, 80))
    page.link(predict, 0, edit, "schedule")
    said = '"Predict Cache Schedule" shows no schedule yet'
    page.wait_for(edit, "edit", said)
    tell = """([id, edited, steps]) => app.graph.getNodeById(Number(id)).onExecuted({
        otcache_lines: [{ text: "4 calls of 20 steps, slope" }],
        otcache: [{ steps: 20, computed_steps: steps, estimator: "slope", look_back: [1, 1, 1],
            edited }],
    })"""
    page.js(tell, [edit, True, [0, 6, 11, 19]])  # of an edited one, nobody knows what came in
    page.page.wait_for_timeout(300)
    assert page.panel(edit, "edit").evaluate(CELLS) == ""
    page.js(tell, [edit, False, [0, 5, 10, 19]])
    panel = page.wait_for(edit, "edit", "4 of 20 model calls")
    assert said in panel.inner_text()
    _click(page, edit, 7, of=20)
    page.wait_for(edit, "edit", "5 of 20 model calls")
    assert page.widget(edit, "mask") == "10000101001000000001"


def test_it_keeps_its_mask_in_the_workflow_and_gives_it_out(graph):
    page, _, edit = graph
    _click(page, edit, SKIPPED[3])
    page.wait_for(edit, "edit", "11 of 50 model calls")
    mask = _flipped(PREDICTED, SKIPPED[3])
    show = page.add("PreviewAny", (1100, 80))
    page.link(edit, 1, show, "source")
    page.run()
    page.open_workflow(page.workflow())
    page.wait_for(edit, "edit", "11 of 50 model calls")
    assert page.widget(edit, "mask") == mask
    saved = next(n for n in json.loads(page.workflow())["nodes"] if str(n["id"]) == edit)
    assert saved["widgets_values"] == [mask]
    entry = page.js("() => fetch('/history').then((r) => r.json())")
    texts = [e["outputs"][edit]["text"] for e in entry.values() if edit in e["outputs"]]
    assert ["11 calls of 50 steps, slope"] in texts


def test_it_is_there_in_chinese(chinese):
    edit = chinese.add("OTCacheEditSchedule", (400, 80))
    chinese.wait_for(edit, "edit", "请连接计划")
    chinese.set_widget(edit, "mask", "0101")
    chinese.wait_for(edit, "edit", "掩码必须以 1 开头")
    chinese.set_widget(edit, "mask", "1101")
    chinese.wait_for(edit, "edit", "4 步中调用模型 3 次")
