"""What a handler is given: the request, who asks, and the house that serves it."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import web

from otari.domain.access import Principal
from otari.domain.catalog import Catalog
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.ports import ControlPlane
from otari.gateway.converse import Conversations
from otari.gateway.counting import Counting
from otari.gateway.single import SingleShots
from otari.store.batch_shelf import BatchShelf
from otari.store.db import Database
from otari.store.file_shelf import FileShelf
from otari.store.key_book import KeyBook
from otari.store.price_book import PriceBook
from otari.store.user_book import UserBook
from otari.web.idempotency import Replays
from otari.web.limits import Guesses, Limits
from otari.web.watch import Streams

_MIN_BYTES_PER_S = 256 * 1024
_PATIENCE_S = 30.0
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class House:
    """Everything the handlers need, built once in `app.py`."""

    control: ControlPlane
    conversations: Conversations
    shots: SingleShots
    counting: Counting
    catalog: Catalog
    version: str
    keepalive_s: float
    json_max_bytes: int
    allowed_hosts: frozenset[str]
    now_ms: Callable[[], int]
    streams: Streams
    books: "Books | None" = None  # None: accounts are kept elsewhere
    limits: Limits | None = None  # None: nothing is limited
    replays: Replays | None = None  # None: there is no ledger to keep answers in
    files: FileShelf | None = None  # None: no files are kept
    batches: BatchShelf | None = None  # None: no files are kept, and so no batches
    guesses: Guesses = field(default_factory=Guesses)


class Books(NamedTuple):
    """The accounts of this gateway: the database, and what is kept of it in memory."""

    db: Database
    keys: KeyBook
    users: UserBook
    prices: PriceBook


HOUSE = web.AppKey("house", House)


class Visit(NamedTuple):
    """One request on its way through a handler. `principal` is None on open routes."""

    request: web.Request
    request_id: str
    principal: Principal | None
    house: House

    @property
    def books(self) -> Books:
        """The accounts, on a route that is only served where there are some."""
        assert self.house.books is not None
        return self.house.books

    @property
    def caller(self) -> Principal:
        """Who asks, on a route that demands a credential."""
        assert self.principal is not None
        return self.principal


def new_request_id() -> str:
    """Names a request in headers, ledger and log: `req_`, the time in 12 hexadecimal digits, 20 random ones.

    The time comes first so that new rows stand together in the ledger's index.
    """
    return f"req_{time.time_ns() // 1_000_000:012x}{next(_random_digits)}"


def _digits() -> Iterator[str]:
    """Random digits, drawn from the system many at a time: one system call per request would be felt."""
    while True:
        drawn = os.urandom(10 * 256).hex()
        for start in range(0, len(drawn), 20):
            yield drawn[start : start + 20]


_random_digits = _digits()


async def read_json(visit: Visit, most: int | None = None) -> bytes:
    """The body of a JSON request, of at most `most` bytes (as configured without it).

    Raises OtariError: UNSUPPORTED_MEDIA for another content type or encoding, TOO_LARGE above the limit (at once when
    Content-Length says so), REQUEST_TIMEOUT when it does not arrive, INVALID when it breaks off.
    """
    request, limit = visit.request, most or visit.house.json_max_bytes
    if request.headers.get("Content-Type") != _JSON and request.content_type != _JSON:
        raise OtariError(
            Kind.UNSUPPORTED_MEDIA,
            "Send the body as JSON, with the header 'Content-Type: application/json'",
            param="Content-Type",
        )
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "deflate", ""):
        raise unknown_encoding()
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    try:
        if request.content.is_eof():  # it is all here already: no timer needed
            return _within(await request.read(), limit)
        async with asyncio.timeout(_PATIENCE_S + (request.content_length or limit) / _MIN_BYTES_PER_S):
            return _within(await request.read(), limit)
    except TimeoutError:
        raise OtariError(Kind.REQUEST_TIMEOUT, "The request body did not arrive in time") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit) from None
    except (web.RequestPayloadError, ValueError, UnicodeError):
        raise invalid("The request body could not be read: it broke off, or its encoding is damaged") from None


def unknown_encoding() -> OtariError:
    """What a body is told that is packed in a way that nobody here can unpack."""
    return OtariError(
        Kind.UNSUPPORTED_MEDIA,
        "The request's Content-Encoding is not understood: send the body plain, or with gzip",
        param="Content-Encoding",
    )


def _within(body: bytes, limit: int) -> bytes:
    """`body`, which may have come without a Content-Length."""
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> OtariError:
    return OtariError(Kind.TOO_LARGE, f"The request body is larger than {limit} bytes", code="request_too_large")
