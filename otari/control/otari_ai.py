"""otari.ai over HTTP: which providers a user may be served by, and what became of the attempts.

Paths and statuses of the protocol are known only here, its bodies in `platform_bodies.py`. The redactor learns the
credentials that come back before anybody could write them down.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import aiohttp

from otari.control.platform_bodies import (
    Resolution,
    read_detail,
    read_receipt,
    read_resolution,
    unavailable,
    write_selector,
)
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Receipt
from otari.domain.redaction import Redactor
from otari.domain.retry_after import retry_after_s
from otari.domain.secret import Secret

ANSWER_MAX_BYTES = 1024 * 1024
_DNS_TTL_S = 60
_KEEPALIVE_S = 4.0  # servers close idle connections after 5 s and more; a request on a closed one would be lost
_REACHABLE_KEPT_S = 1.0

_RESOLVE, _USAGE = "/gateway/provider-keys/resolve", "/gateway/usage"
# What the platform refuses on behalf of the user; anything else is the platform's own failure.
_FORWARDED: Mapping[int, Kind] = MappingProxyType(
    {
        400: Kind.INVALID,
        401: Kind.UNAUTHENTICATED,
        402: Kind.PAYMENT,
        403: Kind.FORBIDDEN,
        404: Kind.NOT_FOUND,
        429: Kind.RATE_LIMITED,
    }
)
_KNOWN_ALREADY = 409  # a report that was sent before, and whose acknowledgement did not reach us
# A report that is answered with one of these will never be taken.
_UNWANTED = frozenset({400, 402, 404, 422})


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """Where the platform is and how long it may take. Times in seconds."""

    base_url: str
    health_path: str = "/utils/health-check/"
    resolve_s: float = 5.0
    report_s: float = 5.0
    receipt_s: float = 1.5


class Delivery(NamedTuple):
    """What became of a report: taken (maybe with a receipt), not wanted, or neither (to be tried again).

    `problem` says for the operator why it was not taken.
    """

    taken: bool
    wanted: bool = True
    receipt: Receipt | None = None
    problem: str = ""


class Platform:
    """The three calls. `token` names this gateway; it never leaves for another host (redirects are not followed).

    `now` is the wall clock in epoch seconds, for `Retry-After` dates. `trust` tells whose certificates are good.
    """

    def __init__(
        self,
        settings: PlatformSettings,
        token: Secret,
        version: str,
        redactor: Redactor,
        *,
        now: Callable[[], float] = time.time,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.settings = settings
        self._base = settings.base_url.rstrip("/")
        self._token = token
        self._agent = f"otari/{version}"
        self._redactor = redactor
        self._now = now
        self._trust = trust
        self._opened: aiohttp.ClientSession | None = None
        self._knock: asyncio.Task[bool] | None = None
        self._knocked_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        if self._knock is not None and not self._knock.done():
            self._knock.cancel()
            await asyncio.wait({self._knock})
        if self._opened is not None:
            await self._opened.close()

    async def resolve(self, user: Secret, selector: str) -> Resolution:
        """The attempts for a user's request for a model.

        Raises OtariError: what the platform refuses keeps its status, words and `Retry-After`; UPSTREAM (502) when it
        can not be asked or its answer makes no sense.
        """
        self._redactor.learn(user)
        body = write_selector(selector)
        try:
            status, headers, raw = await self._post(
                _RESOLVE, body, self.settings.resolve_s, {"X-User-Token": user.reveal()}
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as problem:
            raise unavailable(f"resolve: {type(problem).__name__}") from None
        if status == 200:
            resolution = read_resolution(raw)
            for attempt in resolution.attempts:
                if attempt.secret is not None:
                    self._redactor.learn(attempt.secret)
            return resolution
        kind = _FORWARDED.get(status)
        if kind is None:
            raise unavailable(f"resolve was answered with status {status}")
        raise OtariError(
            kind,
            self._redactor.clean(read_detail(raw)) or "Authorization request rejected",
            retry_after=retry_after_s(headers.get("Retry-After"), now=self._now()) if status == 429 else None,
            code="platform_refusal",
        )

    async def report(self, body: bytes) -> Delivery:
        """Tell what became of an attempt. Never raises."""
        try:
            status, _, raw = await self._post(_USAGE, body, self.settings.report_s)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as problem:
            return Delivery(taken=False, problem=type(problem).__name__)
        if 200 <= status < 300:
            return Delivery(taken=True, receipt=read_receipt(raw) if status == 200 else None)
        return Delivery(taken=status == _KNOWN_ALREADY, wanted=status not in _UNWANTED, problem=f"status {status}")

    async def reachable(self) -> bool:
        """Whether the platform answers at all: any status below 500 counts.

        Anybody may ask us, so the platform is asked by one at a time, and what it said holds for a second.
        """
        loop = asyncio.get_running_loop()
        if self._knock is None or (self._knock.done() and loop.time() > self._knocked_at + _REACHABLE_KEPT_S):
            self._knock = loop.create_task(self._answers())
        return await asyncio.shield(self._knock)

    async def _answers(self) -> bool:
        path = self.settings.health_path
        url = self._base + (path if path.startswith("/") else f"/{path}")
        limit = aiohttp.ClientTimeout(total=self.settings.resolve_s)
        try:
            async with self._session().get(url, allow_redirects=False, timeout=limit) as answer:
                return answer.status < 500
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return False
        finally:
            self._knocked_at = asyncio.get_running_loop().time()

    async def _post(
        self, path: str, body: bytes, limit_s: float, extra: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Content-Type": "application/json", "X-Gateway-Token": self._token.reveal(), **(extra or {})}
        async with (
            asyncio.timeout(limit_s),
            self._session().post(self._base + path, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status, answer.headers, await _bounded(answer.content)

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            tls = self._trust() if self._base.startswith("https:") else True
            self._opened = aiohttp.ClientSession(
                headers={"User-Agent": self._agent, "Accept": "application/json"},
                connector=aiohttp.TCPConnector(
                    limit=0, ttl_dns_cache=_DNS_TTL_S, keepalive_timeout=_KEEPALIVE_S, ssl=tls
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._opened


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """The whole body. Raises ValueError when it is larger than any answer of this protocol."""
    parts, size = [], 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_MAX_BYTES:
            raise ValueError("the answer is too large")
    return b"".join(parts)
