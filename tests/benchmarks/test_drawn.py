"""Settings that are drawn by their number, and the rows and tables made of them."""

from __future__ import annotations

from benchmarks import drawn
from benchmarks.pages.drawn import drawn_table, summary_table

MANY = [drawn.drawn(number) for number in range(400)]


def test_a_number_draws_the_same_setting_again():
    assert [drawn.drawn(setting.number) for setting in MANY] == MANY
    assert len({setting.number for setting in MANY}) == 400


def test_every_model_scheduler_sampler_and_number_of_steps_is_drawn():
    assert {setting.model for setting in MANY[:4]} == set(drawn.GUIDANCE)
    for choices, part in (
        (drawn.SCHEDULERS, "scheduler"), (drawn.SAMPLERS, "sampler"), (drawn.STEPS, "steps"),
    ):  # fmt: skip
        assert {getattr(setting, part) for setting in MANY} == set(choices)


def test_guidance_and_shift_stay_within_what_is_said_of_the_model():
    for setting in MANY:
        low, high = drawn.GUIDANCE[setting.model]
        assert setting.cfg == 1.0 or low <= setting.cfg <= high
        shifts = drawn.SHIFTS.get(setting.model, (None,))
        assert setting.shift in shifts
    unguided = sum(setting.cfg == 1.0 for setting in MANY)
    assert 0.05 < unguided / len(MANY) < 0.15


def test_few_calls_are_beside_many_more_steps():
    setting = MANY[0]
    for steps, calls in ((11, []), (14, [8]), (15, [8]), (16, [8, 11]), (50, [8, 11])):
        assert drawn.few(drawn.replace(setting, steps=steps)) == calls


def test_a_setting_has_a_row_and_the_tables_show_it():
    setting = drawn.replace(MANY[0], model="demo", shift=None, cfg=2.5, steps=14)
    measured = {"plain": (14, 0.2), "default": (12.6, 0.1), "plain 8": (8, 0.4), "ours 8": (8, 0.5)}
    lines = {way: {"calls": calls, "lpips": [loss] * 2} for way, (calls, loss) in measured.items()}

    row = drawn.row_of(setting, lines)

    assert (row["model"], row["calls"], row["plain_calls"]) == ("demo", 12.6, 14.0)
    assert row["plain_lpips"] == 0.2
    assert row["default"] == [0.5, 0.5, 0.5] and row["few"] == {"8": [1.25, 1.25, 1.25]}
    results = {"settings": [row, row | {"few": {"8": [0.5] * 3, "11": [0.5] * 3}}]}
    default, at_8, at_11 = summary_table(results).splitlines()[2:]
    assert default.endswith("| 0.90 | 2 | 2 | 2 | 0 | 0 | 0.50 | 0.50 |")
    assert at_8.endswith("| 1 | 2 | 1 | 1 | 1 | 1 | 0.79 | 1.25 |")
    assert at_11.endswith("| 1 | 1 | 1 | 1 | 0 | 0 | 0.50 | 0.50 |")
    shown = drawn_table(results).splitlines()[2]
    assert "| `demo` | 2.5 | its own |" in shown and shown.endswith("| 12.6 | 0.50 | 1.25 | - |")
