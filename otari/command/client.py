"""The gateway's own API as a client sees it: one request, one document, errors as one line. A key goes along.

Plain `http.client`: it follows no redirects and uses no proxy, so the key goes nowhere but to the host that was named.
"""

import http.client
import ssl
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import orjson

from otari import __version__
from otari.command.request import Request
from otari.command.screen import harmless
from otari.command.show import exact
from otari.command.trouble import EXIT_LEDGER, Trouble, wrong
from otari.domain.secret import Secret

TIMEOUT_S = 30.0
_MAX_BYTES = 256 * 1024 * 1024
_DECODER = msgspec.json.Decoder(float_hook=Decimal)  # orjson would make floats of amounts


class Unreachable(Trouble):
    """Nothing answers at the address."""


class Client:
    """Talks to one gateway. `url` is its address without `/v1`; `key` is sent to it and shown nowhere.

    `key_hint` is said when it is refused.
    """

    def __init__(
        self,
        url: str,
        key: Secret,
        *,
        timeout_s: float = TIMEOUT_S,
        key_hint: str = "the master key comes from OTARI_MASTER_KEY",
    ) -> None:
        """Raises Trouble for an address that can not be one."""
        self._url = url.rstrip("/").removesuffix("/v1").removesuffix("/api")
        try:
            parts = urlsplit(self._url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            raise wrong(f"{harmless(url)!r} is not an address: write http://HOST:PORT") from None
        odd = parts.query or parts.fragment or parts.username or parts.password
        if parts.scheme not in ("http", "https") or not self._host or odd:
            raise wrong("the address must be written http://HOST:PORT or https://HOST")
        self._secure = parts.scheme == "https"
        self._prefix = parts.path
        self._key = key
        self._key_hint = key_hint
        self._timeout_s = timeout_s

    def ask(self, request: Request) -> Any:
        """The document of the answer, amounts as Decimal; None for an empty one. Raises Trouble with its error text."""
        status, body = self._exchange(request)
        if 200 <= status < 300:
            return self._read(body) if body else None
        raise Trouble(_reason(status, body, self._key_hint), EXIT_LEDGER if status == 503 else 1)

    def _exchange(self, request: Request) -> tuple[int, bytes]:
        query = urlencode({name: value for name, value in request.query.items() if value is not None})
        target = self._prefix + request.path + (f"?{query}" if query else "")
        body = None if request.body is None else orjson.dumps(dict(request.body), default=exact)
        headers = {
            "Authorization": f"Bearer {self._key.reveal()}",
            "User-Agent": f"otari-command/{__version__}",
            "Accept": "application/json",
            **({"Content-Type": "application/json"} if body is not None else {}),
        }
        connection = self._connect()
        try:
            connection.request(request.method, target, body, headers)
            response = connection.getresponse()
            return response.status, response.read(_MAX_BYTES)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(f"no gateway answers at {harmless(self._url)} ({reason})") from None
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _read(self, body: bytes) -> Any:
        try:
            return _DECODER.decode(body)
        except msgspec.DecodeError:
            raise Trouble(
                f"what answers at {harmless(self._url)} is no Otari gateway (its answer is no JSON)"
            ) from None


def _reason(status: int, body: bytes, key_hint: str) -> str:
    """The sentence that the gateway gave, on one line."""
    try:
        doc = orjson.loads(body)
    except orjson.JSONDecodeError:
        doc = None
    doc = doc if isinstance(doc, dict) else {}
    detail, error = doc.get("detail"), doc.get("error")
    if isinstance(error, dict) and error.get("code") == "unknown_url":
        return "this gateway can not be asked that: run the command beside its ledger, without an address"
    if isinstance(detail, list):
        detail = "; ".join(_field_reason(entry) for entry in detail if isinstance(entry, dict))
    text = detail if isinstance(detail, str) and detail else f"the gateway answered {status}"
    if status == 401:
        text += f" ({key_hint})"
    return harmless(" ".join(text.split()))


def _field_reason(entry: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in entry.get("loc", ()) if part not in ("body", "query", "path"))
    reason = str(entry.get("msg", "not valid"))
    return f"{place}: {reason}" if place else reason
