"""What saved workflows and other programs know of the nodes: `python -m scripts.release.interface`.

Ids of nodes, their inputs and outputs by name, order and type. Workflows keep the values of inputs
by their order, links by the order of outputs, and front ends of others hold the names. So the file
`tests/host/interface.json` has what was published; the command adds to it what came since, and
refuses what would break it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.host.find import REPOSITORY
from scripts.host.inprocess import Host, start_host

FILE = REPOSITORY / "tests" / "host" / "interface.json"
COMMAND = "python -m scripts.release.interface"

Sockets = list[str]
"""Each as its name, its type and, of inputs that may be left open, `optional`."""
Interface = dict[str, dict[str, Sockets]]
"""Node id -> its `inputs` and `outputs` in order."""


def interface_of(host: Host) -> Interface:
    """The interface of the pack as the host has loaded it."""
    nodes = host.module("nodes").NODES
    return {schema.node_id: _sockets(schema) for schema in (node.GET_SCHEMA() for node in nodes)}


def _sockets(schema: Any) -> dict[str, Sockets]:
    return {
        "inputs": [
            f"{i.id} {i.get_io_type()}{' optional' if i.optional else ''}" for i in schema.inputs
        ],
        "outputs": [f"{o.id} {o.get_io_type()}" for o in schema.outputs],
    }


def breaks(published: Interface, now: Interface) -> list[str]:
    """What of the published interface is no longer as it was, in words; empty if all is."""
    found = [f"{node}: the node is gone" for node in published if node not in now]
    for node in published.keys() & now.keys():
        for kind in ("inputs", "outputs"):
            was, is_now = published[node][kind], now[node][kind]
            if is_now[: len(was)] != was:
                found.append(f"{node}: its {kind} must begin with {was} but are {is_now}")
            elif kind == "inputs":
                new = [socket for socket in is_now[len(was) :] if not socket.endswith(" optional")]
                found += [f"{node}: the new input {socket!r} must be optional" for socket in new]
    return sorted(found)


def read() -> Interface:
    """The published interface."""
    found: Interface = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def write(interface: Interface) -> None:
    """Makes an interface the published one."""
    FILE.write_text(json.dumps(interface, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--break", dest="broken", action="store_true", help="even what breaks it")
    broken = parser.parse_args().broken
    with tempfile.TemporaryDirectory() as base:
        now = interface_of(start_host(Path(base), lpips=False))
    found = breaks(read(), now) if FILE.exists() else []
    if found and not broken:
        print("Saved workflows and other front ends would break:", *found, sep="\n- ")
        return 1
    write(now)
    print(f"{FILE.relative_to(REPOSITORY)}: {len(now)} nodes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
