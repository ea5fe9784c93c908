"""The door of a run with a scripted provider: notes how each request came in before anybody looks at it.

A client names its session in a header, in front of the path, or in its key; so whatever client it is, there is a way.
Nothing of this is there when no scripted provider is.
"""

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import unquote

from aiohttp import web

from otari.domain.arrival import DEFAULT_SESSION, SESSION_KEY, Arrival, note_arrival, session_name
from otari.domain.errors import OtariError
from otari.domain.secret import Secret
from otari.web import auth
from otari.web.damage import Breaker
from otari.web.server import Answering

SESSION_HEADER = "X-Stub-Session"
SESSION_PATH = "/s/"

Hearing = Callable[[Arrival, int], object]


class Arrivals:
    """Wraps what answers requests. `places` says where the name of a session is looked for, in this order.

    `on_answered` hears every request and the status of its answer.
    """

    def __init__(self, places: Sequence[str], on_answered: Hearing | None = None) -> None:
        self._places = tuple(places)
        self._on_answered = on_answered
        self._breaker = Breaker()

    def noting(self, answer: Answering) -> Answering:
        """`answer`, with every request noted before."""

        async def noted(request: web.Request) -> web.StreamResponse:
            came, request = self._arrival(request)
            came.damage = partial(self._breaker.damage, request)
            note_arrival(came)
            response = await answer(request)
            if self._on_answered is not None:
                self._on_answered(came, response.status)
            return response

        return noted

    async def close(self, app: web.Application | None = None) -> None:
        """End the connections that were left hanging."""
        self._breaker.close()

    def _arrival(self, request: web.Request) -> tuple[Arrival, web.Request]:
        """How a request came in, and the request without the session in front of its path."""
        path, in_path = request.path, ""
        if path.startswith(SESSION_PATH) and "path" in self._places:
            name, slash, rest = request.rel_url.raw_path[len(SESSION_PATH) :].partition("/")
            if slash:
                in_path, query = unquote(name), request.rel_url.raw_query_string
                target = f"/{rest}?{query}" if query else f"/{rest}"
                request = request.clone(rel_url=target)
                path = request.path
        key = _key(request)
        names = {
            "header": request.headers.get(SESSION_HEADER, ""),
            "path": in_path,
            "key": key[len(SESSION_KEY) :] if key.startswith(SESSION_KEY) else "",
        }
        session = next((names[place] for place in self._places if names[place]), DEFAULT_SESSION)
        return Arrival(session_name(session), request.method, path, request.headers, Secret(key)), request


def _key(request: web.Request) -> str:
    try:
        credential = auth.credential(request.headers)
    except OtariError:  # the route says what is wrong with it
        return ""
    return "" if credential is None or credential.token is None else credential.token.reveal()
