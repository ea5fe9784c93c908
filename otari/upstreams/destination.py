"""Where the requests to one provider go: address, headers, time-outs and the session they share.

All that is the same in every request is made once; a call adds only its id.
"""

import re

import aiohttp
from yarl import URL

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.upstreams.connections import new_session

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream"
REQUEST_ID = "X-Request-Id"  # to be set in every request

_DEFAULT_PATHS = {"chat": "/chat/completions"}
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


class Destination:
    """One provider as its configuration describes it. Raises OtariError(UPSTREAM) when that can not be right."""

    __slots__ = ("_base_url", "_key", "_urls", "headers", "send_s", "session", "stream_headers", "timeout")

    def __init__(self, attempt: Attempt, agent: str, session: aiohttp.ClientSession | None) -> None:
        self._key = _key(attempt)
        self._base_url = attempt.base_url.rstrip("/")
        self._urls: dict[str, URL] = {}
        self.headers = _headers(attempt, agent, JSON_TYPE)
        self.stream_headers = _headers(attempt, agent, STREAM_TYPE)
        times = attempt.timeouts
        # `connect` also covers the name look-up, which `sock_connect` leaves out.
        self.timeout = aiohttp.ClientTimeout(
            total=None, connect=times.connect_s, sock_connect=times.connect_s, sock_read=times.silence_s
        )
        self.send_s = times.connect_s + 2 * times.silence_s  # for a large body and the wait for its answer
        self.session = session or new_session()

    def serves(self, attempt: Attempt) -> bool:
        """Whether this was made from the same configuration as `attempt` (its model does not matter)."""
        return self._key == _key(attempt)

    def url(self, attempt: Attempt, operation: str) -> URL:
        """The address of an operation. Raises OtariError(INVALID) when the provider does not offer it."""
        url = self._urls.get(operation)
        if url is None:
            url = self._urls[operation] = self._make_url(attempt, operation)
        return url

    def _make_url(self, attempt: Attempt, operation: str) -> URL:
        path = attempt.paths.get(operation) or _DEFAULT_PATHS.get(operation)
        if path is None:
            raise OtariError(
                Kind.INVALID,
                f"Provider '{attempt.provider}' does not offer '{operation}'",
                param="model",
                code="unsupported_operation",
                retryable=True,
            )
        try:
            url = URL(self._base_url + path)
        except ValueError:
            raise _misconfigured(attempt, "its base_url is not a valid address") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise _misconfigured(attempt, "its base_url must begin with http:// or https:// and name a host")
        if url.raw_user is not None and "Authorization" in self.headers:
            raise _misconfigured(attempt, "its base_url holds a user name, but a key is sent too; drop one")
        return url


def _key(attempt: Attempt) -> tuple[object, ...]:
    return (attempt.base_url, attempt.secret, attempt.auth, attempt.paths, attempt.headers, attempt.timeouts)


def _headers(attempt: Attempt, agent: str, accept: str) -> dict[str, str]:
    """The headers of every request to a provider; nothing of the client's own request is among them."""
    headers = {
        "Content-Type": JSON_TYPE,
        "Accept": accept,
        "Accept-Encoding": "identity",
        "User-Agent": agent,
        REQUEST_ID: "",
    }
    if attempt.secret and attempt.auth != "none":
        value = attempt.secret.reveal()
        if attempt.auth == "bearer":
            headers["Authorization"] = f"Bearer {value}"
        elif attempt.auth in ("x-api-key", "api-key"):
            headers[attempt.auth] = value
        else:
            raise _misconfigured(attempt, f"auth '{attempt.auth}' is none of bearer, x-api-key, api-key, none")
    for name, secret in attempt.headers:
        same = next((known for known in headers if known.lower() == name.lower()), name)
        headers[same] = secret.reveal()
    for name, value in headers.items():
        if not _FIELD_NAME.fullmatch(name):
            raise _misconfigured(attempt, "the name of one of its headers is not valid")
        if not value.isprintable():
            raise _misconfigured(attempt, f"its key or its header '{name}' holds a line break or the like")
    return headers


def _misconfigured(attempt: Attempt, why: str) -> OtariError:
    return OtariError(
        Kind.UPSTREAM,
        f"Provider '{attempt.provider}' is misconfigured in the gateway",
        code="upstream_unreachable",
        retryable=True,
        detail=f"provider {attempt.provider}: {why}",
    )
