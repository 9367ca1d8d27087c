import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otcache_core.documents.anchor import (
    SUFFIX,
    Anchor,
    Calibration,
    LearnedInRuns,
    Objective,
    Sampling,
    load_anchor,
    save_anchor,
)
from otcache_core.documents.fidelity import FidelityPoint
from otcache_core.documents.schedule import Schedule
from otcache_core.errors import OTCacheError
from otcache_core.transport import predict_schedule

STEPS = 6
SIGMAS = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, 0.0)
# Row t: K of t -> t+1, t -> t+2, ..., t -> 5.
TABLE = ((1, 1, 1, 1, 1), (1, 2, 2, 3), (1, 3, 4), (1, 5), (1,))


def _anchor(**changes: Any) -> Anchor:
    values: dict[str, Any] = {
        "name": "FLUX.1 [dev]",
        "architecture": "Flux",
        "reference": Schedule(STEPS, (0, 1, 3, 4, 5), "meancache", (1, 2, 1, 1), SIGMAS),
        "anchor": Schedule(STEPS, (0, 2, 5), "meancache", (1, 4), SIGMAS),
        "sampling": Sampling("euler", "simple", 1.0, 3.5, 1024, 768, 1, SIGMAS),
        "rho": 1.15,
        "look_back_table": TABLE,
        "objective": Objective("lpips-alex", 0.338, 0.261),
        "calibration": Calibration(50, 200, 9000, 7),
        "fidelity": (FidelityPoint(3, 0.1, 0.05), FidelityPoint(5, 0.02, 0.01, 0.015)),
        "provenance": "calibrated by a test",
        "versions": {"otcache": "0.1.0", "torch": "2.9"},
        **changes,
    }
    return Anchor(**values)


MIDDLE = Schedule(8, (0, 2, 4, 7), slope_gain=(1.0, 0.35, 2.0), drift=(0.1, 0.0, -0.2))
FITTED = Schedule(8, (0, 1, 4, 6, 7), slope_gain=(1.0, 0.2, -0.3, 1.0), drift=(0.0, 0.4, -2.0, 0.0),
                  foretold=(0.0, 0.25, -2.0, 0.0), bend=(0.0, 0.0, 1.5, 0.0))  # fmt: skip


def _with_middle(**changes: Any) -> Anchor:
    """Three schedules, each with gains and drifts of its own."""
    gains, drifts = (1.0, 1.0, 0.9, 0.8, 1.0), (0.0, 0.0, 0.012, -0.034, 0.0)
    return Anchor(
        "m",
        "Flux",
        reference=Schedule(8, (0, 1, 2, 4, 6, 7), slope_gain=gains, drift=drifts),
        anchor=Schedule(8, (0, 3, 7), slope_gain=(1.0, -0.25), drift=(-2.0, 0.5)),
        **{"middle": MIDDLE, **changes},
    )


def _sparse() -> Anchor:
    return Anchor("m", "Flux", Schedule(STEPS, (0, 1, 3, 5)), Schedule(STEPS, (0, 2, 5)))


# Round trip


@pytest.mark.parametrize(
    "anchor",
    [
        _anchor(),
        _anchor(rho=None, look_back_table=None, objective=None, versions={}),
        _anchor(name='quotes " and 漢字 \u2028', provenance="two\nlines"),
        _sparse(),
        _with_middle(),
        _with_middle(middle=None),
        _anchor(weights="26e86f2a1250ceab"),
        _with_middle(fitted=(FITTED,)),
        _with_middle(learned_in_runs=LearnedInRuns(5, 0.25)),
    ],
    ids=[
        *("all fields", "few fields", "text", "defaults", "middle", "gains", "weights", "fitted"),
        "learned",
    ],
)
def test_round_trip(anchor: Anchor, tmp_path: Path) -> None:
    path = tmp_path / f"model{SUFFIX}"

    save_anchor(anchor, path)

    assert load_anchor(path) == anchor
    assert Anchor.from_json(anchor.to_json()).to_json() == anchor.to_json()


def test_coefficients_and_the_middle_come_back() -> None:
    again = Anchor.from_json(_with_middle(fitted=(FITTED,)).to_json())

    assert again.anchor.slope_gain == (1.0, -0.25)
    assert again.anchor.drift == (-2.0, 0.5)
    assert again.middle == MIDDLE
    assert again.fitted == (FITTED,)
    assert again.reference.slope_gain == (1.0, 1.0, 0.9, 0.8, 1.0)
    assert again.reference.drift == (0.0, 0.0, 0.012, -0.034, 0.0)


def test_searched_schedules_come_by_budget() -> None:
    anchor = _with_middle()
    assert anchor.middle is not None

    assert [name for name, _ in anchor.searched] == ["anchor", "middle", "reference"]
    assert [schedule.budget for _, schedule in anchor.searched] == [3, 4, 6]
    assert _sparse().searched == (("anchor", _sparse().anchor), ("reference", _sparse().reference))


def test_documents_without_coefficients_or_a_middle_are_read() -> None:
    """As written before there were any."""
    document = json.loads(_with_middle().to_json())
    document["version"] = 1
    del document["middle"]
    for name, key in itertools.product(("anchor", "reference"), ("slope_gain", "drift")):
        del document[name][key]

    anchor = Anchor.from_json(json.dumps(document))

    assert anchor.middle is None
    assert anchor.anchor == Schedule(8, (0, 3, 7))
    assert anchor.reference.slope_gain == (1.0,) * 5
    assert anchor.reference.drift == (0.0,) * 5


VERSION_1 = """{
 "format": "otcache-anchor", "version": 1, "name": "m", "architecture": "Flux", "steps": 17,
 "estimator": "slope", "rho": 1.0,
 "reference": {
  "computed_steps": [0, 1, 2, 3, 4, 6, 8, 12, 16], "look_back": [1, 1, 1, 1, 1, 1, 1, 1],
  "slope_gain": [1.0, 1.0, 1.0, 1.0, 1.0, 0.4, 0.6, 0.8]
 },
 "anchor": {"computed_steps": [0, 8, 16], "look_back": [1, 1], "slope_gain": [1.0, 0.45]},
 "fitted": [
  {
   "computed_steps": [0, 3, 6, 10, 16], "look_back": [1, 1, 1, 1],
   "slope_gain": [1.0, 0.75, 0.6, 0.55]
  }
 ],
 "objective": null, "calibration": {"prompts": 4, "trials": 9, "model_calls": 99, "seed": 0},
 "fidelity": [], "provenance": "", "versions": {},
 "sampling": {"sampler": "euler", "scheduler": "simple", "cfg": null, "guidance": null,
  "width": 0, "height": 0, "frames": 1, "sigmas": null}
}"""
"""As the release before drifts wrote it."""


@pytest.mark.parametrize(
    ("budget", "computed_steps", "gains"),
    [
        # The stored ones, and the one whose edges were fitted.
        (3, (0, 8, 16), (1.0, 0.45)),
        (5, (0, 3, 6, 10, 16), (1.0, 0.75, 0.6, 0.55)),
        (9, (0, 1, 2, 3, 4, 6, 8, 12, 16), (1.0, 1.0, 1.0, 1.0, 1.0, 0.4, 0.6, 0.8)),
        # Half way from 5 to 9, so are the gains: 2 -> 4 skips 3 with (0.75 + 1) / 2, 4 -> 6 skips 5
        # with the same, 6 -> 8 skips 7 with (0.6 + 0.4) / 2, 8 -> 11 skips 9 with (0.6 + 0.6) / 2
        # and 10 with (0.55 + 0.6) / 2, and 11 -> 16 skips 12 to 15 with (0.55 + 0.8) / 2.
        # They were put on a grid of 0.05 then: 0.9, 0.9, 0.5, 0.6, 0.7.
        (7, (0, 2, 4, 6, 8, 11, 16), (1.0, 0.875, 0.875, 0.5, 0.5875, 0.675)),
        (17, tuple(range(17)), (1.0,) * 16),
    ],
)
def test_a_document_of_version_1_predicts_what_it_did(
    budget: int, computed_steps: tuple[int, ...], gains: tuple[float, ...]
) -> None:
    anchor = Anchor.from_json(VERSION_1)

    schedule = predict_schedule(anchor, budget).schedule

    assert schedule.computed_steps == computed_steps
    assert schedule.slope_gain == pytest.approx(gains, abs=0.001 if budget == 7 else 0.0)
    assert schedule.drift == (0.0,) * (budget - 1)
    assert schedule.look_back == (1,) * (budget - 1)


def test_a_document_of_version_1_is_written_as_version_2() -> None:
    anchor = Anchor.from_json(VERSION_1)

    document = json.loads(anchor.to_json())

    assert document["version"] == 2
    assert document["anchor"]["drift"] == [0.0, 0.0]
    assert document["fitted"][0]["drift"] == [0.0] * 4
    assert Anchor.from_json(json.dumps(document)) == anchor


def test_only_newer_coefficients_need_version_3() -> None:
    """So that older releases read all other anchors."""
    without, foretold = _with_middle(), _with_middle(fitted=(FITTED,))

    written = [json.loads(anchor.to_json()) for anchor in (without, foretold)]

    assert [document["version"] for document in written] == [2, 3]
    assert "foretold" not in str(written[0])
    assert written[1]["fitted"][0]["foretold"] == [0.0, 0.25, -2.0, 0.0]
    assert written[1]["fitted"][0]["bend"] == [0.0, 0.0, 1.5, 0.0]
    assert "foretold" not in written[1]["anchor"]


@pytest.mark.parametrize(("gain", "version"), [(2.0, 2), (-2.0, 2), (2.001, 3), (-4.0, 3)])
def test_gains_that_older_releases_refuse_need_version_3(gain: float, version: int) -> None:
    steep = _with_middle(middle=Schedule(8, (0, 2, 4, 7), slope_gain=(1.0, 1.0, gain)))

    assert json.loads(steep.to_json())["version"] == version
    assert Anchor.from_json(steep.to_json()) == steep


def test_json_is_plain_ascii_with_a_version() -> None:
    text = _anchor(name="漢字").to_json()

    assert text.isascii()
    document = json.loads(text)
    assert (document["format"], document["version"]) == ("otcache-anchor", 2)
    assert document["look_back_table"] == ["11111", "1223", "134", "15", "1"]


def test_largest_anchor_can_be_read_back(tmp_path: Path) -> None:
    """1,000 steps, every field that grows with them filled."""
    sigmas = tuple((1000 - i) / 3001 for i in range(1001))
    table = tuple((6,) * (999 - t) for t in range(999))
    anchor = Anchor(
        "m",
        "Flux",
        Schedule(1000, tuple(range(1000)), "meancache", sigmas=sigmas),
        Schedule(1000, tuple(range(0, 999, 2)) + (999,), "meancache", sigmas=sigmas),
        Sampling(sigmas=sigmas),
        look_back_table=table,
    )

    save_anchor(anchor, tmp_path / "large.otanchor.json")

    assert load_anchor(tmp_path / "large.otanchor.json") == anchor


# Rules


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"anchor": Schedule(7, (0, 6))},
            "`reference` and `anchor` must have the same steps but have 6 and 7",
        ),
        (
            {"anchor": Schedule(STEPS, (0, 1, 2, 3, 5))},
            "budgets must satisfy 2 <= anchor < reference but are 5 and 5",
        ),
        (
            {"anchor": Schedule(STEPS, (0, 2, 5), "slope")},
            "must have one estimator but have 'meancache' and 'slope'",
        ),
        ({"rho": 0.9}, "`rho` must be from 1 to 2 but got 0.9"),
        ({"rho": 2.1}, "`rho` must be from 1 to 2 but got 2.1"),
        ({"rho": math.nan}, "`rho` must be from 1 to 2 but got nan"),
        ({"sampling": Sampling(sigmas=(1.0, 0.0))}, "`sigmas` must have steps .* = 7 .* has 2"),
        ({"look_back_table": TABLE[1:]}, "`look_back_table` must have steps - 1 = 5 rows"),
        ({"look_back_table": (*TABLE[:4], (1, 1))}, "`look_back_table` must have steps - 1 = 5"),
        ({"look_back_table": (*TABLE[:4], (7,))}, "`look_back_table` values must be from 1 to 6"),
        ({"look_back_table": (*TABLE[:4], (0,))}, "`look_back_table` values must be from 1 to 6"),
    ],
)
def test_schedules_that_do_not_fit_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OTCacheError, match=message):
        _anchor(**changes)


@pytest.mark.parametrize(
    ("fitted", "message"),
    [
        ([(0, 1, 3, 7), (0, 2, 3, 7)], "increasing budgets but has budgets .4, 4."),
        ([(0, 1, 3, 4, 7), (0, 2, 3, 7)], "increasing budgets but has budgets .5, 4."),
    ],
)
def test_fitted_schedules_that_do_not_fit(fitted: list[Any], message: str) -> None:
    with pytest.raises(OTCacheError, match=message):
        _with_middle(fitted=tuple(Schedule(8, steps) for steps in fitted))
    with pytest.raises(OTCacheError, match="must have 8 steps like the anchor"):
        _with_middle(fitted=(Schedule(9, (0, 1, 8)),))


@pytest.mark.parametrize(
    ("middle", "message"),
    [
        (
            Schedule(9, (0, 2, 4, 8)),
            "`middle` and `anchor` must have the same steps but have 9 and",
        ),
        (Schedule(8, (0, 2, 7)), "2 <= anchor < middle < reference but are 3 and 3 and 6"),
        (Schedule(8, (0, 1, 2, 3, 4, 7)), "anchor < middle < reference but are 3 and 6 and 6"),
        (Schedule(8, (0, 7)), "anchor < middle < reference but are 3 and 2 and 6"),
        (Schedule(8, (0, 2, 4, 7), "reuse"), "one estimator but have 'reuse' and 'slope'"),
    ],
)
def test_a_middle_that_does_not_fit(middle: Schedule, message: str) -> None:
    with pytest.raises(OTCacheError, match=message):
        _with_middle(middle=middle)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("anchor", "slope_gain"), 1.0, "anchor.slope_gain must be a list"),
        (("anchor", "slope_gain"), [1.0], r"`slope_gain` must have one value per edge \(2\)"),
        (("anchor", "slope_gain", 1), 4.5, r"anchor.slope_gain\[1\] must .* -4 to 4 but got 4.5"),
        (("anchor", "slope_gain", 1), -4.5, r"anchor.slope_gain\[1\] must .* -4 to 4 but got -4.5"),
        (("reference", "slope_gain", 0), math.nan, r"reference.slope_gain\[0\] must .* got nan"),
        (("middle", "slope_gain", 2), "1", r"middle.slope_gain\[2\] must be a number but got '1'"),
        (("middle", "slope_gain", 2), None, r"middle.slope_gain\[2\] must be a number but got N"),
        (("anchor", "drift"), 0.5, "anchor.drift must be a list"),
        (("anchor", "drift"), "0.5", "anchor.drift must be a list"),
        (("anchor", "drift"), [0.0], r"`drift` must have one value per edge \(2\) but has 1"),
        (("anchor", "drift"), [0.0] * 3, r"`drift` must have one value per edge \(2\) but has 3"),
        (("anchor", "drift", 1), 2.5, r"anchor.drift\[1\] must .* -2 to 2 but got 2.5"),
        (("anchor", "drift", 0), -2.001, r"anchor.drift\[0\] must .* -2 to 2 but got -2.001"),
        (("reference", "drift", 0), math.nan, r"reference.drift\[0\] must .* -2 to 2 but got nan"),
        (("reference", "drift", 3), -math.inf, r"reference.drift\[3\] must .* got -inf"),
        (("reference", "drift", 4), 10**400, r"reference.drift\[4\] must .* -2 to 2 but got 1000"),
        (("middle", "drift", 2), "1", r"middle.drift\[2\] must be a number but got '1'"),
        (("middle", "drift", 2), None, r"middle.drift\[2\] must be a number but got None"),
        (("middle", "drift", 2), True, r"middle.drift\[2\] must be a number but got True"),
        (("fitted", 0, "bend", 2), 2.5, r"fitted\[0\].bend\[2\] must .* -2 to 2 but got 2.5"),
        (("fitted", 0, "bend"), [0.0], r"`bend` must have one value per edge \(4\) but has 1"),
        (("fitted", 0, "foretold"), 0.5, r"fitted\[0\].foretold must be a list"),
        (("fitted", 0, "foretold"), [0.0], r"`foretold` must have one value per edge \(4\) but"),
        (("fitted", 0, "foretold", 2), 2.5, r"fitted\[0\].foretold\[2\] must .* -2 to 2 but got 2"),
        (("fitted", 0, "foretold", 1), math.nan, r"fitted\[0\].foretold\[1\] must .* got nan"),
        (("fitted", 0, "foretold", 1), "1", r"fitted\[0\].foretold\[1\] must be a number"),
        (("fitted", 0, "drift", 1), 3, r"fitted\[0\].drift\[1\] must .* -2 to 2 but got 3"),
        (
            ("fitted", 0, "drift"),
            [0.0] * 3,
            r"`drift` must have one value per edge \(4\) but has 3",
        ),
        (("middle",), [0, 7], r"middle must be an object but got \[0, 7\]"),
        (("middle",), {}, "middle.computed_steps must be present"),
        (
            ("middle", "computed_steps", 1),
            8,
            r"middle.computed_steps\[1\] must .* 0 to 7 but got 8",
        ),
        (("middle", "look_back"), [1, 1, 9], r"middle.look_back\[2\] must .* 1 to 6 but got 9"),
        (("middle", "computed_steps"), [0, 4, 2, 7], "`computed_steps` must be strictly incr"),
        (("middle",), {"computed_steps": [0, 2, 7]}, "budgets must satisfy .* are 3 and 3 and 6"),
    ],
)
def test_bad_coefficients_and_middles_name_the_field(
    path: tuple[str | int, ...], value: Any, message: str
) -> None:
    document = json.loads(_with_middle(fitted=(FITTED,)).to_json())
    _set(*path, to=value)(document)

    with pytest.raises(OTCacheError, match=rf"^shared\.json[.:] ?{message}"):
        Anchor.from_json(json.dumps(document), "shared.json")


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (5, "learned_in_runs must be an object but got 5"),
        ({}, "learned_in_runs.from_budget must be present"),
        ({"from_budget": 5}, "learned_in_runs.evenness must be present"),
        ({"from_budget": 1, "evenness": 0}, "from_budget must be an integer from 2 to 1000 but"),
        ({"from_budget": 4.0, "evenness": 0}, "from_budget must be an integer .* but got 4.0"),
        ({"from_budget": 2, "evenness": 0}, "from the anchor's budget 3 to its steps 8 but got 2"),
        ({"from_budget": 9, "evenness": 0}, "from the anchor's budget 3 to its steps 8 but got 9"),
        ({"from_budget": 4, "evenness": 1.5}, "evenness must be a number from 0 to 1 but got 1.5"),
        ({"from_budget": 4, "evenness": math.nan}, "evenness must be a number from 0 to 1 but go"),
        ({"from_budget": 4, "evenness": True}, "evenness must be a number but got True"),
    ],
)
def test_learning_that_does_not_fit_names_the_field(to: Any, message: str) -> None:
    document = json.loads(_with_middle().to_json())
    document["learned_in_runs"] = to

    with pytest.raises(OTCacheError, match=message):
        Anchor.from_json(json.dumps(document))


@pytest.mark.parametrize("estimator", ["meancache", "reuse"])
def test_learning_goes_with_estimators_that_follow_slopes(estimator: str) -> None:
    document = json.loads(_sparse().to_json())
    document |= {"estimator": estimator, "learned_in_runs": {"from_budget": 4, "evenness": 0.5}}

    message = f"the slope or the adaptive estimator but the anchor's is '{estimator}"
    with pytest.raises(OTCacheError, match=message):
        Anchor.from_json(json.dumps(document))


def test_a_guess_that_teaches_itself_may_do_so_at_any_budget() -> None:
    document = json.loads(_sparse().to_json())
    document |= {"estimator": "adaptive", "learned_in_runs": {"from_budget": 2, "evenness": 0.5}}

    assert Anchor.from_json(json.dumps(document)).learned_at(2) == LearnedInRuns(2, 0.5)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steadiness", 1.5), ("steadiness", "much"), ("pictures", -1), ("pictures", 1 << 31)],
)
def test_what_was_learned_is_within_bounds(field: str, value: object) -> None:
    document = json.loads(_with_middle().to_json())
    known = {"from_budget": 5, "evenness": 0.5, "steadiness": 0.2, "pictures": 3}
    assert Anchor.from_json(json.dumps(document | {"learned_in_runs": known})).learned_at(5)

    with pytest.raises(OTCacheError, match=field):
        Anchor.from_json(json.dumps(document | {"learned_in_runs": known | {field: value}}))


def test_learning_begins_at_its_budget() -> None:
    anchor = _with_middle(learned_in_runs=LearnedInRuns(5, 0.25))

    assert [anchor.learned_at(b) for b in (3, 4)] == [None, None]
    assert [anchor.learned_at(b) for b in (5, 8)] == [LearnedInRuns(5, 0.25)] * 2
    assert "learned_in_runs" not in _with_middle().to_document()


@pytest.mark.parametrize("evenness", [-0.1, 1.01, math.nan])
def test_evenness_is_a_share(evenness: float) -> None:
    with pytest.raises(OTCacheError, match="`evenness` must be from 0 to 1 but got"):
        LearnedInRuns(4, evenness)


def test_an_anchor_of_one_computed_step_is_refused() -> None:
    with pytest.raises(OTCacheError, match="2 <= anchor < reference but are 1 and 1"):
        Anchor("m", "Flux", Schedule.full(1), Schedule.full(1))


def test_look_back_of_edges() -> None:
    anchor = _anchor()

    # TABLE[0][3 - 0 - 1], TABLE[3][5 - 3 - 1]
    assert anchor.look_back_for((0, 3, 5), 6) == (1, 5)
    # TABLE[1] for 1 -> 4, TABLE[4] for 4 -> 5
    assert anchor.look_back_for((0, 1, 4, 5), 6) == (1, 2, 1)
    assert _sparse().look_back_for((0, 3, 5), 6) == ()


def test_look_back_of_edges_in_another_step_count() -> None:
    # 11 steps: step t stands at t * 5 / 10, so 0 4 6 10 stands at 0 2 3 5.
    assert _anchor().look_back_for((0, 4, 6, 10), 11) == (TABLE[0][1], TABLE[2][0], TABLE[3][1])
    # 9 and 10 both stand at step 5 (rounded), where no edge begins: plain reuse.
    assert _anchor().look_back_for((0, 9, 10), 11)[-1] == 1


@pytest.mark.parametrize("steps", [2, 3, 5, 7, 40, 1000])
def test_look_back_of_edges_has_one_value_per_edge(steps: int) -> None:
    for nodes in (tuple(range(steps)), (0, steps - 1), (*range(0, steps - 1, 2), steps - 1)):
        assert len(_anchor().look_back_for(nodes, steps)) == len(nodes) - 1


# Bad documents


def _set(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return change


def _drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("format", to="otcache-schedule"), 'format must be "otcache-anchor": this is not an'),
        (_drop("format"), 'format must be "otcache-anchor": this is not an OTCache anchor'),
        (_set("format", to=3), "format must be a text"),
        (_set("version", to=4), "version must be at most 3 but got 4: update OTCache to read it"),
        (_set("version", to=2.0), "version must be an integer from 1"),
        (_set("version", to=0), "version must be an integer from 1"),
        (_set("version", to="1"), "version must be an integer .* but got '1'"),
        (_set("version", to=True), "version must be an integer .* but got True"),
        (_drop("version"), "version must be present but is missing"),
        (_drop("steps"), "steps must be present"),
        (_set("steps", to=True), "steps must be an integer from 2 to 1000 but got True"),
        (_set("steps", to=6.0), "steps must be an integer from 2 to 1000 but got 6.0"),
        (_set("steps", to=1), "steps must be an integer from 2 to 1000 but got 1"),
        (_set("steps", to=10**300), "steps must be an integer from 2 to 1000 but got 1000"),
        (_set("steps", to=7), "`computed_steps` must end at step 6 or later in a run of 7 steps"),
        (_drop("name"), "name must be present"),
        (_set("name", to=["x"]), r"name must be a text of at most 2000 characters but got \['x'\]"),
        (_set("name", to="x" * 2001), "name must be a text of at most 2000 characters"),
        (_set("architecture", to=None), "architecture must be present"),
        (_drop("estimator"), "estimator must be present"),
        (_set("estimator", to="magic"), "`estimator` must be one of .* but got 'magic'"),
        (_drop("reference"), "reference must be present"),
        (_set("reference", to=[0, 5]), r"reference must be an object but got \[0, 5\]"),
        (_set("anchor", to="0 2 5"), "anchor must be an object but got '0 2 5'"),
        (_set("anchor", "computed_steps", to={}), r"anchor.computed_steps must be a list"),
        (_set("anchor", "computed_steps", 1, to=2.0), r"anchor.computed_steps\[1\] .* got 2.0"),
        (_set("anchor", "computed_steps", 1, to=True), r"anchor.computed_steps\[1\] .* got True"),
        (_set("anchor", "computed_steps", 1, to="2"), r"anchor.computed_steps\[1\] .* got '2'"),
        (_set("anchor", "computed_steps", 1, to=-1), r"anchor.computed_steps\[1\] .* 0 to 5 .* -1"),
        (_set("anchor", "computed_steps", 1, to=10**99), r"anchor.computed_steps\[1\] must be an"),
        (_set("anchor", "computed_steps", to=[0, 0, 5]), "`computed_steps` must be strictly incr"),
        (_set("anchor", "computed_steps", to=[0, 3, 2, 5]), "`computed_steps` must be strictly"),
        (_set("anchor", "computed_steps", to=[]), "`computed_steps` must begin with 0"),
        (_set("anchor", "computed_steps", to=[0, 4]), "`computed_steps` must end at step 5 or"),
        (_set("anchor", "computed_steps", to=[0] * 1002), "anchor.computed_steps must be a list"),
        (_set("anchor", "look_back", to=[1]), r"`look_back` must have one value per edge \(2\)"),
        (_set("anchor", "look_back", to=[1, 7]), r"anchor.look_back\[1\] must .* 1 to 6 but got 7"),
        (_set("reference", "look_back", to=3), "reference.look_back must be a list"),
        (_set("reference", to={"computed_steps": [0, 2, 5]}), "budgets must satisfy .* 3 and 3"),
        (_set("rho", to=2.5), "rho must be a number from 1 to 2 but got 2.5"),
        (_set("rho", to="1.3"), "rho must be a number but got '1.3'"),
        (_set("rho", to=math.nan), "rho must be a number from 1 to 2 but got nan"),
        (_drop("sampling"), "sampling must be present"),
        (_set("sampling", to=[]), "sampling must be an object"),
        (
            _set("sampling", "cfg", to=math.inf),
            "sampling.cfg must be a number from 0 to 1000 .*inf",
        ),
        (_set("sampling", "guidance", to=True), "sampling.guidance must be a number but got True"),
        (_set("sampling", "width", to=1024.0), "sampling.width must be an integer"),
        (_set("sampling", "height", to=-8), "sampling.height must be an integer from 0"),
        (_set("sampling", "frames", to=0), "sampling.frames must be an integer from 1"),
        (_set("sampling", "sampler", to=1), "sampling.sampler must be a text"),
        (_set("sampling", "scheduler", to={}), "sampling.scheduler must be a text"),
        (_set("sampling", "sigmas", 3, to=math.nan), r"sampling.sigmas\[3\] must .* but got nan"),
        (
            _set("sampling", "sigmas", 3, to=None),
            r"sampling.sigmas\[3\] must be a number but got N",
        ),
        (_set("sampling", "sigmas", 3, to=0.8), "`sigmas` must be finite, never rise"),
        (_set("sampling", "sigmas", to=[1, 0]), "`sigmas` must have steps .* 7 values but has 2"),
        (_set("objective", to="lpips"), "objective must be an object but got 'lpips'"),
        (_set("objective", to={}), "objective.metric must be present"),
        (_set("objective", "best", to=-1), "objective.best must be a number from 0"),
        (_set("objective", "warm_start", to=-math.inf), "objective.warm_start must .* got -inf"),
        (_set("calibration", "prompts", to="50"), "calibration.prompts must be an integer"),
        (_set("calibration", "trials", to=-1), "calibration.trials must be an integer from 0"),
        (_set("calibration", "seed", to=2**64), "calibration.seed must be an integer from 0"),
        (_set("calibration", to=50), "calibration must be an object but got 50"),
        (_set("fidelity", to={}), "fidelity must be a list"),
        (_set("fidelity", 0, to=3), r"fidelity\[0\] must be an object but got 3"),
        (_set("fidelity", 1, "mean", to=-1), r"fidelity\[1\].mean must be a number from 0"),
        (_set("fidelity", 1, "budget", to=3), r"`fidelity` must .* budgets \[3, 3\]"),
        (_set("provenance", to=5), "provenance must be a text"),
        (_set("weights", to=7), "weights must be a text"),
        (_set("weights", to="0" * 65), "`weights` must be at most 64 hexadecimal digits"),
        (_set("weights", to="<img>"), "`weights` must be at most 64 hexadecimal digits but got"),
        (_set("versions", to=["torch"]), "versions must be an object"),
        (_set("versions", "torch", to=2.9), "versions.torch must be a text .* but got 2.9"),
        (_set("look_back_table", to="11111"), "look_back_table must be a list"),
        (_set("look_back_table", 0, to=11111), r"look_back_table\[0\] must be a text"),
        (_set("look_back_table", 0, to="1111"), "`look_back_table` must have steps - 1 = 5 rows"),
        (_set("look_back_table", to=["11111"]), "`look_back_table` must have steps - 1 = 5 rows"),
        (_set("look_back_table", to=[]), "`look_back_table` must have steps - 1 = 5 rows"),
        (_set("look_back_table", 4, to="x"), "`look_back_table` must be rows of digits"),
        (_set("look_back_table", 4, to=""), "`look_back_table` must be rows of digits"),
        (_set("look_back_table", 4, to="²"), "`look_back_table` must be rows of digits"),
        (_set("look_back_table", 4, to="٣"), "`look_back_table` must be rows of digits"),
        (_set("look_back_table", 4, to="7"), "`look_back_table` values must be from 1 to 6"),
        (_set("look_back_table", 4, to="0"), "`look_back_table` values must be from 1 to 6"),
    ],
)
def test_bad_documents_name_the_field(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    document = json.loads(_anchor().to_json())
    change(document)
    path = tmp_path / "shared.otanchor.json"
    path.write_text(json.dumps(document))

    with pytest.raises(OTCacheError, match=rf"^shared\.otanchor\.json[.:] ?{message}"):
        load_anchor(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be valid JSON but is damaged"),
        (b"\xff" * 9, "must be valid JSON but is damaged"),
        (_anchor().to_json().encode()[:-40], "must be valid JSON but is damaged"),
        (b"[" * 900_000, "must be valid JSON but is damaged"),
        (b" " * 1_000_001, "must be at most 1000000 bytes"),
        (b"[]", "must be a JSON object but is a list"),
    ],
    ids=["empty", "not text", "cut off", "deep", "oversized", "no object"],
)
def test_damaged_files(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "shared.otanchor.json"
    path.write_bytes(content)

    with pytest.raises(OTCacheError, match=f"shared.otanchor.json {message}"):
        load_anchor(path)


def test_files_are_read_no_further_than_the_bound(tmp_path: Path) -> None:
    """A file of 1 TB (nearly all of it a hole) is refused without reading it."""
    path = tmp_path / "huge.otanchor.json"
    with path.open("wb") as file:
        try:
            file.truncate(1 << 40)
        except OSError:
            pytest.skip("the file system has no sparse files of this size")

    with pytest.raises(OTCacheError, match="must be at most 1000000 bytes but has 1000001"):
        load_anchor(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(OTCacheError, match=r"anchor gone\.otanchor\.json must be readable but is"):
        load_anchor(tmp_path / "gone.otanchor.json")
    with pytest.raises(OTCacheError, match="must be readable"):
        load_anchor(tmp_path)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10)
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["11111", "euler", "slope", "reuse"]),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        | st.lists(st.integers(0, 6), max_size=8)
    ),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a document."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [p for k, v in inside for p in [(*path, k), *_places(v, (*path, k))]]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.data())
def test_changed_documents_load_or_are_refused(data: st.DataObject) -> None:
    document = json.loads(_anchor().to_json())
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(document)
        path = data.draw(st.sampled_from(places))
        if data.draw(st.booleans()):
            _set(*path, to=data.draw(_JSON))(document)
        else:
            inner = document
            for key in path[:-1]:
                inner = inner[key]
            del inner[path[-1]]

    try:
        anchor = Anchor.from_json(json.dumps(document))
    except OTCacheError as error:
        assert str(error).startswith("anchor")
    else:
        assert Anchor.from_json(anchor.to_json()) == anchor


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.integers(0, 900), st.binary(max_size=6), st.integers(0, 6))
def test_changed_bytes_load_or_are_refused(position: int, written: bytes, removed: int) -> None:
    content = _anchor().to_json().encode()

    try:
        anchor = Anchor.from_json(content[:position] + written + content[position + removed :])
    except OTCacheError as error:
        assert str(error).startswith("anchor")
    else:
        assert Anchor.from_json(anchor.to_json()) == anchor


# Writing


def test_saving_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "models" / "otcache" / "m.otanchor.json"

    save_anchor(_sparse(), path)
    save_anchor(_anchor(), path)

    assert load_anchor(path) == _anchor()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "x" * 2001}, "anchor.name must be a text of at most 2000 characters"),
        (
            {"objective": Objective("lpips", math.nan, 0.1)},
            "anchor.objective.warm_start .* got nan",
        ),
        ({"sampling": Sampling(cfg=-1.0)}, "anchor.sampling.cfg must be a number from 0 to 1000"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.otanchor.json"
    save_anchor(_sparse(), path)

    with pytest.raises(OTCacheError, match=message):
        save_anchor(replace(_anchor(), **changes), path)

    assert load_anchor(path) == _sparse()
