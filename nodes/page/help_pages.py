"""Help pages in the language of the page, one file a text.

The front end asks for ``docs/<node>/<language>.md`` of the pack's web folder, and for
``docs/<node>.md`` where the answer was 404. English is there under the second name alone; under the
first one it is answered for every language that has no page of its own.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from aiohttp import web

DOCS = Path(__file__).parents[2] / "web" / "docs"


def address(docs: Path = DOCS) -> str:
    """Where the host's static files of the pack's web folder have a help page, as a pattern."""
    return f"/extensions/{quote(docs.parents[1].name)}/docs/{{node}}/{{language}}.md"


def page_of(node: str, language: str, docs: Path = DOCS) -> Path | None:
    """A node's page in a language, in its main language (zh for zh-TW), or in English.

    Args:
        node: Its id; what is no node has no page. Both names are looked up, never used as paths.
        language: As the front end names it.
        docs: The folder of pages.
    """
    english = {path.stem: path for path in docs.glob("*.md")}.get(node)
    if english is None:
        return None
    own = {path.stem: path for path in (docs / english.stem).glob("*.md")}
    return own.get(language) or own.get(language.partition("-")[0], english)


async def help_page(request: web.Request) -> web.StreamResponse:
    """Answers for the static files, which the host would ask next."""
    page = page_of(request.match_info["node"], request.match_info["language"])
    if page is None:
        raise web.HTTPNotFound
    return web.FileResponse(page)
