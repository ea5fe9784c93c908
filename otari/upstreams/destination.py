"""Where the requests to one provider go: address, head, time-outs and the connections they share.

All that is the same in every request is made once; a call adds its id and the length of its body.
"""

import re
from typing import NamedTuple

import aiohttp
from yarl import URL

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.upstreams.connections import Address, Connections, address_of

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream"
REQUEST_ID = "X-Request-Id"

_DEFAULT_PATHS = {"chat": "/chat/completions"}
# Named by every request itself: what the operator configures under these names would be sent twice.
_OURS = frozenset({REQUEST_ID.lower(), "host", "content-length", "transfer-encoding", "connection"})
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


class Target(NamedTuple):
    """One operation of a provider: where to connect, and the request's head up to the id and the length."""

    address: Address
    head: bytes
    stream_head: bytes


class Destination:
    """One provider as its configuration describes it. Raises OtariError(UPSTREAM) when that can not be right."""

    __slots__ = ("_agent", "_attempt", "_key", "_targets", "connections", "send_s", "times")

    def __init__(self, attempt: Attempt, agent: str, connections: Connections | None) -> None:
        self._key = _key(attempt)
        self._attempt = attempt
        self._agent = agent
        self._targets: dict[str, Target] = {}
        self.times = attempt.timeouts
        # For a large body and the wait for its answer.
        self.send_s = self.times.connect_s + 2 * self.times.silence_s
        self.connections = connections or Connections()

    def serves(self, attempt: Attempt) -> bool:
        """Whether this was made from the same configuration as `attempt` (its model does not matter)."""
        return self._key == _key(attempt)

    def target(self, operation: str) -> Target:
        """Where and how an operation is asked for. Raises OtariError(INVALID) when the provider does not offer it."""
        found = self._targets.get(operation)
        if found is None:
            found = self._targets[operation] = self._make_target(operation)
        return found

    def _make_target(self, operation: str) -> Target:
        attempt = self._attempt
        url = _url(attempt, operation)
        return Target(
            address_of(url),
            _head(url, _headers(attempt, self._agent, JSON_TYPE, url)),
            _head(url, _headers(attempt, self._agent, STREAM_TYPE, url)),
        )


def _url(attempt: Attempt, operation: str) -> URL:
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
        url = URL(attempt.base_url.rstrip("/") + path)
    except ValueError:
        raise _misconfigured(attempt, "its base_url is not a valid address") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise _misconfigured(attempt, "its base_url must begin with http:// or https:// and name a host")
    return url


def _head(url: URL, headers: dict[str, str]) -> bytes:
    """The head of a request up to the name of its last but one header, whose value is the request's id."""
    lines = [f"POST {url.raw_path_qs} HTTP/1.1", f"Host: {_authority(url)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + f"\r\n{REQUEST_ID}: ").encode("latin-1")


def _authority(url: URL) -> str:
    """Host, and port where it is not the scheme's own. RFC 9110, 7.2."""
    return url.host_port_subcomponent or ""


def _key(attempt: Attempt) -> tuple[object, ...]:
    return (attempt.base_url, attempt.secret, attempt.auth, attempt.paths, attempt.headers, attempt.timeouts)


def _headers(attempt: Attempt, agent: str, accept: str, url: URL) -> dict[str, str]:
    """The headers of every request to a provider; nothing of the client's own request is among them."""
    headers = {
        "Content-Type": JSON_TYPE,
        "Accept": accept,
        "Accept-Encoding": "identity",
        "User-Agent": agent,
    }
    if url.user is not None:
        if attempt.secret and attempt.auth == "bearer":
            raise _misconfigured(attempt, "its base_url holds a user name, but a key is sent too; drop one")
        headers["Authorization"] = aiohttp.encode_basic_auth(url.user, url.password or "", "utf-8")
    if attempt.secret and attempt.auth != "none":
        value = attempt.secret.reveal()
        if attempt.auth == "bearer":
            headers["Authorization"] = f"Bearer {value}"
        elif attempt.auth in ("x-api-key", "api-key"):
            headers[attempt.auth] = value
        else:
            raise _misconfigured(attempt, f"auth '{attempt.auth}' is none of bearer, x-api-key, api-key, none")
    for name, secret in attempt.headers:
        if name.lower() in _OURS:
            continue
        same = next((known for known in headers if known.lower() == name.lower()), name)
        headers[same] = secret.reveal()
    for name, value in headers.items():
        if not _FIELD_NAME.fullmatch(name):
            raise _misconfigured(attempt, "the name of one of its headers is not valid")
        if not value.isprintable() or not _latin(value):
            raise _misconfigured(attempt, f"its key or its header '{name}' holds a line break or the like")
    return headers


def _latin(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _misconfigured(attempt: Attempt, why: str) -> OtariError:
    return OtariError(
        Kind.UPSTREAM,
        f"Provider '{attempt.provider}' is misconfigured in the gateway",
        code="upstream_unreachable",
        retryable=True,
        detail=f"provider {attempt.provider}: {why}",
    )
