import warnings

import optuna
import pytest

from otcache_core.errors import OTCacheError
from otcache_core.gaps import Candidate, candidate
from otcache_core.search.proposals import PROPOSERS, GapSpace, gap_space, make_sampler

STEPS, BUDGET = 12, 5
START = candidate((0, 1, 4, 8, 11), (1.0, 0.5, 0.75, 1.25))

SAMPLERS = [name for name in PROPOSERS if name != "none"]


def _suggest(space: GapSpace, parameters: dict[str, float]) -> tuple[Candidate, optuna.Trial]:
    """The candidate that a trial with these parameters stands for."""
    study = optuna.create_study()
    study.enqueue_trial(parameters)
    trial = study.ask()
    return space.suggest(trial), trial


# Spaces


@pytest.mark.parametrize(
    ("proposer", "whole"),
    [
        ("cma-es", False),  # as in the paper: real gaps, projected
        ("cma-es with margin", True),
        ("tpe", True),
        ("gp", True),
        ("none", True),
    ],
)
def test_the_space_of_each_proposer(proposer: str, whole: bool) -> None:
    assert gap_space(proposer, 20, 6) == GapSpace(20, 6, whole, 0)
    assert gap_space(proposer, 20, 6, 2) == GapSpace(20, 6, whole, 2)


def test_unknown_proposers_are_refused() -> None:
    with pytest.raises(
        OTCacheError, match="`proposer` must be one of cma-es, cma-es with .* but got 'random'"
    ):
        gap_space("random", 20, 6)


def test_the_widest_gap_leaves_one_step_to_each_other_edge() -> None:
    # Five edges sum to 19; four of them are at least 1.
    assert GapSpace(20, 6).widest == 15


def test_parameters_by_hand() -> None:
    assert GapSpace(STEPS, BUDGET).parameters(START) == {
        **{"gap_0": 1, "gap_1": 3, "gap_2": 4, "gap_3": 3},
    }


def test_a_tail_is_a_parameter_where_there_may_be_one() -> None:
    space = gap_space("tpe", STEPS, BUDGET, tail=2)
    early = candidate((0, 1, 4, 8, 9))

    assert space.parameters(early) == {"gap_0": 1, "gap_1": 3, "gap_2": 4, "gap_3": 1, "tail": 2}
    assert space.parameters(START)["tail"] == 0
    assert list(space.ends) == [9, 10, 11]
    assert _suggest(space, space.parameters(early))[0] == early
    assert list(GapSpace(STEPS, BUDGET).ends) == [11]


@pytest.mark.parametrize("proposer", SAMPLERS)
def test_samplers_propose_tails_within_bounds(proposer: str) -> None:
    space = gap_space(proposer, STEPS, BUDGET, tail=2)
    study = optuna.create_study(sampler=make_sampler(proposer, space, START, 1.5, 0))

    def loss(trial: optuna.Trial) -> float:
        proposed = space.suggest(trial).computed_steps
        assert len(proposed) == BUDGET
        assert proposed[-1] in space.ends
        return abs(proposed[-1] - 9.0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.optimize(loss, n_trials=12)
    assert {trial.params["tail"] for trial in study.trials} != {0}


@pytest.mark.parametrize("whole", [False, True])
def test_the_bounds_that_optuna_sees(whole: bool) -> None:
    space = GapSpace(STEPS, BUDGET, whole)

    _, trial = _suggest(space, space.parameters(START))

    gap = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
    assert trial.distributions == {
        **{f"gap_{i}": gap(1, 8) for i in range(4)},
    }


@pytest.mark.parametrize("proposer", PROPOSERS)
@pytest.mark.parametrize(
    "of",
    [
        candidate(START.computed_steps),
        candidate((0, 1, 2, 3, 11)),
        candidate((0, 8, 9, 10, 11)),
        candidate((0, 3, 6, 9, 11)),
    ],
)
def test_parameters_stand_for_their_candidate(proposer: str, of: Candidate) -> None:
    space = gap_space(proposer, STEPS, BUDGET)

    assert _suggest(space, space.parameters(of))[0] == of


@pytest.mark.parametrize("proposer", PROPOSERS)
def test_gains_are_no_parameters(proposer: str) -> None:
    space = gap_space(proposer, STEPS, BUDGET)

    found, trial = _suggest(space, space.parameters(START))

    assert found == candidate(START.computed_steps)
    assert [*trial.params] == ["gap_0", "gap_1", "gap_2", "gap_3"]


def test_real_gaps_are_projected() -> None:
    """Above one (1.2, 1, 0.5), 2 to share: (0.89, 0.74, 0.37), the largest remainders win."""
    found, _ = _suggest(GapSpace(6, 4), {"gap_0": 2.2, "gap_1": 2.0, "gap_2": 1.5})

    assert found == candidate((0, 2, 4, 5))


# Samplers


@pytest.mark.parametrize(
    ("proposer", "kind"),
    [
        ("cma-es", optuna.samplers.CmaEsSampler),
        ("cma-es with margin", optuna.samplers.CmaEsSampler),
        ("tpe", optuna.samplers.TPESampler),
        ("gp", optuna.samplers.GPSampler),
    ],
)
def test_the_sampler_of_each_proposer(
    proposer: str, kind: type[optuna.samplers.BaseSampler]
) -> None:
    space = gap_space(proposer, STEPS, BUDGET)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nobody is warned of what the pack knows

        sampler = make_sampler(proposer, space, START, spread=1.5, seed=0)

    assert type(sampler) is kind


@pytest.mark.parametrize(
    ("steps", "budget", "expected"),
    [
        (20, 6, 1.5 / 14),  # gaps from 1 to 15 are 14 steps wide
        (5, 3, 0.75),  # from 1 to 3
        (5, 4, 1.5),  # from 1 to 2
    ],
)
def test_the_spread_is_in_steps(
    steps: int, budget: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna's CMA-ES works where every parameter runs from 0 to 1, its `sigma0` too."""
    given: dict[str, object] = {}
    monkeypatch.setattr(optuna.samplers, "CmaEsSampler", lambda **options: given.update(options))
    start = candidate((*range(budget - 1), steps - 1))
    space = gap_space("cma-es", steps, budget)

    make_sampler("cma-es", space, start, spread=1.5, seed=3)

    assert given["sigma0"] == pytest.approx(expected)
    assert given["x0"] == space.parameters(start)
    assert given["seed"] == 3


@pytest.mark.parametrize("margin", [False, True])
def test_cma_es_proposes_around_its_start(margin: bool) -> None:
    """With nearly no spread, all first proposals are the start itself."""
    proposer = "cma-es with margin" if margin else "cma-es"
    space = gap_space(proposer, 20, 6)
    start = candidate((0, 1, 3, 6, 12, 19))
    close, far = (_proposals(proposer, space, start, spread, 8) for spread in (1e-3, 1.5))

    assert set(close) == {start}
    assert len(set(far)) > 4


def _proposals(
    proposer: str, space: GapSpace, start: Candidate, spread: float, count: int, seed: int = 0
) -> list[Candidate]:
    """What a study of its own asks for after one finished trial, the start."""
    sampler = make_sampler(proposer, space, start, spread, seed)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial(space.parameters(start))
    found = []
    for number in range(count + 1):
        trial = study.ask()
        found.append(space.suggest(trial))
        study.tell(trial, float(number))
    return found[1:]


@pytest.mark.parametrize("proposer", SAMPLERS)
def test_proposals_are_candidates(proposer: str) -> None:
    space = gap_space(proposer, STEPS, BUDGET)

    for found in _proposals(proposer, space, START, 1.5, 12):
        nodes = found.computed_steps
        assert len(nodes) == BUDGET
        assert (nodes[0], nodes[-1]) == (0, STEPS - 1)
        assert found == candidate(nodes)


@pytest.mark.parametrize("proposer", SAMPLERS)
def test_a_seed_decides_the_proposals(proposer: str) -> None:
    space = gap_space(proposer, STEPS, BUDGET)
    first, again, other = (_proposals(proposer, space, START, 1.5, 6, s) for s in (1, 1, 2))

    assert first == again != other
