"""Which records a run of the fidelity benchmark may replace."""

from typing import Any

import pytest

from benchmarks import fidelity
from benchmarks.instruments.numbers import OURS
from benchmarks.runs.fidelity_bench import SHORT, Extent

FULL = Extent()
"""32 prompts with 2 seeds; the short one has 16 pictures."""


def _recorded(monkeypatch: pytest.MonkeyPatch, **records: dict[str, Any]) -> None:
    monkeypatch.setattr(fidelity, "read_results", lambda name: records.get(name[7:]))


def test_a_fuller_record_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    _recorded(monkeypatch, demo={"prompts": 32, "seeds": 2})

    with pytest.raises(SystemExit, match=r"ground-demo.json .* has 64 pictures, .* measures 16"):
        fidelity.refuse_smaller(["latent", "demo"], SHORT)
    fidelity.refuse_smaller(["latent"], SHORT)  # there is none yet


@pytest.mark.parametrize("pictures", [(16, 1), (8, 2), (4, 1)])
def test_a_record_as_small_is_made_anew(
    pictures: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _recorded(monkeypatch, demo=dict(zip(("prompts", "seeds"), pictures, strict=True)))

    fidelity.refuse_smaller(["demo"], SHORT)
    fidelity.refuse_smaller(["demo"], FULL)


def test_refusal_comes_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    _recorded(monkeypatch, demo={"prompts": 32, "seeds": 2})
    ran: list[str] = []
    monkeypatch.setattr(fidelity, "run_all", lambda parts, workers, ended: ran.append("ran"))

    with pytest.raises(SystemExit, match="say --replace"):
        fidelity.main(["--model", "demo", "--short"])
    assert ran == []
    fidelity.main(["--model", "demo", "--short", "--replace"])
    fidelity.main(["--model", "demo", "--quick"])  # writes no record
    fidelity.main(["--model", "demo"])
    assert ran == ["ran"] * 3


def _row(contestant: str, budget: int, lpips: float) -> dict[str, object]:
    return {"contestant": contestant, "budget": budget, "lpips": lpips}


PLACES = ((OURS, 8), ("a", 8), ("b", 8), (OURS, 10), ("a", 10), ("b", 10))


def test_what_was_measured_anew_takes_the_place_of_its_rows(capsys) -> None:
    before = [_row(*place, lpips=0.1) for place in PLACES]
    changed = {("a", 8): 0.05, (OURS, 10): 0.09, ("a", 10): 0.05}
    now = [_row(*place, changed.get(place, 0.1)) for place in (*PLACES[:2], ("c", 8), *PLACES[3:5])]

    kept = fidelity.merged(before, now, {})

    # At 10 calls b's ratio is to another OTCache, and its losses are not known.
    assert kept == [before[0], now[1], before[2], *before[3:], now[2]]
    assert capsys.readouterr().out.count("measure all contestants") == 1


def test_ratios_to_another_otcache_are_taken_anew_where_losses_are_known(capsys) -> None:
    before = [_row(*place, lpips=0.1) for place in PLACES]
    now = [_row(OURS, 10, lpips=0.05), _row("a", 10, lpips=0.2)]

    kept = fidelity.merged(before, now, {"OTCache @ 10": [0.05, 0.05], "b @ 10": [0.1, 0.1]})

    assert kept == [*before[:3], *now, before[5] | {"ours_over": [0.5, 0.5, 0.5]}]
    assert capsys.readouterr().out == ""
