"""Exchanges with a gateway as data: what is asked, and what is answered, in files that people read.

An exchange is asked in the order of its file. Its answer is a document: `status`, `headers`, one of `json`, `text` and
`events` (nothing for an empty body), and `cut` when the connection broke off. `<kind name>` in an expected text stands
for something that is never the same twice; under its name, it can be used in what is asked later.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

from tests.flows.house import MASTER, House

Document = dict[str, Any]

_SAFE = {"x-content-type-options": "nosniff", "x-frame-options": "DENY"}
_SAFE["referrer-policy"] = "strict-origin-when-cross-origin"
_PRIVATE = {**_SAFE, "cache-control": "private, no-store, no-cache", "vary": "Authorization"}
_LEFT = {"x-ratelimit-limit": "500", "x-ratelimit-remaining": "<int>", "x-ratelimit-reset": "<int>"}
_HEADERS = {"none": {}, "open": _SAFE, "private": _PRIVATE, "limited": {**_PRIVATE, **_LEFT}}
_TRANSPORT = frozenset({"content-length", "date", "connection", "transfer-encoding"})

_KINDS = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}",
    "utc": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "hex": r"[0-9a-f]+",
    "request": r"req_[0-9a-f]{32}",
    "secret": r"gw-[\w-]{64}",
    "int": r"\d+",
    "text": r"[\s\S]+",
}
_PLACE = re.compile(r"<(\w+)(?: (\w+))?>")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the answer that is expected; `prepares` = only its success matters."""

    noun: str
    name: str
    told: Mapping[str, Any]

    @property
    def prepares(self) -> bool:
        return bool(self.told.get("prepares"))

    @property
    def expected(self) -> Document:
        """The answer as a document."""
        status = self.told.get("status", 200)
        headers = dict(_HEADERS[self.told.get("headers", "private")])
        headers["content-type"] = self.told.get("type", "application/json")
        headers |= self.told.get("more", {})
        body = {kind: self.told[kind] for kind in ("json", "text", "events") if kind in self.told}
        return {"status": status, "headers": headers, **body}


def read(path: Path) -> tuple[dict[str, Any], list[Exchange]]:
    """The configuration of the house in which a file's exchanges take place, and those exchanges."""
    doc = yaml.safe_load(path.read_text())
    return doc.get("house", {}), [Exchange(path.stem, told["name"], told) for told in doc["exchanges"]]


class Talk:
    """Asks, and remembers what had a name. `prefix` stands before every path that begins with a version."""

    def __init__(self, house: House, prefix: str = "") -> None:
        self._house = house
        self._prefix = prefix
        self._known = {"first": house.key, "master": MASTER}

    async def ask(self, exchange: Exchange) -> Document:
        """The answer to an exchange, as a document."""
        method, path = self._filled(exchange.told["ask"]).split(" ", 1)
        headers = {name: self._filled(value) for name, value in exchange.told.get("with", {}).items()}
        if caller := exchange.told.get("as"):
            headers["Authorization"] = f"Bearer {self._known[caller]}"
        if "raw" in exchange.told:
            headers["Content-Type"] = "application/json"
        url = self._house.base + (self._prefix if path.startswith("/v1/") else "") + path
        async with self._house.client.request(method, url, headers=headers, **self._body(exchange.told)) as response:
            doc = await _document(response)
        for name, field in exchange.told.get("keep", {}).items():
            self._known[name] = doc["json"][field]
        return doc

    def differences(self, expected: Any, found: Any, path: str = "") -> Iterator[str]:
        """Where `found` is not what was expected; placeholders with a name are remembered."""
        if isinstance(expected, dict) and isinstance(found, dict):
            for key in sorted(expected.keys() | found.keys()):
                place = f"{path}.{key}".lstrip(".")
                if key not in found:
                    yield f"{place}: missing, expected {expected[key]!r}"
                elif key not in expected:
                    yield f"{place}: unexpected {found[key]!r}"
                else:
                    yield from self.differences(expected[key], found[key], place)
        elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
            for index, (one, other) in enumerate(zip(expected, found, strict=True)):
                yield from self.differences(one, other, f"{path}.{index}")
        elif not self._same(expected, found):
            yield f"{path}: {found!r}, expected {expected!r}"

    def _same(self, expected: Any, found: Any) -> bool:
        if expected == "<int>" and type(found) is int:
            return True
        if not isinstance(expected, str) or not isinstance(found, str):
            return bool(expected == found) and isinstance(expected, bool) == isinstance(found, bool)
        names = [name for kind, name in _PLACE.findall(expected) if name and name not in self._known]
        match = re.fullmatch(self._pattern(expected), found)
        if match is not None:
            self._known |= dict(zip(names, match.groups(), strict=False))
        return match is not None

    def _pattern(self, expected: str) -> str:
        """A regular expression for an expected text, with a group for every name that is new."""
        out, end, new = [], 0, set[str]()
        for place in _PLACE.finditer(expected):
            out.append(re.escape(expected[end : place.start()]))
            end = place.end()
            kind, name = place.groups()
            if kind in self._known or name in self._known:
                out.append(re.escape(self._known[name or kind]))
            elif kind not in _KINDS:
                out.append(re.escape(place[0]))
            elif name is None or name in new:
                out.append(_KINDS[kind])
            else:
                new.add(name)
                out.append(f"({_KINDS[kind]})")
        return "".join(out) + re.escape(expected[end:])

    def _filled(self, text: str) -> str:
        return _PLACE.sub(lambda place: self._known.get(place[1], place[1]), text)

    def _body(self, told: Mapping[str, Any]) -> dict[str, Any]:
        if "raw" in told:
            return {"data": told["raw"].encode()}
        if "form" in told:
            form = aiohttp.FormData()
            for name, value in told["form"].items():
                if isinstance(value, dict):
                    form.add_field(name, value["text"].encode(), filename=value["name"], content_type="text/plain")
                else:
                    form.add_field(name, value)
            return {"data": form}
        return {"json": self._filled_in(told["send"])} if "send" in told else {}

    def _filled_in(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._filled_in(each) for key, each in value.items()}
        return self._filled(value) if isinstance(value, str) else value


async def _document(response: aiohttp.ClientResponse) -> Document:
    received, cut = b"", False
    try:
        async for piece in response.content.iter_any():
            received += piece
    except aiohttp.ClientPayloadError:
        cut = True
    headers = {name.lower(): value for name, value in response.headers.items() if name.lower() not in _TRANSPORT}
    doc: Document = {"status": response.status, "headers": headers}
    kind = headers.get("content-type", "").partition(";")[0]
    if kind == "text/event-stream":
        doc["events"] = [_event(block) for block in received.decode().split("\n\n") if block]
    elif received and kind == "application/json":
        doc["json"] = orjson.loads(received)
    elif received:
        doc["text"] = received.decode()
    return {**doc, "cut": True} if cut else doc


def _event(block: str) -> Any:
    """An event of a stream: its data alone where it has no name."""
    lines = dict(line.split(": ", 1) for line in block.split("\n"))
    data: Any = lines["data"]
    if data.startswith("{"):
        data = orjson.loads(data)
    return {"event": lines["event"], "data": data} if "event" in lines else data
