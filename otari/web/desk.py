"""`/stub/…`: what tests ask a run with a scripted provider, and tell it. Served only in such a run, or when enabled."""

from collections.abc import Sequence
from typing import Any, Protocol

import orjson
from aiohttp import web

from otari.domain.access import Access
from otari.domain.arrival import DEFAULT_SESSION, arrival, session_name
from otari.domain.chat import Doc
from otari.domain.errors import Kind, invalid
from otari.web import accounts, reply
from otari.web.guard import Route
from otari.web.visit import Visit, read_json

WAIT_S = 5.0
_MOST_CALLS = 1_000_000
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}


class Desk(Protocol):
    """Where the answers come from. A session None is all of them."""

    def journal(self, session: str | None) -> Doc: ...

    def unused(self) -> Doc: ...

    async def wait(self, session: str, calls: int, timeout_s: float) -> Doc:
        """Raises OtariError(REQUEST_TIMEOUT)."""
        ...

    def verify(self, session: str | None, doc: object) -> Doc:
        """Raises OtariError(INVALID)."""
        ...

    def add_rules(self, session: str, doc: object) -> Doc:
        """Raises OtariError(INVALID)."""
        ...

    def add_faults(self, session: str, doc: object) -> Doc:
        """Raises OtariError(INVALID)."""
        ...

    def forget(self, session: str | None) -> None: ...


DESK: web.AppKey[Desk] = web.AppKey("desk")


def desk_routes(access: Access) -> Sequence[Route]:
    """The rows for the route table; whoever has `access` may ask and tell."""
    answer = dict[str, Any]
    return (
        Route("GET", "/stub/journal", get_journal, access, "What was asked of the stub", tag="stub", answer=answer),
        Route(
            *("GET", "/stub/wait", get_wait, access, "Wait until a session has had so many calls"),
            tag="stub",
            answer=answer,
            statuses=(408,),
        ),
        Route("GET", "/stub/unused", get_unused, access, "Rules that nobody has needed", tag="stub", answer=answer),
        Route(
            *("POST", "/stub/verify", post_verify, access, "Hold the journal against what is expected"),
            tag="stub",
            body=answer,
            answer=answer,
            statuses=(409,),
        ),
        Route(
            *("POST", "/stub/rules", post_rules, access, "Put rules in front, for one session"),
            tag="stub",
            body=answer,
            answer=answer,
        ),
        Route(
            *("POST", "/stub/faults", post_faults, access, "Put faults in front, for one session"),
            tag="stub",
            body=answer,
            answer=answer,
        ),
        Route("DELETE", "/stub/sessions", delete_sessions, access, "Forget all sessions", tag="stub", statuses=(204,)),
        Route(
            *("DELETE", "/stub/sessions/{session:.+}", delete_session, access, "Forget a session"),
            tag="stub",
            statuses=(204,),
        ),
    )


async def get_journal(visit: Visit) -> web.StreamResponse:
    """What was asked, of the session in the query or of all."""
    return reply.as_json(_desk(visit).journal(_asked(visit)), visit.request_id)


async def get_unused(visit: Visit) -> web.StreamResponse:
    """The rules and faults of the script that have not been used by anybody."""
    return reply.as_json(_desk(visit).unused(), visit.request_id)


async def get_wait(visit: Visit) -> web.StreamResponse:
    """200 when the session has had `count` calls, 408 when `timeout` is over before."""
    count, timeout = visit.request.query.get("count", "1"), visit.request.query.get("timeout", f"{WAIT_S:g}s")
    if not (count.isascii() and count.isdigit() and int(count) <= _MOST_CALLS):
        raise invalid("count must be a whole number", param="count")
    return reply.as_json(await _desk(visit).wait(_named(visit), int(count), _seconds(timeout)), visit.request_id)


async def post_verify(visit: Visit) -> web.StreamResponse:
    """200 when everything that is expected was seen, 409 with the details when it was not."""
    told = _desk(visit).verify(_asked(visit), await _document(visit))
    if told["met"]:
        return reply.as_json(told, visit.request_id)
    unmet = [f"{each['expected']}: seen {each['seen']}" for each in told["expected"] if not each["met"]]
    message = f"Not as expected: {'; '.join(unmet)}"
    error = {"message": message, "type": Kind.CONFLICT.value, "param": None, "code": "stub_unmet"}
    return reply.as_json({**told, "detail": message, "error": error}, visit.request_id, status=409)


async def post_rules(visit: Visit) -> web.StreamResponse:
    """Rules for one session, in front of those of the script."""
    return reply.as_json(_desk(visit).add_rules(_named(visit), await _document(visit)), visit.request_id)


async def post_faults(visit: Visit) -> web.StreamResponse:
    """Faults for one session, in front of those of the script."""
    return reply.as_json(_desk(visit).add_faults(_named(visit), await _document(visit)), visit.request_id)


async def delete_sessions(visit: Visit) -> web.StreamResponse:
    """Forget all sessions: journals, counters, rules and faults of their own."""
    _desk(visit).forget(None)
    return accounts.removed(visit)


async def delete_session(visit: Visit) -> web.StreamResponse:
    """Forget one session; it does no harm when there is none."""
    _desk(visit).forget(session_name(visit.request.match_info["session"]))
    return accounts.removed(visit)


def _desk(visit: Visit) -> Desk:
    return visit.request.app[DESK]


def _asked(visit: Visit) -> str | None:
    """The session in the query; None when none is named."""
    name = visit.request.query.get("session", "")
    return session_name(name) if name else None


def _named(visit: Visit) -> str:
    """The session in the query, else the caller's own."""
    came = arrival()
    return _asked(visit) or (DEFAULT_SESSION if came is None else came.session)


async def _document(visit: Visit) -> object:
    try:
        doc: object = orjson.loads(await read_json(visit))
    except orjson.JSONDecodeError:
        raise invalid("The request body is not valid JSON", code="invalid_json") from None
    return doc


def _seconds(text: str) -> float:
    """`5s`, `300ms`, `1m`, or a number of seconds."""
    unit = next(unit for unit in _UNITS_S if text.endswith(unit))
    number = text.removesuffix(unit) if unit else text
    try:
        seconds = float(number) * _UNITS_S[unit]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 300:
        raise invalid("timeout must be a duration of at most 5m, such as 5s or 300ms", param="timeout")
    return seconds
