"""The reference that is served: `/openapi.json`, and two pages that show it, `/docs` to try calls and `/redoc` to read.

A page is one answer that needs nothing else than `/openapi.json` of the same gateway. Its content security policy lets
the browser run and load what was shipped, told by hash, and nothing from anywhere else.
"""

import base64
import hashlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import orjson
from aiohttp import web

from otari.web import openapi, reply
from otari.web.guard import Route
from otari.web.visit import Visit

_FOLDER = "docs"
_SCRIPTS = ("dom.js", "schema.js", "operation.js", "console.js", "page.js")
_HTML = "text/html; charset=utf-8"


class Page(NamedTuple):
    """A whole HTML page and the policy that goes with it."""

    body: bytes
    policy: str


class Reference:
    """What the pages and `/openapi.json` tell: made when it is first asked for, and kept."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """`routes` are those that are served."""
        self._routes = tuple(routes)
        self._document: bytes | None = None

    def document(self, version: str) -> bytes:
        """The OpenAPI document as JSON."""
        if self._document is None:
            self._document = orjson.dumps(openapi.document(self._routes, version))
        return self._document


REFERENCE = web.AppKey("reference", Reference)


async def get_openapi(visit: Visit) -> web.StreamResponse:
    """This API as an OpenAPI 3.1 document, from the same route table that answers requests."""
    document = visit.request.app[REFERENCE].document(visit.house.version)
    return reply.json_bytes(document, visit.request_id)


async def get_docs(visit: Visit) -> web.StreamResponse:
    """The interactive reference: every operation can be tried from the page. It loads nothing from elsewhere."""
    return _as_html(visit, page("console"))


async def get_redoc(visit: Visit) -> web.StreamResponse:
    """The same reference laid out for reading."""
    return _as_html(visit, page("reading"))


def _as_html(visit: Visit, shown: Page) -> web.StreamResponse:
    return reply.as_text(shown.body, _HTML, visit.request_id, extra={"Content-Security-Policy": shown.policy})


@cache
def page(layout: str) -> Page:
    """The page in one of its layouts, `console` or `reading`."""
    style = _shipped("docs.css")
    script = '(() => {\n"use strict";\n' + "\n".join(_shipped(name) for name in _SCRIPTS) + "})();\n"
    html = _shipped("page.html").replace("@LAYOUT@", layout)
    body = html.replace("@STYLE@", style).replace("@SCRIPT@", script)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(body.encode(), policy)


def _digest(text: str) -> str:
    """A text as a content security policy names it (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shipped(name: str) -> str:
    data = pkgutil.get_data("otari.data", f"{_FOLDER}/{name}")
    assert data is not None, "the loader of otari.data gives no data"
    return data.decode()
