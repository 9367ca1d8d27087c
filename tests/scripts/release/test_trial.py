"""The pack as a newcomer has it: without what only calibration needs, on an unkind machine."""

import json
import os
import subprocess
import sys

import pytest

from scripts.host.find import REPOSITORY
from scripts.release.trial import mistakes

SEEN = {
    "steps": 50,
    "computed": 8,
    "finite": True,
    "imported": [],
    "compare": "Compare Images needs lpips but this Python lacks lpips: install them",
    "calibrate": "It needs all but this Python lacks lpips, optuna, cmaes: install them",
}


@pytest.mark.parametrize(
    ("changed", "mistake"),
    [
        ({}, None),
        ({"computed": 50}, "computed must be 8 but is 50"),
        ({"finite": False}, "finite must be True but is False"),
        ({"imported": ["optuna"]}, "imported must be [] but is ['optuna']"),
        ({"compare": "it ran"}, "compare must say that lpips is missing but said: it ran"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(changed, mistake):
    assert mistakes({**SEEN, **changed}) == ([mistake] if mistake else [])


@pytest.mark.host
@pytest.mark.slow
def test_sampling_works_without_what_only_calibration_needs():
    # On a console of Windows' Western code page; the base folder's name has a space and letters
    # that it lacks.
    run = subprocess.run(
        [sys.executable, "-m", "scripts.release.trial", str(REPOSITORY)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert run.returncode == 0, run.stderr[-2000:]
    seen = json.loads(run.stdout)
    assert seen["computed"] == 8
    assert "UnicodeEncodeError" not in run.stderr
