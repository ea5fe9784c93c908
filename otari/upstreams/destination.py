"""Where the requests to one provider go: address, head, time-outs and the connections they share.

All that is the same in every request is made once; a call adds its id and the length of its body.
"""

import re
from typing import NamedTuple
from urllib.parse import quote

import aiohttp
from yarl import URL

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.upstreams.connections import Address, Connections, address_of

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream"
REQUEST_ID = "X-Request-Id"

# By dialect for what is asked in conversations, else by operation. Where a path names the model, a second one is for
# streams.
_DEFAULT_PATHS = {
    "openai-chat": "/chat/completions",
    "anthropic-messages": "/messages",
    "openai-responses": "/responses",
    "gemini": "/models/{model}:generateContent",
    "embeddings": "/embeddings",
    "moderations": "/moderations",
    "rerank": "/rerank",
    "images": "/images/generations",
    "transcriptions": "/audio/transcriptions",
    "speech": "/audio/speech",
}
_FORMS = frozenset({"transcriptions"})  # whose Content-Type names a boundary, so that every call tells its own
_ANYTHING = frozenset({"transcriptions", "speech"})  # whose answers are of many types
_STREAM_PATHS = {":generateContent": ":streamGenerateContent?alt=sse"}
# Anthropic demands a version; what a client of its own dialect says goes before.
_VERSIONED, VERSION = "anthropic-messages", ("anthropic-version", "2023-06-01")
_MODELS_MAX = 256  # clients choose the names of models: what is remembered of them must be bounded
# Named by every request itself: what the operator configures under these names would be sent twice.
_OURS = frozenset({REQUEST_ID.lower(), "host", "content-length", "transfer-encoding", "connection"})
_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


class Target(NamedTuple):
    """One operation of a provider: where to connect, and the request's head up to the id and the length.

    `own` are headers that the client's own of the same name replace.
    """

    address: Address
    head: bytes
    stream_head: bytes
    own: tuple[tuple[str, str], ...] = ()


class Destination:
    """One provider as its configuration describes it. Raises OtariError(UPSTREAM) when that can not be right."""

    __slots__ = ("_agent", "_attempt", "_key", "_targets", "connections", "send_s", "times")

    def __init__(self, attempt: Attempt, agent: str, connections: Connections | None) -> None:
        self._key = _key(attempt)
        self._attempt = attempt
        self._agent = agent
        self._targets: dict[tuple[str, str | None], Target] = {}
        self.times = attempt.timeouts
        # For a large body and the wait for its answer.
        self.send_s = self.times.connect_s + 2 * self.times.silence_s
        self.connections = connections or Connections(public_only=attempt.public_only)

    def serves(self, attempt: Attempt) -> bool:
        """Whether this was made from the same configuration as `attempt` (its model does not matter)."""
        return self._key == _key(attempt)

    def target(self, operation: str, model: str) -> Target:
        """Where and how an operation (of a conversation: a dialect) is asked for.

        Raises OtariError(INVALID) when the provider does not offer it.
        """
        path = self._attempt.paths.get(operation) or _DEFAULT_PATHS.get(operation)
        key = (operation, model if path is not None and "{model}" in path else None)
        found = self._targets.get(key)
        if found is None:
            if len(self._targets) >= _MODELS_MAX:
                self._targets.clear()
            found = self._targets[key] = self._make_target(operation, path, model)
        return found

    def errand(self, method: str, path: str, dialect: str) -> Target:
        """Where something else is asked for than an operation: `path` follows the address. Made for one request.

        `dialect` says which of the provider's ways to carry the key is taken, and what else it demands in its headers.
        """
        attempt = self._attempt
        url = _url(attempt, dialect, path, "")
        head = _head(url, _headers(attempt, attempt.auths.get(dialect, attempt.auth), self._agent, "*/*", url, None))
        head = head if method == "POST" else head.replace(b"POST", method.encode(), 1)
        return Target(address_of(url), head, head, (VERSION,) if dialect == _VERSIONED else ())

    def _make_target(self, operation: str, path: str | None, model: str) -> Target:
        attempt, agent = self._attempt, self._agent
        url = _url(attempt, operation, path, model)
        stream_url = _url(attempt, operation, _stream_path(path), model)
        auth = attempt.auths.get(operation, attempt.auth)
        content_type = None if operation in _FORMS else JSON_TYPE
        accept = "*/*" if operation in _ANYTHING else JSON_TYPE
        return Target(
            address_of(url),
            _head(url, _headers(attempt, auth, agent, accept, url, content_type)),
            _head(stream_url, _headers(attempt, auth, agent, STREAM_TYPE, stream_url, content_type)),
            (VERSION,) if operation == _VERSIONED else (),
        )


def _stream_path(path: str | None) -> str | None:
    """The path for a stream: the same, but for APIs that have two methods."""
    for method, streaming in _STREAM_PATHS.items():
        if path is not None and path.endswith(method):
            return path.removesuffix(method) + streaming
    return path


def _url(attempt: Attempt, operation: str, path: str | None, model: str) -> URL:
    if path is None:
        raise OtariError(
            Kind.INVALID,
            f"Provider '{attempt.provider}' does not offer '{operation}'",
            param="model",
            code="unsupported_operation",
            retryable=True,
        )
    try:
        url = URL(attempt.base_url.rstrip("/") + path.replace("{model}", quote(model, safe="")))
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
    auth = (attempt.secret, attempt.auth, attempt.auths)
    return (attempt.base_url, *auth, attempt.paths, attempt.headers, attempt.timeouts)


def _headers(
    attempt: Attempt, auth: str, agent: str, accept: str, url: URL, content_type: str | None
) -> dict[str, str]:
    """The headers of every request to a provider; nothing of the client's own request is among them."""
    headers = {
        **({} if content_type is None else {"Content-Type": content_type}),
        "Accept": accept,
        "Accept-Encoding": "identity",
        "User-Agent": agent,
    }
    if url.user is not None:
        if attempt.secret and auth == "bearer":
            raise _misconfigured(attempt, "its base_url holds a user name, but a key is sent too; drop one")
        headers["Authorization"] = aiohttp.encode_basic_auth(url.user, url.password or "", "utf-8")
    if attempt.secret and auth != "none":
        value = attempt.secret.reveal()
        if auth == "bearer":
            headers["Authorization"] = f"Bearer {value}"
        elif auth in _KEY_HEADERS:
            headers[auth] = value
        else:
            raise _misconfigured(attempt, f"auth '{auth}' is none of bearer, {', '.join(_KEY_HEADERS)}, none")
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
