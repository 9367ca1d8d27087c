"""What a model's pictures teach: a mean over pictures, in a document that is an anchor."""

import math

import pytest

from otcache_core.documents.anchor import Anchor, LearnedInRuns, Sampling
from otcache_core.documents.facts import DOUBT
from otcache_core.documents.schedule import Schedule
from otcache_core.gaps import uniform_steps
from otcache_core.learning import ENOUGH, MOST, begin_learning, has_learned, learn
from otcache_core.transport import predict_schedule


@pytest.fixture
def begun() -> Anchor:
    low, high = (Schedule(50, uniform_steps(b, 50), "adaptive") for b in (8, 20))
    generic = Anchor("any", "flow matching", high, low, learned_in_runs=LearnedInRuns(2, 0.5))
    return begin_learning(
        generic, name="Flux", architecture="Flux", weights="0123abcd", sampling=Sampling(cfg=3.5)
    )


def test_pictures_weigh_alike(begun: Anchor) -> None:
    learned = learn(learn(begun, 0.2, 1), 0.5, 2)

    assert learned.learned_in_runs is not None
    assert learned.learned_in_runs.steadiness == pytest.approx(0.4)
    assert learned.learned_in_runs.pictures == 3
    assert not has_learned(learned)
    assert has_learned(learn(learned, 0.4, 1))
    assert ENOUGH == 4


def test_the_latest_pictures_have_a_say_however_many_there_were(begun: Anchor) -> None:
    learned = learn(learn(begun, 0.0, 100 * MOST), 0.65, 1).learned_in_runs

    assert learned is not None
    assert learned.steadiness == pytest.approx(0.65 / (MOST + 1), abs=1e-4)
    assert learned.pictures == 100 * MOST + 1


def test_the_document_is_an_ordinary_anchor(begun: Anchor) -> None:
    learned = learn(begun, 0.3, 4)

    assert Anchor.from_json(learned.to_json()) == learned
    schedule = predict_schedule(learned, 11).schedule
    assert schedule.estimator == "adaptive"
    assert schedule.steadiness == pytest.approx(0.3 - DOUBT / 2.0)
    assert (learned.architecture, learned.weights, learned.sampling.cfg) == (
        *("Flux", "0123abcd"),
        3.5,
    )


def test_few_pictures_are_believed_less(begun: Anchor) -> None:
    def believed(pictures: int) -> float:
        known = learn(begun, 0.3, pictures).learned_in_runs
        assert known is not None
        assert known.believed is not None
        return known.believed

    assert believed(1) == pytest.approx(0.3 - DOUBT)
    assert believed(1) < believed(2) < believed(4) < 0.3
    assert LearnedInRuns(2, 0.5).believed is None
    assert LearnedInRuns(2, 0.5, -1.0, 1).believed == -1.0
    assert math.isclose(LearnedInRuns(2, 0.5, 0.3).believed or 0.0, 0.3)


def test_nothing_is_known_before_the_first_picture(begun: Anchor) -> None:
    assert predict_schedule(begun, 11).schedule.steadiness is None
    assert not has_learned(begun)
