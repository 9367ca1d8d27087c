"""What the page asks of the pack: predictions, anchors, and where a calibration stands."""

# All answers are JSON, errors too: `error` tells the rule, the value and what to do, and `said` is
# the same as a message's document, which a page may have words for in its own language.
# Anchors are named, never given by path. Only a POST to /otcache/anchors writes: one file, into the
# anchors folder. Only a POST to /otcache/forget removes: what runs have taught of one model.

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ...otcache_core.documents.anchor import SUFFIX, Anchor
from ...otcache_core.documents.fields import MAX_BYTES, Fields, parse_document
from ...otcache_core.errors import OTCacheError
from ...otcache_core.message import document
from ..calibration.state import latest
from ..library.description import describe
from ..library.files import new_anchor_path, open_anchor, store_anchor
from ..library.inline import read_anchor
from ..library.learned import forget_like
from ..shared.news import NodePlace
from .advice import advice_on
from .edit_view import edited_view
from .help_pages import address, help_page
from .prediction_view import view_of

PREFIX = "/otcache"
MAX_BODY = 2 * MAX_BYTES  # an anchor as a text within JSON, its quotes escaped
MAX_QUERY = 300

Answer = dict[str, Any]
Question = Callable[[web.Request], Awaitable[Answer]]


class Refused(Exception):
    """A request that breaks a rule: its HTTP status, and what to tell."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _check_origin(request: web.Request) -> None:
    """ComfyUI checks this on loopback addresses only; a page elsewhere has no business here."""
    origin = request.headers.get("Origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != request.host.lower()
    if foreign or request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise Refused(403, "the request must come from ComfyUI's own page.")


async def _body(request: web.Request) -> Fields:
    """The request's JSON object; reads no more than the largest allowed."""
    if request.content_type != "application/json":
        raise Refused(415, f"the body must be application/json but is {request.content_type}.")
    content = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        content += chunk
        if len(content) > MAX_BODY:
            raise Refused(413, f"the body must be at most {MAX_BODY} bytes.")
    return parse_document(bytes(content), "request")


def _query(request: web.Request, key: str) -> str:
    value = request.query.get(key, "")
    if not 1 <= len(value) <= MAX_QUERY:
        raise Refused(400, f"`{key}` must have 1 to {MAX_QUERY} characters but has {len(value)}.")
    return value


def _inline(fields: Fields) -> Anchor:
    """The anchor that a request carries as a text, the way a workflow does."""
    return Anchor.from_json(fields.document("anchor"))


async def _schedule(request: web.Request) -> Answer:
    """Predicts: by a name in the query, or as Load OT Anchor does by the name and anchor sent."""
    if request.method == "GET":
        name, values = _query(request, "name"), _query(request, "values")
        return view_of(open_anchor(name), parse_document(values, "values"))
    fields = await _body(request)
    return view_of(read_anchor(fields.text("name"), fields.document("anchor")), fields)


def _shown(anchor: Anchor) -> Answer:
    """An anchor as the pack writes it, and what it is: a text, and its lines as documents."""
    lines = describe(anchor)
    said = {"text": "\n".join(lines), "lines": [document(line) for line in lines]}
    return {"anchor": anchor.to_document(), **said}


async def _anchors(request: web.Request) -> Answer:
    """Shows an anchor by name, or saves the one in the body under a name."""
    if request.method == "GET":
        anchor = open_anchor(_query(request, "name"))
        return _shown(anchor)
    fields = await _body(request)
    anchor = _inline(fields)
    path = new_anchor_path(fields.text("name").removesuffix(SUFFIX))
    await asyncio.to_thread(store_anchor, anchor, path)
    return {"saved": path.name}


async def _check(request: web.Request) -> Answer:
    """Reads the anchor in the body and shows it as the pack writes it; keeps nothing."""
    anchor = _inline(await _body(request))
    return _shown(anchor)


async def _advice(request: web.Request) -> Answer:
    """What to know of the runs in the body before they are queued."""
    return {"notes": advice_on(await _body(request))}


async def _forget(request: web.Request) -> Answer:
    """Forgets what runs have taught of a model, by the name of something that they have."""
    fields = await _body(request)
    return {"forgotten": await asyncio.to_thread(forget_like, fields.text("name"))}


async def _edit(request: web.Request) -> Answer:
    """What Edit Cache Schedule would make of the mask in the body."""
    return edited_view(await _body(request))


async def _calibration(request: web.Request) -> Answer:
    """Where a calibration stands, by workflow and node; null if this process knows of none."""
    return {"state": latest(NodePlace(_query(request, "workflow"), _query(request, "node")))}


ROUTES: dict[str, tuple[tuple[str, ...], Question]] = {
    "schedule": (("GET", "POST"), _schedule),
    "anchors": (("GET", "POST"), _anchors),
    "check": (("POST",), _check),
    "advice": (("POST",), _advice),
    "edit": (("POST",), _edit),
    "forget": (("POST",), _forget),
    "calibration": (("GET",), _calibration),
}


def _handler(methods: tuple[str, ...], ask: Question) -> Callable[..., Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            if request.method not in methods:
                raise Refused(405, f"the method must be {' or '.join(methods)}.")
            _check_origin(request)
            return web.json_response(await ask(request))
        except Refused as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except OTCacheError as error:
            said = document(error.args[0])
            return web.json_response({"error": str(error), "said": said}, status=400)

    return handle


def register_routes() -> None:
    """Adds the routes to the running server; outside of one there is nobody to answer."""
    # Looked up, not imported: tests and tools load the nodes without a server.
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None:
        return
    for name, (methods, ask) in ROUTES.items():
        server.routes.route("*", f"{PREFIX}/{name}")(_handler(methods, ask))
    server.routes.get(address())(help_page)
