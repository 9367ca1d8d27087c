"""What is said before a run is what the run then does."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.instruments.record import RECORDS

pytestmark = pytest.mark.host

ROWS = json.loads((RECORDS / "samplers.json").read_text(encoding="utf-8"))["results"]["rows"]
fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _rules(host, made_for, budget, **known):
    advice = host.module("nodes.page.advice")
    return [note["rule"] for note in advice.notes_on(made_for, budget, advice.Planned(**known))]


def _levels(steps, begin=1.0):
    return [begin * (1.0 - i / steps) for i in range(steps + 1)]


@fuzz
@given(data=st.data(), made_for=st.integers(2, 60), steps=st.integers(1, 60))
def test_step_counts_say_what_the_plan_of_the_run_says(host, uniform, data, made_for, steps):
    plans = host.module("otcache_core.run_time.run_plan")
    budget = data.draw(st.integers(2, made_for))
    rules = _rules(host, made_for, budget, steps=steps)
    plan = plans.fit_to_run(uniform(made_for, budget), _levels(steps), highest=1.0)

    nothing_skipped = {"too_short", "all_steps"} & set(rules)
    assert plan.schedule.is_full == bool(nothing_skipped)
    assert ("too_short" in rules) == plan.note.startswith("Caching is off")
    fitted = "fitted to this run" in plan.note
    assert fitted == ("other_steps" in rules and not nothing_skipped)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"steps": 50}, []),
        ({"steps": 30}, ["other_steps"]),
        ({"steps": 12}, ["few_steps", "other_steps"]),
        ({"steps": 10}, ["all_steps", "other_steps"]),
        ({"steps": 8}, ["too_short"]),
        ({}, []),
        # The end of a longer schedule, of however few steps.
        ({"steps": 8, "partial_denoise": True}, []),
        ({"steps": 50, "partial_denoise": True}, []),
        ({"steps": 50, "part": True}, []),
        ({"steps": 20, "part": True}, ["other_steps"]),
        ({"steps": 50, "sampler_name": "euler"}, []),
        ({"steps": 50, "sampler_name": "heun"}, ["several_calls"]),
        ({"steps": 50, "sampler_name": "euler_ancestral"}, ["adds_noise"]),
        ({"steps": 8, "sampler_name": "dpmpp_2m_sde"}, ["too_short", "adds_noise"]),
        ({"steps": 50, "sampler_name": "dpmpp_sde"}, ["several_calls", "adds_noise"]),
        ({"steps": 50, "sampler_name": "dpm_adaptive"}, ["adaptive"]),
        ({"steps": 8, "sampler_name": "euler_cfg_pp"}, ["reads_conds"]),
        ({"sampler_name": "a sampler of another pack"}, []),
    ],
)
def test_the_rules_that_a_run_meets(host, known, expected):
    assert _rules(host, 50, 10, **known) == expected


def test_a_run_that_begins_low_takes_the_end_of_a_longer_schedule(host, uniform):
    plans = host.module("otcache_core.run_time.run_plan")
    plan = plans.fit_to_run(uniform(50, 10), _levels(8, begin=0.2), highest=1.0)
    assert "steps 42 to 49" in plan.note and not plan.schedule.is_full
    assert _rules(host, 50, 10, steps=8, partial_denoise=True) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["sampler"])
def test_samplers_are_said_to_do_what_was_measured(host, row, needs_sampler):
    needs_sampler(row["sampler"])
    rules = _rules(host, 50, 12, steps=50, sampler_name=row["sampler"])
    if row["calls_a_step"] is None:
        assert rules in (["adaptive"], ["reads_conds"])
        return
    advice = host.module("nodes.page.advice")
    (note,) = advice.notes_on(50, 50, advice.Planned(sampler_name=row["sampler"]))[-1:]
    assert note["calls"] == round(row["calls_a_step"])
    rules_of_calls = [rule for rule in rules if rule != "adds_noise"]
    assert rules_of_calls == (["several_calls"] if note["calls"] > 1 else [])


def test_a_note_that_several_runs_share_comes_once(host):
    fields = host.module("otcache_core.documents.fields").Fields
    document = {
        "schedule": {"steps": 50, "budget": 10},
        "runs": [{"steps": 30, "part": False}, {"steps": 30, "part": False, "denoise": 1.0}],
    }
    (note,) = host.module("nodes.page.advice").advice_on(fields(document, "request"))
    assert (note["rule"], note["steps"], note["schedule_steps"]) == ("other_steps", 30, 50)


# The node OTCache


def _auto_notes(host, calls=0, fine=True, learned=None, **known):
    advice = host.module("nodes.page.advice")
    return advice.notes_on_auto(calls, fine, advice.Planned(**known), learned)


@pytest.mark.parametrize(
    "sampler_name", ["euler", "heun", "dpmpp_2m", "euler_ancestral", "seeds_2"]
)
@pytest.mark.parametrize(
    ("steps", "calls", "grid", "scheduler"),
    [(20, 0, "fine", "simple"), (20, 0, "fine", "beta"), (20, 9, "as sampled", "simple"),
     (30, 12, "fine", "simple")],
)  # fmt: skip
def test_what_the_node_foretells_is_what_its_run_does(
    host, run_node, tiny_flux, plain, monkeypatch, sampler_name, steps, calls, grid, scheduler
):
    known = {"steps": steps, "sampler_name": sampler_name, "scheduler": scheduler}
    [note] = _auto_notes(host, calls, grid == "fine", **known)
    done = []
    monkeypatch.setattr(
        host.module("nodes.auto"), "show_text", lambda said, place, report=None: done.append(report)
    )
    inputs = {"model": tiny_flux.model, "calls": calls, "grid": grid, "learn": "never"}
    (model,) = run_node("OTCacheAuto", **inputs).outputs
    plain(tiny_flux, model, **known)

    [report] = done
    if note["rule"] == "plan_noise":
        assert report["computed"] == steps
        return
    as_many = scheduler == "beta" and sampler_name == "euler"
    fine = "plan_as_many" if as_many else "plan_fine"
    assert note["rule"] == (fine if report["own_steps"] else "plan_own")
    # Calls that lie between fine steps have whole steps between them, at least as many as are told
    # but for one or two.
    fewer, finer = (2, 0.2 * note.get("fine", 0)) if scheduler == "beta" else (0, 0)
    assert -fewer <= report["steps"] - note.get("fine", steps) <= finer
    more = 2 if sampler_name in ("heun", "seeds_2") else 0  # odd numbers; heun asks once at the end
    assert 0 <= note["calls"] - report["evaluations"] <= more


@pytest.mark.parametrize(("sampler_name", "fine"), [("euler", 90), ("dpmpp_2m", 150)])
def test_many_steps_of_a_sampler_of_higher_order_are_cut_finer(host, sampler_name, fine):
    [note] = _auto_notes(host, steps=30, sampler_name=sampler_name, scheduler="simple")
    assert (note["rule"], note["fine"]) == ("plan_fine", fine)


def test_what_a_model_has_taught_is_foretold_too(
    host, run_node, demo, plain, counted, monkeypatch, learned_folder
):
    done, known = [], {"steps": 20, "sampler_name": "euler", "scheduler": "simple", "cfg": 2.5}
    module = host.module("nodes.auto")
    monkeypatch.setattr(module, "own_anchors", lambda weights: [])
    monkeypatch.setattr(
        module, "show_text", lambda said, place, report=None: done.append(report["learned"])
    )
    [note] = _auto_notes(host, learned="", **known)
    assert (note["rule"], note["calls"]) == ("plan_at_most", 16)

    for seed in range(5):
        with counted(demo.model) as (model, seen):
            (cached,) = run_node("OTCacheAuto", model=model, calls=0, grid="fine").outputs
            plain(demo, cached, seed=seed, steps=20, cfg=2.5)
        assert seen.predictions == note["calls"]
        [note] = _auto_notes(host, learned=done[-1], **known)
        assert note["rule"] == "plan_fine"
    assert note["calls"] in (12, 13)

    for other in ({"cfg": 8.0}, {"sampler_name": "dpmpp_2m"}, {"partial_denoise": True}):
        [note] = _auto_notes(host, learned=done[-1], **known | other)
        assert note["calls"] == 16
    [note] = _auto_notes(host, learned=None, **known)
    assert (note["rule"], note["calls"]) == ("plan_fine", 16)
    [note] = _auto_notes(host, 11, learned="", **known)
    assert (note["rule"], note["calls"]) == ("plan_fine", 11)
    [note] = _auto_notes(host, learned="learned: ../../x", **known)
    assert (note["rule"], note["calls"]) == ("plan_at_most", 16)


@pytest.mark.parametrize("model", ["tiny_flux", "tiny_eps", "tiny_video"])
def test_the_page_knows_which_schedulers_fall_evenly(host, request, model):
    import comfy.samplers

    tiny = request.getfixturevalue(model).model
    sampling = tiny.get_model_object("model_sampling")
    guider = type("Guider", (), {"model_patcher": tiny})
    table = host.module("nodes.sampling.cache_wrapper").trained_levels(guider)
    pace_of = host.core("pace").pace_of
    even = {
        name
        for name in comfy.samplers.SCHEDULER_NAMES
        if pace_of(comfy.samplers.calculate_sigmas(sampling, name, 20).tolist(), table) is None
    }
    assert even == set(host.core("pace").EVEN_SCHEDULERS)


@pytest.mark.parametrize(
    ("node", "shift", "inputs", "even"),
    [("Flux2Scheduler", 2.02, {"width": 1024, "height": 1024}, True),
     ("BetaSamplingScheduler", 2.02, {"alpha": 0.6, "beta": 0.6}, False),
     ("LTXVScheduler", 2.37,
      {"max_shift": 2.05, "base_shift": 0.95, "stretch": True, "terminal": 0.1}, False)],
)  # fmt: skip
def test_the_page_knows_of_nodes_that_are_schedulers_whether_they_fall_evenly(
    host, run_node, node, shift, inputs, even
):
    import comfy.model_sampling

    shifted = type("Shifted", (comfy.model_sampling.ModelSamplingFlux,), {})
    config = type("Config", (), {"sampling_settings": {"shift": shift}})  # its models'
    sampling = shifted(config())
    model = type("Model", (), {"get_model_object": lambda self, name: sampling})()
    given = {"model": model} if node == "BetaSamplingScheduler" else {}
    (sigmas,) = run_node(node, steps=20, **inputs, **given).outputs
    guider = type("Guider", (), {"model_patcher": model})
    table = host.module("nodes.sampling.cache_wrapper").trained_levels(guider)

    assert (host.core("pace").pace_of(sigmas.tolist(), table) is None) == even
    [note] = _auto_notes(host, steps=20, sampler_name="euler", scheduler=node)
    assert note["calls"] == (16 if even else 20)
    assert note["rule"] == ("plan_fine" if even else "plan_as_many")
    [asked] = _auto_notes(host, 20, steps=20, sampler_name="euler", scheduler=node)
    assert asked["rule"] == "plan_fine"


@pytest.mark.parametrize(
    ("known", "rule"),
    [
        ({"steps": 8, "sampler_name": "euler"}, "too_short"),
        ({"steps": 8, "sampler_name": "euler", "partial_denoise": True}, "too_short"),
        ({"steps": 20, "sampler_name": "dpm_adaptive"}, "adaptive"),
        ({"steps": 20, "sampler_name": "euler_cfg_pp"}, "reads_conds"),
        ({"steps": 20, "sampler_name": "lcm"}, "plan_noise"),
    ],
)
def test_the_node_says_where_it_will_not_skip(host, known, rule):
    assert [note["rule"] for note in _auto_notes(host, **known)] == [rule]


@pytest.mark.parametrize(
    "known",
    [{}, {"steps": 20}, {"sampler_name": "euler"}, {"steps": 20, "sampler_name": "of a pack"},
     {"steps": 20, "sampler_name": "euler", "part": True}],
)  # fmt: skip
def test_the_node_says_nothing_of_what_only_the_run_can_tell(host, known):
    assert _auto_notes(host, **known) == []
