"""Imports run one way, the host is touched where it may be, and the page shows what is."""

import re
from graphlib import CycleError, TopologicalSorter

import pytest

from scripts.architecture import (
    ORDER,
    PAGE,
    REST,
    ROOT,
    imports,
    modules,
    rank_of,
    room_of,
    rooms,
    with_picture,
)


def test_the_imports_that_are_known_are_found():
    found = {(each.importer, each.imported) for each in imports()}
    assert {
        ("nodes.sampling.run", "otcache_core.run_time.velocity"),
        ("otcache_core.transport", "otcache_core.gaps"),
        ("otcache_core", "otcache_core.transport"),
        ("nodes", "nodes.sampler"),
        ("tests.repository.test_layout", "scripts.architecture"),
    } <= found
    # ComfyUI has a module of that name, and it is not ours.
    assert ("nodes.sampler", "nodes") not in found


def test_no_import_goes_up():
    assert [i for i in imports() if rank_of(i.imported) > rank_of(i.importer)] == []


def test_no_imports_form_a_circle():
    graph = {name: set() for name in modules()}
    for each in imports():
        graph[each.importer].add(each.imported)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_order_names_rooms_that_exist():
    found = {room_of(name) for name in modules()}
    listed = {(hall, room) for hall, order in ORDER.items() for room in order if room != REST}
    assert listed <= found


def test_a_room_of_the_core_has_its_place_in_the_order():
    core = {room for hall, room in map(room_of, modules()) if hall == "otcache_core"}
    assert core == set(ORDER["otcache_core"])


@pytest.mark.parametrize("hall", ["otcache_core", "demo_model/text.py", "demo_model/config.py"])
def test_the_method_needs_no_host(hall):
    place = ROOT / hall
    for path in [place] if place.is_file() else place.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*(from|import) (comfy|folder_paths|server|execution)\b", text, re.M
        )


def test_only_sampling_touches_the_hosts_wrappers():
    touching = re.compile(r"WrappersMP|add_wrapper|patcher_extension|transformer_options")
    found = {
        path.parent.name
        for path in (ROOT / "nodes").rglob("*.py")
        if touching.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"sampling"}


def test_nothing_reaches_into_the_hosts_models():
    for hall in ("nodes", "otcache_core"):
        for path in (ROOT / hall).rglob("*.py"):
            assert "comfy.ldm" not in path.read_text(encoding="utf-8"), path


def test_an_import_that_others_imply_is_not_drawn():
    graph = rooms()
    assert "otcache_core.whole_file" in graph["otcache_core.documents"]
    assert "otcache_core.errors" not in graph["otcache_core.documents"]  # by way of whole_file


def test_the_picture_shows_the_imports_as_they_are():
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_picture(page), "run python -m scripts.architecture"


def test_a_page_without_a_place_for_the_picture_is_refused():
    with pytest.raises(ValueError, match=r"must have <!-- picture:rooms -->"):
        with_picture("no place here")


def test_files_and_folders_that_the_page_names_exist():
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:otcache_core|nodes|scripts|benchmarks|web|tests|locales)/[\w./]*)`", text
    )
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
