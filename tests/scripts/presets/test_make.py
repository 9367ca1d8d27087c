"""The presets that ship with the pack are what the scripts make, and say what they are."""

from __future__ import annotations

import pytest

from otcache_core.documents.anchor import SUFFIX, load_anchor
from otcache_core.transport import predict_schedule
from scripts.presets.make import FLOW, NOISE, PRESETS, generic_anchor, presets
from scripts.presets.published import PUBLISHED, STEPS

NAMES = {path.name.removesuffix(SUFFIX) for path in PRESETS.glob(f"*{SUFFIX}")}
EDGES = [
    (published, budget, *schedule)
    for published in PUBLISHED
    for budget, schedule in published.schedules.items()
]


def test_the_list_reads_as_it_should() -> None:
    assert NAMES == {
        "z-image", "qwen-image", "qwen-image-2512", "flow-matching (generic)",
        "sdxl-like (generic)", "otcache-demo",
    }  # fmt: skip


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_what_the_script_makes(name: str) -> None:
    assert load_anchor(PRESETS / f"{name}{SUFFIX}") == presets()[name]


@pytest.mark.parametrize(("published", "budget", "steps", "look_back"), EDGES)
def test_published_schedules_are_whole(published, budget, steps, look_back) -> None:
    assert (len(steps), len(look_back)) == (budget, budget - 1)
    assert (steps[0], steps[-1]) == (0, STEPS - 1)
    assert list(steps) == sorted(set(steps))
    assert all(1 <= k <= 5 for k in look_back)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("z-image", 13, 20), ("qwen-image", 10, 17), ("qwen-image-2512", 10, 17)],
)
def test_a_published_preset_gives_the_published_schedules(name, low, high) -> None:
    anchor = presets()[name]
    published = next(p for p in PUBLISHED if p.preset == name)
    for budget in (low, high):
        schedule = predict_schedule(anchor, budget).schedule
        assert (schedule.computed_steps, schedule.look_back) == published.schedules[budget]
        assert schedule.estimator == "meancache"
    for word in ("Published", "not searched", "not verified", "2601.19961"):
        assert word in anchor.provenance
    assert anchor.objective is None


def test_look_backs_between_the_published_budgets_follow_their_pattern() -> None:
    schedule = predict_schedule(presets()["z-image"], 16).schedule
    kinds = dict(zip(schedule.computed_steps, schedule.look_back, strict=False))

    assert all(k == 1 for t, k in kinds.items() if 22 <= t <= 38)  # long edges of the middle
    assert set(schedule.look_back) > {1}  # and corrections at the ends


@pytest.mark.parametrize("name", ["flow-matching (generic)", "sdxl-like (generic)"])
def test_a_generic_preset_says_that_it_is_a_guess(name: str) -> None:
    anchor = load_anchor(PRESETS / f"{name}{SUFFIX}")

    assert anchor.provenance.startswith("A guess")
    assert "never measured" in anchor.provenance
    assert anchor.architecture in ("flow matching", "noise prediction")
    # Coefficients are one model's own, and noise levels that do not fit place steps wrongly.
    assert anchor.estimator == "adaptive"
    assert anchor.sampling.sigmas is None


@pytest.mark.parametrize("name", [FLOW, NOISE])
def test_a_guess_ends_early_with_few_calls_and_at_the_end_with_many(name: str) -> None:
    anchor = presets()[name]
    ends = [
        predict_schedule(anchor, calls).schedule.computed_steps[-1] for calls in (8, 11, 17, 20, 30)
    ]
    assert ends == [48, 48, 49, 49, 49]


def test_without_the_small_model_its_steps_have_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, whole = generic_anchor(small_model=False), generic_anchor()
    changed = {8: (0, 1, 2, 3, 4, 5, 6, 49), 20: (*range(19), 49)}
    monkeypatch.setattr("scripts.presets.make.SMALL_MODEL", changed)

    assert generic_anchor(small_model=False) == alone
    assert generic_anchor() != whole != alone
