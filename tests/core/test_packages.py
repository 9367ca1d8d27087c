"""Packages that only calibration needs: what is said where they are missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from otcache_core.errors import OTCacheError
from otcache_core.packages import missing_packages, require_packages

ROOT = Path(__file__).parents[2]


def test_nothing_is_said_where_all_are_installed():
    assert missing_packages("Calibration", "numpy", "torch") == ""
    require_packages("Calibration", "numpy", "torch")


def test_what_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it were not installed
    with pytest.raises(OTCacheError) as error:
        require_packages("Calibration", "numpy", "optuna", "no_such_package")
    first, command, _ = str(error.value).splitlines()
    assert first.startswith("Calibration needs the packages numpy, optuna, no_such_package but ")
    assert first.endswith("lacks optuna, no_such_package: install them by")
    assert command == f'"{sys.executable}" -m pip install -r "{ROOT / "requirements.txt"}"'
    assert (ROOT / "requirements.txt").is_file()


def test_the_core_imports_without_them():
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('cmaes', 'lpips', 'optuna'))); "
        "import otcache_core, otcache_core.drawing.report"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
