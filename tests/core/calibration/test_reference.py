"""Which schedule of many calls a calibration takes, where what each loses is told."""

import logging
from dataclasses import replace
from typing import cast

import pytest

from otcache_core.calibration.reference import anchor_shape, choose_reference
from otcache_core.calibration.run import CalibrationRun
from otcache_core.calibration.settings import Settings
from otcache_core.errors import EvaluationError
from otcache_core.gaps import Candidate, Steps, candidate, uniform_steps
from otcache_core.search.settings import SearchSettings, paper_search
from otcache_core.search.trials import SearchResult

STEPS = 50
ANCHOR = (0, 3, 7, 12, 20, 30, 40, 49)
"""Dense where the path is even."""


class _Graphs:
    """One kind of path."""

    def paths(self, budget: int, latest: float = 2.0) -> list[Steps]:
        return [uniform_steps(budget, STEPS)]


class _Run:
    """What of a calibration under way chooses the reference.

    Args:
        path, shape: What the schedules at the reference's budget lose; ``None`` if that is not to
            be had.
        settings: Of the calibration.
    """

    def __init__(
        self, path: float | None, shape: float | None, settings: Settings | None = None
    ) -> None:
        self.settings, self.graphs, self.stopped = settings or Settings(), _Graphs(), False
        self.told = {True: path, False: shape}
        self.fitted: list[Steps] = []

    def stop(self) -> bool:
        return self.stopped

    def fit_well(self, of: Candidate) -> Candidate:
        self.fitted.append(of.computed_steps)
        return candidate(of.computed_steps, 0.5)

    def badness(self, of: Candidate) -> float:
        lost = self.told[of.computed_steps == uniform_steps(20, STEPS)]
        if lost is None:
            raise EvaluationError("no picture")
        return lost


def _chosen(run: _Run) -> Candidate:
    found = SearchResult(candidate(ANCHOR), 0.1, 0.2)
    return choose_reference(cast(CalibrationRun, run), found)


def _shape(run: _Run) -> Steps:
    return anchor_shape(cast(CalibrationRun, run), candidate(ANCHOR))


@pytest.mark.parametrize(("path", "shape"), [(0.2, 0.1), (0.1, 0.2), (0.1, 0.1)])
def test_the_closer_one_is_taken_fitted_and_the_path_where_both_are(
    path: float, shape: float
) -> None:
    run = _Run(path, shape)

    found = _chosen(run)

    of_path = uniform_steps(20, STEPS)
    assert found.computed_steps == (of_path if path <= shape else _shape(run))
    assert 0.5 in found.slope_gain
    assert run.fitted == [of_path, _shape(run)]


def test_the_shape_goes_where_the_anchor_goes_with_more_of_its_steps_early() -> None:
    steps = _shape(_Run(0.1, 0.1))

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
def test_the_papers_way_and_a_calibration_without_a_search_take_the_path(
    settings: Settings,
) -> None:
    run = _Run(0.2, 0.1, settings)

    assert _chosen(run).computed_steps == uniform_steps(20, STEPS) == run.fitted[-1]


def test_one_that_is_stopped_takes_the_path() -> None:
    run = _Run(0.2, 0.1)
    run.stopped = True

    assert _chosen(run).computed_steps == uniform_steps(20, STEPS)


def test_what_cannot_be_judged_is_said_and_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "otcache"):
        found = _chosen(_Run(0.2, None))

    assert found.computed_steps == uniform_steps(20, STEPS)
    assert "could not be judged: no picture" in caplog.text
