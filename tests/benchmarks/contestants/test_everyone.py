"""Who takes part: what each module lists, ours first, no name twice."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from benchmarks import contestants
from benchmarks.contestants.everyone import chosen, everyone
from benchmarks.instruments.numbers import OURS


def test_what_modules_list_takes_part_once() -> None:
    folder = str(Path(contestants.__file__).parent)
    modules = [importlib.import_module(f"benchmarks.contestants.{module.name}")
               for module in pkgutil.iter_modules([folder])]  # fmt: skip
    listed = [name for module in modules for name in getattr(module, "CONTESTANTS", {})]
    assert sorted(listed) == sorted(everyone()) and len(listed) == len({*listed})
    assert next(iter(everyone())) == OURS


@pytest.mark.parametrize(("only", "count"), [(["fewer steps: heun"], 1), (["LEMICA", "vde"], 3)])
def test_some_are_chosen_by_parts_of_their_names(only: list[str], count: int) -> None:
    assert len(chosen(only, [])) == count


def test_unknown_peers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a peer must be one of .* but got 'teacache'"):
        chosen(None, [f"teacache={tmp_path}"])
