"""Which room may import which, and a picture of it: `python -m scripts.architecture` draws it anew.

A *hall* is a top folder of Python code, a *room* is a folder or a file in it. The order below is
the rule; imports are read from the sources, and `tests/repository/test_layout.py` holds them to it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- picture:rooms -->", "<!-- /picture:rooms -->"

REST = "*"
"""In an order: every room that it does not name."""

ORDER: dict[str, tuple[str, ...]] = {
    "otcache_core": (
        *("errors", "message", "version", "packages", "whole_file"),
        *("documents", "gaps", "projection", "transport", "expectation", "edit"),
        *("run_time", "pace", "auto_plan", "learning"),
        *(
            "trajectory",
            "graph",
            "measures",
            "search",
            "estimate",
            "calibration",
            "drawing",
            "__init__",
        ),
    ),
    "demo_model": (REST,),
    "nodes": ("shared", "sampling", "library", "calibration", "page", REST, "__init__"),
    "scripts": ("host", "workflows", REST),
    "benchmarks": ("instruments", "models", "runs", "contestants", "pages", REST, "__main__"),
    "training": (REST,),
    "tests": (REST,),
}
"""Halls, and in each its rooms, lowest first: an import goes down, or stays in its room."""

PACK = ("otcache_core", "nodes")
"""The halls that the picture shows: what users run."""
FAMILIES = "node families"


@dataclass(frozen=True)
class Import:
    """One file's import of another, both as dotted names of modules."""

    importer: str
    imported: str


def room_of(module: str) -> tuple[str, str]:
    """The hall and the room of a module: ``otcache_core.search.trials`` -> its hall, ``search``."""
    hall, _, rest = module.partition(".")
    return hall, rest.partition(".")[0] or "__init__"


def rank_of(module: str) -> tuple[int, int]:
    """Where a module stands: its hall's place, then its room's; imports may not go up."""
    hall, room = room_of(module)
    rooms = ORDER[hall]
    return list(ORDER).index(hall), rooms.index(room if room in rooms else REST)


@cache
def modules() -> dict[str, Path]:
    """Every module of the halls by its dotted name; a package is its ``__init__``."""
    found = {}
    for hall in ORDER:
        for path in sorted((ROOT / hall).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imported(module: str, path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it; an absolute `nodes` is ComfyUI's own."""
    package = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name != "nodes")
        elif isinstance(node, ast.ImportFrom) and (node.level or node.module != "nodes"):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
            yield from (name if name in modules() else source for name in names)


@cache
def imports() -> tuple[Import, ...]:
    """Every import of one module of the halls by another."""
    found = {
        Import(module, imported)
        for module, path in modules().items()
        for imported in _imported(module, path)
        if imported in modules() and imported != module
    }
    return tuple(sorted(found, key=lambda i: (i.importer, i.imported)))


def _shown(module: str) -> str:
    hall, room = room_of(module)
    if hall == "nodes" and room not in ORDER["nodes"]:
        return f"nodes.{FAMILIES}"
    return f"{hall}.{room}"


def rooms() -> dict[str, set[str]]:
    """The rooms of the pack, each with those that it imports directly and not by way of another."""
    graph: dict[str, set[str]] = {}
    for each in imports():
        a, b = _shown(each.importer), _shown(each.imported)
        if {room_of(each.importer)[0], room_of(each.imported)[0]} <= set(PACK):
            if "__init__" not in a + b and a != b:
                graph.setdefault(a, set()).add(b)
                graph.setdefault(b, set())

    @cache
    def reached(room: str) -> frozenset[str]:
        return frozenset(graph[room]).union(*(reached(lower) for lower in graph[room]))

    return {
        room: {b for b in below if not any(b in reached(c) for c in below - {b})}
        for room, below in graph.items()
    }


def draw() -> str:
    """The picture as a Mermaid flowchart: boxes are rooms, arrows are imports."""
    graph = rooms()
    names = {room: room.replace(".", "_").replace(" ", "_") for room in graph}
    lines = ["```mermaid", "flowchart TD"]
    for hall in PACK:
        own = sorted(room for room in graph if room_of(room)[0] == hall)
        boxes = (f'    {names[room]}["{room.partition(".")[2]}"]' for room in own)
        lines += [f'  subgraph {hall}["{hall}/"]', *boxes, "  end"]
    lines += [
        f"  {names[room]} --> {names[lower]}"
        for room, below in sorted(graph.items())
        for lower in sorted(below)
    ]
    return "\n".join([*lines, "```"])


def with_picture(page: str) -> str:
    """The page with its picture drawn anew."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE.name} must have {BEGIN} and {END} around its picture but has not.")
    return f"{before}{BEGIN}\n{draw()}\n{END}{after}"


def main() -> None:
    """Writes the picture into its page."""
    PAGE.write_text(with_picture(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
