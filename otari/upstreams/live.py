"""HTTP to real providers: one request and its answer. What failures mean is in `failures.py`, refusals in `status.py`.

This file must not know what is inside a body. The one exception is an error body, whose words are read by the
reader of its dialect, given by the composition root.

No request is sent twice from here. A provider that took the request and broke the connection may have worked
for us, and nothing on the wire tells that apart from an idle connection that it closed at the same moment. What
can be known is whether it had closed the connection *before* we send; that is looked at in `connections.py`. All
else is a retryable error, and whether another provider is asked is the caller's decision.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, Call, UpstreamReply
from otari.domain.redaction import Redactor
from otari.domain.retry_after import delay_in, retry_after_s
from otari.upstreams.destination import JSON_TYPE, STREAM_TYPE, Destination, Target
from otari.upstreams.failures import Failure, broken_off, told, too_large, unanswered, wrong_format
from otari.upstreams.status import refused
from otari.upstreams.wire import Answer, ask

ERROR_BODY_LIMIT = 64 * 1024  # bytes that are read of an error body
ERROR_WORDS_LIMIT = 8 * 1024  # bytes of it that are looked at
ERROR_BODY_S = 10.0  # seconds that may pass while it is read
BODY_LIMIT = 64 * 1024 * 1024  # bytes of a whole answer

# A body up to this size is in the hands of the kernel at once. A larger one may wait for a provider that does
# not read, and aiohttp's read time-out begins only after the last byte was written.
_BUFFERED_BELOW = 64 * 1024

_WEB_PAGE = "text/html"  # no API answers one; it is what a login or an error page is

ErrorReader = Callable[[bytes], str]


class LiveUpstream:
    """Answers calls by asking the provider over HTTP.

    `read_error` maps the name of a dialect to the reader of its error bodies. `redactor` learns every secret
    that is used and cleans what providers say. `version` goes into the User-Agent. `now` is the wall clock in
    epoch seconds, for `Retry-After` dates.
    """

    def __init__(
        self,
        read_error: Mapping[str, ErrorReader],
        redactor: Redactor,
        version: str,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._read_error = read_error
        self._redactor = redactor
        self._agent = f"otari/{version}"
        self._now = now
        self._destinations: dict[tuple[str, bool], Destination] = {}
        self._closed = False

    def send(self, attempt: Attempt, call: Call) -> AbstractAsyncContextManager[UpstreamReply]:
        """See `Upstream.send`.

        The `code` of an error tells more than its kind: "upstream_unreachable" says that the provider can not
        have seen the request, "upstream_disconnected" and "upstream_timeout" that it may have.
        """
        return _Exchange(self, attempt, call)

    def errand(
        self, attempt: Attempt, call: Call, method: str, path: str
    ) -> AbstractAsyncContextManager[UpstreamReply]:
        """Send `call` to another path than its operation has, as with a provider's files and batches.

        `path` follows the provider's address. Raises as `send` does.
        """
        return _Errand(self, attempt, call, method, path)

    async def close(self) -> None:
        """Close all connections: answers that are under way break off, later calls raise OtariError(UNAVAILABLE)."""
        self._closed = True
        destinations, self._destinations = self._destinations, {}
        for destination in destinations.values():
            await destination.connections.close()

    def destination(self, attempt: Attempt) -> Destination:
        """Where `attempt` goes; made anew only when the provider's address, secret or headers have changed."""
        place = (attempt.provider, attempt.public_only)  # connections of the two kinds are never mixed
        found = self._destinations.get(place)
        if found is not None and found.serves(attempt):
            return found
        if self._closed:
            raise OtariError(Kind.UNAVAILABLE, "The gateway is shutting down", code="shutting_down")
        made = Destination(attempt, self._agent, found.connections if found else None)
        self._destinations[place] = made
        return made

    def clean(self, attempt: Attempt, text: str) -> str:
        """`text` without secrets. This attempt's own are learnt anew: those of others may have displaced them."""
        for secret in (attempt.secret, *(value for _, value in attempt.headers)):
            if secret is not None:
                self._redactor.learn(secret)
        return self._redactor.clean(text)

    async def refusal(self, attempt: Attempt, call: Call, answer: Answer) -> OtariError:
        """What an answer that is not 2xx means."""
        body = await _beginning(answer)
        reader = self._read_error.get(call.dialect)
        message = reader(body)[:ERROR_WORDS_LIMIT] if reader else ""
        text = body[:ERROR_WORDS_LIMIT].decode("utf-8", "replace")
        if 300 <= answer.status < 400:
            text = f"Location: {answer.headers.get('Location', '')[:ERROR_WORDS_LIMIT]}"
        return refused(
            answer.status,
            self.clean(attempt, message),
            provider=attempt.provider,
            retry_after=self._retry_after(answer.headers) or delay_in(body),
            text=self.clean(attempt, text),
        )

    def _retry_after(self, headers: Mapping[str, str]) -> float | None:
        milliseconds = retry_after_s(headers.get("retry-after-ms"), now=0.0)  # OpenAI's finer form of it
        if milliseconds is not None:
            return milliseconds / 1000
        return retry_after_s(headers.get("Retry-After"), now=self._now())


class _Exchange:
    """One request and its answer: the context manager and the reply in one, since it is made for every call."""

    __slots__ = ("_answer", "_attempt", "_call", "_live", "content_type", "headers", "status")

    _answer: Answer
    content_type: str
    headers: Mapping[str, str]
    status: int

    def __init__(self, live: LiveUpstream, attempt: Attempt, call: Call) -> None:
        self._live = live
        self._attempt = attempt
        self._call = call

    async def __aenter__(self) -> "_Exchange":
        destination = self._live.destination(self._attempt)
        target = self._target(destination)
        try:
            answer = await self._post(destination, target)
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as problem:
            raise self._error(unanswered(self._attempt, problem), told(problem)) from None
        try:
            if not 200 <= answer.status < 300:
                raise await self._live.refusal(self._attempt, self._call, answer)
            self._accept(answer)
        except BaseException:
            answer.drop()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._answer.drop()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, cut anywhere, never empty. Raises OtariError(UPSTREAM | UPSTREAM_TIMEOUT)."""
        readany = self._answer.content.readany
        try:
            while chunk := await readany():
                yield chunk
        except (aiohttp.ClientError, HttpProcessingError, OSError) as problem:
            raise self._error(broken_off(self._attempt, problem), told(problem)) from None

    async def read(self) -> bytes:
        """The whole body. Raises like `chunks`, and OtariError(UPSTREAM) when it is larger than 64 MiB."""
        content = self._answer.content
        if content.is_eof() and content.exception() is None and content.total_bytes <= BODY_LIMIT:
            return content.read_nowait()  # all here already, as short answers mostly are
        readany = content.readany
        parts, size = [], 0
        try:
            while chunk := await readany():
                parts.append(chunk)
                size += len(chunk)
                if size > BODY_LIMIT:
                    raise self._error(too_large(self._attempt, BODY_LIMIT))
        except (aiohttp.ClientError, HttpProcessingError, OSError) as problem:
            raise self._error(broken_off(self._attempt, problem), told(problem)) from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _target(self, destination: Destination) -> Target:
        """Where this call goes. Raises OtariError(INVALID) when the provider does not offer it."""
        call = self._call
        return destination.target(call.dialect if call.operation == "chat" else call.operation, self._attempt.model)

    async def _post(self, destination: Destination, target: Target) -> Answer:
        call = self._call
        prefix = target.stream_head if call.stream else target.head
        body = call.body
        size = len(body) if isinstance(body, bytes) else body.size
        lines = f"{call.request_id}\r\n{self._length(size)}{_own_lines(target, call)}\r\n"
        head = prefix + lines.encode("ascii")
        asking = ask(destination.connections, target.address, head, body, destination.times)
        if size <= _BUFFERED_BELOW:
            return await asking
        async with asyncio.timeout(destination.send_s):
            return await asking

    def _length(self, size: int) -> str:
        """The header line that tells how long the body is."""
        return f"Content-Length: {size}\r\n"

    def _accept(self, answer: Answer) -> None:
        """Take a 2xx answer. Raises OtariError(UPSTREAM) for what no API sends, such as a web page."""
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers
        raw = answer.headers.get("Content-Type", "")
        kind = raw if raw in (JSON_TYPE, STREAM_TYPE) else raw.partition(";")[0].strip().lower()
        self.content_type = kind
        if kind == JSON_TYPE or (kind == STREAM_TYPE and self._call.stream):
            return
        if not self._call.stream and (not kind or kind.endswith("+json")):
            return
        if kind != _WEB_PAGE and any(kind.startswith(taken) for taken in self._call.takes):
            return
        name = self._attempt.provider
        detail = f"status {self.status} with content type {kind[:80]!r}; check the base_url of {name}"
        raise self._error(wrong_format(self._attempt), detail)

    def _error(self, failure: Failure, detail: str = "") -> OtariError:
        """`detail` is for the operator; whatever is wrong here, another provider may do better."""
        if detail:
            detail = self._live.clean(self._attempt, f"{self._attempt.provider}: {detail}")
        return OtariError(
            failure.kind,
            failure.words,
            code=failure.code,
            retryable=True,
            upstream_status=getattr(self, "status", None),
            detail=detail or None,
        )


class _Errand(_Exchange):
    """A call that goes to a path of its own, by a method of its own."""

    __slots__ = ("_method", "_path")

    def __init__(self, live: LiveUpstream, attempt: Attempt, call: Call, method: str, path: str) -> None:
        super().__init__(live, attempt, call)
        self._method = method
        self._path = path

    def _target(self, destination: Destination) -> Target:
        return destination.errand(self._method, self._path, self._call.dialect)

    def _length(self, size: int) -> str:
        return "" if self._method == "GET" else super()._length(size)  # it has no body to tell of (RFC 9110, 8.6)


def _own_lines(target: Target, call: Call) -> str:
    """Header lines of this call alone: of the client's own dialect what it sent, else what the provider demands."""
    if not target.own and not call.headers and call.content_type is None:
        return ""
    own = {**dict(target.own), **dict(call.headers)}
    if call.content_type is not None:
        own["Content-Type"] = call.content_type
    return "".join(f"{name}: {value}\r\n" for name, value in own.items())


async def _beginning(answer: Answer) -> bytes:
    """At most 64 KiB of an error body. Whatever cuts it short, what has come by then is given."""
    body = b""
    with suppress(aiohttp.ClientError, HttpProcessingError, OSError):
        async with asyncio.timeout(ERROR_BODY_S):
            while len(body) < ERROR_BODY_LIMIT and (chunk := await answer.content.readany()):
                body += chunk
    return body[:ERROR_BODY_LIMIT]
