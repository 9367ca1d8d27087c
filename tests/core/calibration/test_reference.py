"""Which schedule of many calls a calibration takes, where what each loses is told."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest

from otcache_core.calibration.reference import anchor_shape, choose_reference
from otcache_core.calibration.run import CalibrationRun
from otcache_core.calibration.settings import Settings
from otcache_core.documents.anchor import Anchor
from otcache_core.documents.schedule import Schedule
from otcache_core.errors import EvaluationError
from otcache_core.gaps import Candidate, Fit, Steps, candidate, uniform_steps
from otcache_core.search.settings import SearchSettings, paper_search
from otcache_core.search.trials import SearchResult, Trial
from otcache_core.transport import predict_schedule, realise, warping_curve

STEPS = 50
ANCHOR = (0, 3, 7, 12, 20, 30, 40, 49)
"""Dense where one kind of path is even."""

EVEN, LATE = "even", "late"
"""Kinds of paths, that of the anchor and the plainest; the anchor's shape is a third kind."""

SHAPE = "shape"


def _path(kind: str, budget: int) -> Steps:
    if kind == EVEN:
        return uniform_steps(budget, STEPS)
    return realise(warping_curve((0, 10, 20, 29, 36, 42, 46, 49), STEPS), budget, STEPS, 1.0)


class _Graphs:
    """Two kinds of paths, of which the first one does better at the anchor's budget."""

    def paths(self, budget: int, latest: float = 2.0) -> list[Steps]:
        return [_path(EVEN, budget), _path(LATE, budget)]

    def path(self, budget: int) -> Steps:
        return _path(LATE, budget)


class _Run:
    """What of a calibration under way chooses the reference.

    Args:
        half_way, there: What each kind loses at 15 calls and at the reference's 20; ``None`` if it
            is given up.
        settings: Of the calibration.
        broken: Whether nothing gives a picture.
    """

    def __init__(
        self,
        half_way: Mapping[str, float | None],
        there: Mapping[str, float | None],
        settings: Settings | None = None,
        broken: bool = False,
    ) -> None:
        self.settings, self.graphs = settings or Settings(), _Graphs()
        self.half_way, self.there, self.broken, self.stopped = half_way, there, broken, False
        self.kinds: dict[Steps, str] = {_path(kind, 20): kind for kind in (EVEN, LATE)}
        self.kinds[_shape()] = SHAPE
        self.towards: dict[Candidate, str] = {}
        self.judged: list[tuple[int, str]] = []

    def stop(self) -> bool:
        return self.stopped

    def schedule(self, of: Candidate) -> Schedule:
        return Schedule(STEPS, of.computed_steps)

    def anchor(self, found: SearchResult) -> Anchor:
        path = candidate(_path(EVEN, 20))
        return Anchor("m", "A", self.schedule(path), self.schedule(found.best))

    def fit_well(self, of: Candidate) -> Candidate:
        return candidate(of.computed_steps, 0.5)

    def predicted(self, anchor: Anchor, budget: int, rho: float, *, fit: Fit) -> Candidate:
        # Rho comes to be later; the paper's would crowd steps early.
        assert (anchor.rho, budget, rho) == (None, 15, 1.1)
        of = fit(candidate(predict_schedule(anchor, budget, rho=rho).schedule.computed_steps))
        self.towards[of] = self.kinds[anchor.reference.computed_steps]
        return of

    def _lost(self, of: Candidate) -> tuple[int, str, float | None]:
        if of in self.towards:
            kind = self.towards[of]
            return 15, kind, self.half_way[kind]
        kind = self.kinds[of.computed_steps]
        return 20, kind, self.there[kind]

    def compare(self, role: str, starts: Sequence[Candidate]) -> SearchResult:
        if self.broken:
            raise EvaluationError("no picture")
        trials = []
        for of in starts:
            budget, kind, lost = self._lost(of)
            self.judged.append((budget, kind))
            trials.append(Trial(of, lost or 9.0, "warm start", given_up=lost is None))
        return SearchResult(starts[0], 0.0, 0.0, tuple(trials))

    def badness(self, of: Candidate) -> float:
        lost = self._lost(of)[2]
        assert lost is not None, "given up, so never run on every prompt"
        return lost


def _chosen(run: _Run) -> str:
    found = SearchResult(candidate(ANCHOR), 0.1, 0.2)
    reference = choose_reference(cast(CalibrationRun, run), found)
    assert 0.5 in reference.slope_gain  # fitted
    return run.kinds[reference.computed_steps]


def _shape() -> Steps:
    class Bare:
        settings = Settings()

    return anchor_shape(cast(CalibrationRun, Bare()), candidate(ANCHOR))


@pytest.mark.parametrize(
    ("half_way", "there", "taken"),
    [
        ({EVEN: 0.2, LATE: 0.2, SHAPE: 0.2}, {EVEN: 0.2, LATE: 0.2, SHAPE: 0.1}, SHAPE),
        ({EVEN: 0.2, LATE: 0.1, SHAPE: 0.2}, {EVEN: 0.2, LATE: 0.2, SHAPE: 0.2}, LATE),
        # The geometric mean of both budgets counts.
        ({EVEN: 0.1, LATE: 0.2, SHAPE: 0.3}, {EVEN: 0.1, LATE: 0.04, SHAPE: 0.04}, LATE),
        ({EVEN: 0.1, LATE: 0.2, SHAPE: 0.3}, {EVEN: 0.1, LATE: 0.06, SHAPE: 0.04}, EVEN),
        ({EVEN: 0.1, LATE: 0.1, SHAPE: 0.1}, {EVEN: 0.1, LATE: 0.1, SHAPE: 0.1}, EVEN),
    ],
)
def test_the_kind_that_loses_least_half_way_and_there_is_taken(
    half_way: Mapping[str, float], there: Mapping[str, float], taken: str
) -> None:
    run = _Run(half_way, there)

    assert _chosen(run) == taken
    assert run.judged == [(b, kind) for b in (15, 20) for kind in (EVEN, LATE, SHAPE)]


def test_one_that_is_given_up_half_way_is_not_tried_further() -> None:
    run = _Run({EVEN: 0.1, LATE: 0.11, SHAPE: None}, {EVEN: 0.1, LATE: None, SHAPE: 0.01})

    assert _chosen(run) == EVEN
    assert run.judged[3:] == [(20, EVEN), (20, LATE)]


def test_the_shape_goes_where_the_anchor_goes_with_more_of_its_steps_early() -> None:
    steps = _shape()

    assert (len(steps), steps[0], steps[-1]) == (20, 0, STEPS - 1)
    # The anchor has half of its steps before step 16; of 20 calls that were 10 at its own density.
    assert sum(step < 16 for step in steps) > 10
    gaps = [after - at for at, after in zip(steps, steps[1:], strict=False)]
    assert max(gaps[:5]) < min(gaps[-5:])


@pytest.mark.parametrize(
    "settings",
    [
        replace(Settings(), search=paper_search(200), gains=False),
        replace(Settings(), estimator="meancache"),
        replace(Settings(), middle_budget=12),
        replace(Settings(), curve=False),
        replace(Settings(), search=SearchSettings(trials=4)),
    ],
)
def test_the_papers_way_and_a_calibration_without_a_search_take_the_anchors_kind_of_path(
    settings: Settings,
) -> None:
    run = _Run({}, {}, settings)

    assert _chosen(run) == EVEN
    assert not run.judged


def test_one_that_is_stopped_takes_the_path() -> None:
    run = _Run({}, {})
    run.stopped = True

    assert _chosen(run) == EVEN


def test_what_cannot_be_judged_is_said_and_the_path_taken(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "otcache"):
        assert _chosen(_Run({}, {}, broken=True)) == EVEN

    assert "could not be judged: no picture" in caplog.text
