"""Predict Cache Schedule in the browser: it shows what its sliders mean, before anything runs."""

from __future__ import annotations

import json
import re
import statistics

import pytest

from otcache_core.documents.anchor import load_anchor
from otcache_core.documents.fidelity import FidelityCurve
from otcache_core.transport import predict_schedule
from scripts.host.find import REPOSITORY
from scripts.media.page import count

pytestmark = [pytest.mark.web, pytest.mark.slow]

PRESET = "preset: otcache-demo"
ANCHOR = load_anchor(REPOSITORY / "presets" / "otcache-demo.otanchor.json")
COMPUTED, SKIPPED = ".otcache-computed", ".otcache-skipped"


@pytest.fixture
def graph(page, planned):
    """The page, Load OT Anchor and Predict Cache Schedule, drawn."""
    return page, *planned


def _cells(panel):
    return panel.locator(COMPUTED).count(), panel.locator(SKIPPED).count()


def test_a_new_node_shows_its_schedule(graph, artefacts):
    page, _, predict = graph
    panel = page.panel(predict, "schedule")

    assert _cells(panel) == (10, 40)
    text = panel.inner_text()
    assert "up to 5.0x faster" in text and f"rho {ANCHOR.rho:.2f} from the anchor" in text
    assert [k in text for k in ("reference 20", "anchor 8", "prediction 10")] == [True] * 3
    typical, mean = FidelityCurve(ANCHOR.fidelity).expected(10)
    assert f"expected LPIPS {typical:.4f} (mean {mean:.4f})" in text
    page.screenshot(artefacts / f"predict_{page.renderer}.png")


def test_dragging_the_budget_changes_the_strip(graph):
    page, _, predict = graph
    panel = page.panel(predict, "schedule")
    page.drag_slider(predict, "budget", 0.30)
    budget = page.widget(predict, "budget")
    panel.filter(has_text=f"{budget} of 50 model calls").wait_for()

    assert budget > 15
    assert _cells(panel) == (budget, 50 - budget)
    assert page.js("() => fetch('/api/queue').then((r) => r.json())") == {
        "queue_running": [],
        "queue_pending": [],
    }


def test_dragging_rho_moves_the_model_calls(graph):
    page, _, predict = graph
    page.set_widget(predict, "anchor_rho", False)
    panel = page.wait_for(predict, "schedule", "rho 1.30 from the slider")
    positions = (
        "(e) => [...e.querySelectorAll('.otcache-computed')].map((c) => c.getAttribute('x'))"
    )
    before = panel.evaluate(positions)
    page.drag_slider(predict, "rho", 0.95)
    rho = page.widget(predict, "rho")
    panel.filter(has_text=f"rho {rho:.2f} from the slider").wait_for()

    assert rho > 1.5
    assert len(panel.evaluate(positions)) == len(before) == 10
    assert panel.evaluate(positions) != before


def test_a_change_is_drawn_within_50_ms(graph, artefacts):
    page, _, predict = graph
    measured = page.js(
        """async (id) => {
            const node = app.graph.getNodeById(Number(id));
            const budget = node.widgets.find((w) => w.name === "budget");
            const panel = node.widgets.find((w) => w.name === "otcache_schedule").element;
            const strip = panel.querySelector(".otcache-strip");
            const times = [];
            for (let value = 11; value < 41; value++) {
                const begin = performance.now();
                const drawn = new Promise((done) => {
                    const observer = new MutationObserver(() => {
                        const cells = strip.querySelectorAll(".otcache-computed").length;
                        if (cells === value) { observer.disconnect(); done(performance.now()); }
                    });
                    observer.observe(strip, { childList: true });
                });
                budget.value = value;
                times.push((await drawn) - begin);
                await new Promise((next) => setTimeout(next, 20));
            }
            return times;
        }""",
        predict,
    )
    report = {"median_ms": statistics.median(measured), "worst_ms": max(measured)}
    (artefacts / f"latency_{page.renderer}.json").write_text(json.dumps(report))

    assert statistics.median(measured) < 50.0, report


def test_pointing_at_a_step_tells_about_it(graph):
    page, _, predict = graph
    panel = page.panel(predict, "schedule")
    box = panel.locator(".otcache-plot").bounding_box()

    def at(step):
        page.page.mouse.move(box["x"] + (step + 0.5) * box["width"] / 50, box["y"] + 30)
        return panel.locator(".otcache-step").inner_text()

    assert re.fullmatch(r"step 0, sigma 1\.000: the model runs", at(0))
    words = at(2)
    assert re.fullmatch(
        r"step 2, sigma 0\.\d{3}: skipped, estimated from step 0, look-back 1", words
    )
    computed = predict_schedule(ANCHOR, 10).schedule.computed_steps
    late = next(step for step in range(20, 50) if step not in computed)
    assert "estimated from steps" in at(late)
    page.page.mouse.move(5, 5)
    assert "steps 0 to 49" in panel.locator(".otcache-step").inner_text()


def test_the_keyboard_reaches_every_step(graph):
    page, _, predict = graph
    place = "(id) => [...app.graph.getNodeById(Number(id)).pos]"
    before = page.js(place, predict)
    plot = page.panel(predict, "schedule").locator(".otcache-plot")
    plot.focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")

    assert plot.get_attribute("aria-valuenow") == "1"
    assert plot.get_attribute("aria-valuetext").startswith("step 1, sigma")
    page.page.keyboard.press("End")
    assert plot.get_attribute("aria-valuetext").startswith("step 49, sigma")
    page.page.keyboard.press("Home")
    assert plot.get_attribute("aria-valuetext").endswith("the model runs")
    assert page.js(place, predict) == before


def test_a_budget_that_steps_leave_behind_says_what_to_do(graph):
    page, _, predict = graph
    page.set_widget(predict, "budget", 30)
    page.wait_for(predict, "schedule", "30 of 50 model calls")
    page.set_widget(predict, "steps", 20)
    panel = page.wait_for(predict, "schedule", "`budget` must be at most `steps` = 20 but got 30")
    assert _cells(panel) == (0, 0) and page.widget(predict, "budget") == 30
    page.set_widget(predict, "budget", 20)
    page.wait_for(predict, "schedule", "All 20 steps run the model: nothing is saved")


def test_a_budget_below_the_anchors_says_what_to_do(page):
    load = page.add("OTCacheLoadAnchor", (180, 200), anchor_name=PRESET)
    predict = page.add("OTCachePredictSchedule", (520, 160), budget=3)
    page.link(load, 0, predict, "anchor")
    page.wait_for(predict, "schedule", "`budget` must be at least 8 for this anchor")
    assert page.widget(predict, "budget") == 3


def test_the_budget_slider_ends_where_anchor_and_steps_do(graph):
    page, _, predict = graph
    answers = []
    page.page.on("response", lambda answer: answers.append((answer.status, answer.url)))

    def drag_to_the_end(share, budget):
        for _ in range(5):  # on a busy machine the page may lose a drag's last move
            page.drag_slider(predict, "budget", share)
            page.page.wait_for_timeout(500)
            if page.widget(predict, "budget") == budget:
                break
        assert page.widget(predict, "budget") == budget

    for share, budget in ((-0.1, 8), (1.1, 50)):
        drag_to_the_end(share, budget)
        page.wait_for(predict, "schedule", f"{budget} of 50 model calls")
    page.set_widget(predict, "steps", 30)
    page.set_widget(predict, "budget", 12)
    page.wait_for(predict, "schedule", "12 of 30 model calls")
    drag_to_the_end(1.1, 30)
    page.wait_for(predict, "schedule", "30 of 30 model calls")

    # The routes alone: a browser may ask again for a stylesheet, and is told that it is unchanged.
    assert {status for status, url in answers if "/api/otcache/" in url} == {200}


def test_a_slider_that_is_still_held_is_taken_back_again(graph):
    page, _, predict = graph
    page.js(
        """(id) => {
            const { widgets } = app.graph.getNodeById(Number(id));
            const budget = widgets.find((w) => w.name === "budget");
            const before = budget.callback;
            budget.callback = function (value) {
                before?.apply(this, arguments);
                if (value !== 8) return;
                budget.callback = before;
                budget.value = 3; // the pointer has not moved: the slider says the same again
            };
        }""",
        predict,
    )
    page.set_widget(predict, "budget", 3)
    page.wait_for(predict, "schedule", "8 of 50 model calls")
    assert page.widget(predict, "budget") == 8


def test_sliders_that_have_no_say_are_greyed(graph, install_anchor):
    page, load, predict = graph

    def greyed(name):
        return page.js(
            """([id, name]) => Boolean(app.graph.getNodeById(Number(id)).widgets
                .find((w) => w.name === name).disabled)""",
            [predict, name],
        )

    assert greyed("rho") and not greyed("budget")
    page.set_widget(predict, "anchor_rho", False)
    page.wait_for(predict, "schedule", "rho 1.30 from the slider")
    assert not greyed("rho")
    page.set_widget(predict, "budget", 33)
    page.set_widget(predict, "target_lpips", 0.0006)
    page.wait_for(predict, "schedule", "budget by target 0.0006")
    assert greyed("budget")
    page.set_widget(predict, "target_lpips", 0.0)
    page.wait_for(predict, "schedule", "33 of 50 model calls")
    assert not greyed("budget")


def test_without_steps_it_draws_those_of_the_sampler(graph):
    page, _, predict = graph
    page.set_widget(predict, "steps", 0)
    page.wait_for(predict, "schedule", "10 of 50 model calls")
    sampler = page.add("OTCacheSampler", (760, 80), steps=24)
    page.link(predict, 0, sampler, "schedule")
    panel = page.wait_for(predict, "schedule", "10 of 24 model calls")
    assert "The schedule is for" not in panel.inner_text()

    page.set_widget(sampler, "steps", 30)
    page.wait_for(predict, "schedule", "10 of 30 model calls")


@pytest.mark.parametrize("kind", ["OTCacheSampler", "OTCacheApply", "OTCacheSigmas"])
def test_steps_of_a_sampler_that_differ_are_said_on_the_schedule_too(graph, kind):
    page, _, predict = graph
    taker = page.add(kind, (900, 80))
    counted = taker
    page.link(predict, 0, taker, "schedule")
    if kind == "OTCacheApply":
        counted = page.add("KSampler", (1200, 80))
        page.link(taker, 0, counted, "model")
    elif kind == "OTCacheSigmas":
        counted = page.add("BasicScheduler", (1200, 80))
        page.link(counted, 0, taker, "sigmas")
    page.set_widget(counted, "steps", 20)
    said = "The schedule is for 50 steps, the sampler has 20"
    page.wait_for(predict, "schedule", said)
    page.wait_for_panel(taker, "result", said)
    page.set_widget(counted, "steps", 50)
    page.page.wait_for_timeout(300)
    assert said not in page.panel(predict, "schedule").inner_text()


def test_without_an_anchor_it_says_what_to_connect(page):
    predict = page.add("OTCachePredictSchedule", (520, 160))
    page.wait_for(predict, "schedule", "Connect an anchor")


def test_the_expected_loss_is_shown_where_the_anchor_has_measured_it(graph, install_anchor):
    page, load, predict = graph
    install_anchor("measured")
    page.set_widget(load, "anchor_name", "measured.otanchor.json")
    page.wait_for(predict, "schedule", "expected LPIPS 0.0160 (mean 0.0160)")
    page.set_widget(predict, "budget", 16)
    # Halfway from 8 to 32 in logarithms: the geometric mean of 0.02 and 0.005.
    page.wait_for(predict, "schedule", "expected LPIPS 0.0100")


def test_a_target_loss_picks_the_budget(graph, install_anchor):
    page, load, predict = graph
    install_anchor("measured")
    page.set_widget(load, "anchor_name", "measured.otanchor.json")
    page.set_widget(predict, "target_lpips", 0.01)
    panel = page.wait_for(predict, "schedule", "16 of 50 model calls")
    assert "budget by target 0.01" in panel.inner_text()
    assert "it is a guess" not in panel.inner_text()
    page.set_widget(predict, "steps", 40)
    page.wait_for(predict, "schedule", "The target was measured at 50 steps")


@pytest.mark.parametrize("changes", [{"anchor_rho": False, "rho": 2.0}, {"steps": 40}])
def test_no_loss_is_promised_where_none_was_measured(graph, changes):
    page, _, predict = graph
    assert "expected LPIPS" in page.panel(predict, "schedule").inner_text()
    for name, value in changes.items():
        page.set_widget(predict, name, value)
    said = "10 of 40" if "steps" in changes else "rho 2.00 from the slider"
    assert "expected" not in page.wait_for(predict, "schedule", said).inner_text()


def test_it_follows_reroutes_bypassed_nodes_and_constants(graph):
    page, load, predict = graph
    first = page.add("Reroute", (420, 500))
    second = page.add("Reroute", (420, 560))
    page.js(
        """([load, first, second, predict]) => {
            const node = (id) => app.graph.getNodeById(Number(id));
            node(load).connect(0, node(first), 0);
            node(first).connect(0, node(second), 0);
            node(second).connect(0, node(predict), 0);
        }""",
        [load, first, second, predict],
    )
    steps = page.add("PrimitiveInt", (180, 400), value=30)
    page.link(steps, 0, predict, "steps")
    page.wait_for(predict, "schedule", "10 of 30 model calls")
    page.set_widget(steps, "value", 40)
    page.wait_for(predict, "schedule", "10 of 40 model calls")


def test_a_number_that_only_a_run_can_tell_is_said_to_be_so(graph):
    page, _, predict = graph
    length = page.add("StringLength", (180, 400))
    text = page.add("PrimitiveString", (180, 520))
    page.link(text, 0, length, "string")
    page.link(length, 0, predict, "steps")
    page.wait_for(predict, "schedule", "steps arrives with the run; shown for 50.")


def test_it_works_inside_a_subgraph(graph):
    page, _, predict = graph
    page.select(predict)
    page.command("Comfy.Graph.ConvertToSubgraph")
    inner = page.js(
        """() => {
            const holder = app.graph.nodes.find((n) => n.subgraph);
            app.canvas.setGraph(holder.subgraph);
            return String(holder.subgraph.nodes.find((n) => n.comfyClass).id);
        }"""
    )
    page.wait_for(inner, "schedule", "10 of 50 model calls")


def test_it_looks_into_a_subgraph_that_holds_the_anchor(graph):
    page, load, predict = graph
    page.select(load)
    page.command("Comfy.Graph.ConvertToSubgraph")
    page.set_widget(predict, "budget", 12)
    page.wait_for(predict, "schedule", "12 of 50 model calls")


def test_the_last_result_of_a_calibration_is_taken(page, install_anchor):
    install_anchor("mine")
    calibrate = page.add("OTCacheCalibrateAnchor", (180, 100))
    predict = page.add("OTCachePredictSchedule", (560, 160))
    page.link(calibrate, 0, predict, "anchor")
    page.wait_for(predict, "schedule", "Run Calibrate OT Anchor once")
    page.js(
        """(id) => app.graph.getNodeById(Number(id)).onExecuted({
            otcache_lines: [{ text: "done" }], otcache: [{ saved: "mine.otanchor.json" }],
        })""",
        calibrate,
    )
    page.wait_for(predict, "schedule", "10 of 50 model calls")


def test_undo_brings_the_last_schedule_back(graph):
    page, _, predict = graph
    page.note_state()
    page.drag_slider(predict, "budget", 0.30)
    page.note_state()
    assert page.widget(predict, "budget") != 10
    page.command("Comfy.Undo")
    page.wait_for(predict, "schedule", "10 of 50 model calls")


def test_a_copy_has_a_schedule_of_its_own(graph):
    page, load, predict = graph
    page.js(
        """(ids) => {
            app.canvas.selectItems(ids.map((id) => app.graph.getNodeById(Number(id))));
            app.canvas.copyToClipboard();
            app.canvas.pasteFromClipboard();
        }""",
        [load, predict],
    )
    copy = page.js(
        "() => String(app.graph.nodes.filter((n) => n.comfyClass === 'OTCachePredictSchedule')"
        ".at(-1).id)"
    )
    assert copy != predict
    page.set_widget(copy, "budget", 20)

    assert _cells(page.wait_for(copy, "schedule", "20 of 50 model calls")) == (20, 30)
    assert _cells(page.wait_for(predict, "schedule", "10 of 50 model calls")) == (10, 40)


def test_it_is_there_after_a_reload(graph):
    page, _, predict = graph
    page.note_state()
    page.drag_slider(predict, "budget", 0.30)
    page.note_state()
    budget = page.widget(predict, "budget")
    page.page.wait_for_timeout(1500)  # the front end keeps its draft with a delay
    page.load()

    assert page.widget(predict, "budget") == budget
    page.wait_for(predict, "schedule", f"{budget} of 50 model calls")


def test_it_survives_collapse(graph):
    page, _, predict = graph
    panel = page.panel(predict, "schedule")
    collapse = "(id) => app.graph.getNodeById(Number(id)).collapse(true)"
    page.js(collapse, predict)
    panel.wait_for(state="hidden")
    page.js(collapse, predict)
    page.wait_for(predict, "schedule", "10 of 50 model calls").wait_for(state="visible")
    page.set_widget(predict, "budget", 20)
    assert _cells(page.wait_for(predict, "schedule", "20 of 50 model calls")) == (20, 30)


def test_it_grows_with_its_node(graph):
    page, _, predict = graph
    panel = page.panel(predict, "schedule")
    narrow = panel.bounding_box()
    page.drag_corner(predict, 250, 120)
    page.page.wait_for_timeout(400)

    assert panel.bounding_box()["width"] > narrow["width"] + 150
    assert _cells(panel) == (10, 40)


def test_a_saved_workflow_holds_nothing_of_the_panel(graph):
    page, _, predict = graph
    saved = page.js("() => app.graph.serialize().nodes")
    (node,) = [node for node in saved if str(node["id"]) == predict]

    assert node["widgets_values"][:4] == [10, 1.3, True, 50]
    assert [value for value in node["widgets_values"][4:] if value] == []
    prompt = page.js("() => app.graphToPrompt().then((p) => p.output)")
    assert set(prompt[predict]["inputs"]) == {
        "anchor",
        "budget",
        "rho",
        "anchor_rho",
        "steps",
        "target_lpips",
    }


def test_counts_in_words_and_cells_agree_for_every_budget(graph):
    page, _, predict = graph
    for budget in (8, 9, 15, 20, 33, 50):
        page.set_widget(predict, "budget", budget)
        panel = page.wait_for(predict, "schedule", f"{budget} of 50 model calls")
        assert count(panel.inner_text()) == panel.locator(COMPUTED).count() == budget
