"""What a calibration costs, by hand."""

from dataclasses import replace

import pytest

from otcache_core.calibration.cost import Cost, calibration_cost, paper_calls
from otcache_core.calibration.run import fit_prompts
from otcache_core.calibration.settings import Settings
from otcache_core.search.settings import SearchSettings

SETTINGS = Settings(search=SearchSettings(trials=40))


def test_the_paper_tries_200_candidates_on_every_prompt() -> None:
    assert paper_calls(10, 8) == 200 * 8 * 10


def test_calls_by_stage() -> None:
    """10 prompts; rho at 11 and 15 calls, the curve also at 20 and 26.

    Three kinds of references are judged at 15 and 20 calls, learning at 8, 11, 15 and 20, and it is
    measured at 26 where it is chosen. Three tails are judged at 8, 11 and 15 calls, four places of
    the last call at each of 14 budgets.
    """
    cost = calibration_cost(SETTINGS, 10)

    # Refined: 4 steps, each with 8 runs from on average half way, on all 10 prompts; before that
    # the search's best is fitted on all of them and judged.
    assert cost == Cost(
        full_runs=500,
        search=40 * 80,
        rho=5 * (110 + 150),
        curve=10 * (20 + 26),
        fits=10 * (9 + 10 + 12 + 13 + 14 + 16 + 17 + 18 + 19),
        refined=4 * 32 * 10 + 2 * 10 * 8,
        learned=10 * (8 + 11 + 15 + 20 + 26),
        tail=(10 + 4) * 3 * (8 + 11 + 15),
        last_calls=10 * 4 * 14,
        reference=10 * (3 * 15 + 2 * 20),
        spent_share=0.525,
    )
    assert cost.most == 500 + 3200 + 1300 + 460 + 1280 + 1440 + 800 + 1428 + 560 + 850
    # 4 prompts and an eighth of 10 for each candidate, half of the refinements
    assert cost.likely_search == round(40 * 8 * (4 + 10 / 8) + 720)
    assert cost.likely_rho == round(0.525 * 1300 + 0.5 * 1428)
    assert cost.likely == 500 + cost.likely_search + cost.likely_rho + 460 + 640 + 400 + 280 + 510


@pytest.mark.parametrize("changes", [{"gains": False}, {"estimator": "reuse"}])
def test_without_gains_nothing_is_fitted(changes: dict[str, object]) -> None:
    cost = calibration_cost(replace(SETTINGS, **changes), 10)  # type: ignore[arg-type]

    assert (cost.fits, cost.refined, cost.learned, cost.tail, cost.last_calls) == (0,) * 5
    assert cost.likely_search == 1680


def test_calibrations_spent_about_what_is_told() -> None:
    """10 prompts on four models, and the 48 prompts of the bundled anchor, which was made before
    learning, tails and kinds of references were judged."""
    ten = calibration_cost(SETTINGS, 10)
    more = calibration_cost(replace(SETTINGS, search=SearchSettings(trials=160)), 48)

    for spent in (6092, 6223, 6594, 6746):
        assert ten.likely == pytest.approx(spent, rel=0.1)
    since = 0.5 * (more.learned + more.tail) + 0.6 * more.reference
    assert more.likely - since == pytest.approx(21183, rel=0.1)


def test_a_few_prompts_are_all_tried() -> None:
    assert calibration_cost(SETTINGS, 3).spent_share == 1.0


def test_a_middle_schedule_is_searched_and_refined_too() -> None:
    one, two = (calibration_cost(replace(SETTINGS, middle_budget=b), 10) for b in (0, 12))

    assert two.search - one.search == 40 * 120
    assert two.refined - one.refined == 4 * 72 * 10 + 2 * 10 * 12


@pytest.mark.parametrize(
    ("prompts", "fitted"), [(1, 1), (3, 3), (6, 4), (10, 4), (16, 5), (48, 16), (500, 16)]
)
def test_gains_are_fitted_on_a_third_of_the_prompts(prompts: int, fitted: int) -> None:
    assert fit_prompts(prompts) == fitted


def test_quick_has_neither_a_choice_of_rho_nor_refinements() -> None:
    """Four candidates at 8 calls, and what is fitted at other budgets is measured there, too."""
    cost = calibration_cost(Settings.quick(), 3)

    assert cost == Cost(
        full_runs=150,
        search=4 * 24,
        rho=0,
        curve=3 * (11 + 15 + 20),
        learned=3 * (11 + 20),
        last_calls=3 * 4 * 4,
    )
    assert cost.likely == cost.most - 24 - 47  # half of places, and of learning, rounded


def test_one_rho_is_not_chosen_from() -> None:
    assert calibration_cost(replace(SETTINGS, rhos=(1.2,)), 10).rho == 0
    assert calibration_cost(replace(SETTINGS, rhos=(1.0, 1.2)), 10).rho == 2 * (110 + 150)
    assert calibration_cost(replace(SETTINGS, refine=False), 10).refined == 2 * 10 * 8
