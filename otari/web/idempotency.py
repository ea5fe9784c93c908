"""Requests that may be repeated: with an Idempotency-Key a request is charged once, a repeat gets its answer.

Kept are the answers that would cost again, and those that would be the same again: good ones, errors that were charged
all the same, and what the provider found wrong with the request itself. A failure that cost nothing (a provider that is
down, busy, or out of credit) leaves the key free, so that the repeat is a new try.

Two things keep the promise: a note in memory of what is being carried out, because there is one process to a ledger,
and the answer in the ledger. What is neither there nor here is decided by the usage row (`store/replays.py`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

import orjson
from aiohttp import web
from multidict import CIMultiDictProxy

from otari.domain.access import Principal
from otari.domain.errors import Kind, OtariError, invalid
from otari.gateway.converse import Conversation
from otari.gateway.single import SingleShot
from otari.store import replays
from otari.store.db import Database
from otari.store.replays import Claim, OtherRequest, Saved, Unanswered
from otari.web import reply
from otari.web.reply import Shape

log = logging.getLogger("otari.web")

Talk = Conversation | SingleShot

HEADER = "Idempotency-Key"
SAVED_MAX_BYTES = 1024 * 1024
_CHARACTERS_MAX = 255
_DEFINITE = frozenset({400, 413, 422})  # not 404: a model that is missing now may be there in an hour
_MS_PER_HOUR = 3_600_000


def token_of(headers: "CIMultiDictProxy[str]", *, stream: bool) -> str | None:
    """The Idempotency-Key of a request; None when it has none. Raises OtariError(INVALID) for one that is unusable."""
    values = headers.getall(HEADER, ())
    if not values:
        return None
    if len(values) > 1:
        raise _unusable(f"The header {HEADER} stands {len(values)} times: send it once")
    token = values[0]
    if not 1 <= len(token) <= _CHARACTERS_MAX or not (token.isascii() and token.isprintable()):
        raise _unusable(f"{HEADER} must be 1 to {_CHARACTERS_MAX} printable ASCII characters")
    if stream:
        raise _unusable(f"A stream can not be given again: leave out {HEADER}, or set 'stream' to false")
    return token


def scope_of(caller: Principal, named_user: str | None) -> str | None:
    """Whose tokens they are: those of the key, or of the user whom the master key names. None when it names nobody."""
    if caller.key_id is not None:
        return f"key:{caller.key_id}"
    user_id = caller.user_id or named_user
    return None if user_id is None else f"user:{user_id}"


class Replays:
    """Sees to it that a request is charged once."""

    def __init__(self, db: Database, kept_hours: int, now_ms: Callable[[], int]) -> None:
        self._db = db
        self._kept_ms = kept_hours * _MS_PER_HOUR
        self._now_ms = now_ms
        self._running: dict[tuple[str, str], bytes] = {}  # what is being carried out, and its fingerprint

    async def once(self, mine: Claim, shape: Shape, talk: Talk, headers: Mapping[str, str]) -> web.StreamResponse:
        """The whole answer of `talk`, or the one that was given before. `headers` go with it.

        Errors that are kept have the `shape` of the route. Raises OtariError: what `talk` raises; CONFLICT while the
        first request is under way or when its answer is not there, UNPROCESSABLE when the token stands for another
        request, UNAVAILABLE.
        """
        place = (mine.scope, mine.token)
        running = self._running.get(place)
        if running is not None:
            raise _under_way() if running == mine.fingerprint else _another_request()
        self._running[place] = mine.fingerprint
        try:
            now_ms = self._now_ms()
            found = await self._db.write(lambda conn: replays.claim(conn, mine, now_ms, self._kept_ms))
            if found is not None:
                return _again(found, mine.request_id, headers)
            body = await self._carry_out(mine, shape, talk)
            headers = {**headers, **talk.headers()}
            if not await self._save(mine, 200, body):
                headers = {**headers, "Idempotent-Saved": "false"}
            return reply.json_bytes(body, mine.request_id, extra=headers)
        finally:
            # A request that was cut off is not cleared up: its usage row says what the next one may do, and whatever
            # it still has to write stands in the queue before the next one's claim.
            del self._running[place]

    async def _carry_out(self, mine: Claim, shape: Shape, talk: Talk) -> bytes:
        try:
            return await talk.whole()
        except OtariError as error:
            status, body = error.status, orjson.dumps(reply.error_doc(shape, error))
            if talk.admitted and _is_definite(error):
                await self._save(mine, status, body)
            else:
                with contextlib.suppress(OtariError):  # then the usage row tells the next request what it may do
                    await self._db.write(lambda conn: replays.save_if_charged(conn, mine, status, body))
            raise
        except asyncio.CancelledError:
            if talk.answer is not None:  # it is charged; queued behind the charge, whether somebody waits or not
                self._queue(mine, 200, talk.answer)
            raise

    async def _save(self, mine: Claim, status: int, body: bytes) -> bool:
        """Keep an answer; False when it can not be: the client has it anyway, only a repeat will not."""
        queued = self._queue(mine, status, body)
        if queued is None:
            return False
        await asyncio.wait({queued})
        return queued.exception() is None

    def _queue(self, mine: Claim, status: int, body: bytes) -> "asyncio.Future[None] | None":
        """Have an answer written; None for one that is too large to be kept."""
        if len(body) > SAVED_MAX_BYTES:
            return None
        queued = self._db.write(lambda conn: replays.save(conn, mine, status, body))
        queued.add_done_callback(lambda done: _tell_of_loss(done, mine))
        return queued


def _tell_of_loss(done: "asyncio.Future[None]", mine: Claim) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("an answer was not kept for repeats: %s, request %s", error, mine.request_id)


def _is_definite(error: OtariError) -> bool:
    """Whether the same request would be refused with the same words again, whenever it came."""
    return error.status in _DEFINITE and error.upstream_status in (None, *_DEFINITE)


def _again(found: Saved | Unanswered | OtherRequest, request_id: str, headers: Mapping[str, str]) -> web.StreamResponse:
    """What a repeat is told."""
    match found:
        case OtherRequest():
            raise _another_request()
        case Unanswered(first, state):
            raise _under_way() if state == "open" else _unanswered(first, state)
        case Saved(first, status, body):
            told = {**headers, "Idempotent-Replayed": "true", "Otari-Original-Request-ID": first}
            return reply.json_bytes(body, request_id, status=status, extra=told)


def _unusable(message: str) -> OtariError:
    return invalid(message, param=HEADER, code="idempotency_key_invalid")


def _under_way() -> OtariError:
    return OtariError(
        Kind.CONFLICT,
        f"The first request with this {HEADER} is under way: ask again in a moment",
        param=HEADER,
        code="idempotency_in_flight",
        retry_after=1.0,
    )


def _another_request() -> OtariError:
    return OtariError(
        Kind.UNPROCESSABLE,
        f"This {HEADER} was used for a different request: use a new one",
        param=HEADER,
        code="idempotency_key_reused",
    )


def _unanswered(first: str, state: str) -> OtariError:
    if state == "recovered":
        told = f"The gateway stopped while the first request with this {HEADER} was under way: outcome unknown"
    else:
        told = f"The first request with this {HEADER} was carried out, but its answer was cut off or not kept"
    return OtariError(
        Kind.CONFLICT,
        f"{told}, see usage row {first}. Asking again with a new one may cost again",
        param=HEADER,
        code="idempotency_outcome_unknown",
    )
