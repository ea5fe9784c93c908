"""How a provider's interface for files and batches is asked: one request and its JSON, or lines as they come."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, Body, Call
from otari.operations.multipart import File, Form
from otari.upstreams.live import LiveUpstream

Doc = dict[str, Any]

LINE_MAX_BYTES = 64 << 20  # of one answer, as for one that is asked for alone
UNREADABLE_MAX_BYTES = 256 << 20  # of lines that are longer than that, in all
MARK = "otari_batch_id"  # in the metadata of a vendor that keeps some: which of our batches it is
JSON_TYPE, LINES_TYPE = "application/json", "application/jsonl"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,255}")
_WORDS_MAX = 2_000


class Answered(NamedTuple):
    """The JSON object that was answered, and the headers beside it."""

    doc: Doc
    headers: Mapping[str, str]


class BatchApi:
    """Asks for batches over the connections of conversations. `dialect` says how the vendor tells errors and keys."""

    def __init__(self, live: LiveUpstream, dialect: str) -> None:
        self._live = live
        self._dialect = dialect

    async def get(self, attempt: Attempt, name: str, path: str) -> Doc:
        """What stands at `path`, which follows the provider's address; `name` is what the request is called.

        Raises OtariError as `Upstream.send` does, for this and all that follows.
        """
        async with self._live.errand(attempt, self._call(name), "GET", path) as reply:
            return read_object(attempt, await reply.read())

    async def post(
        self,
        attempt: Attempt,
        name: str,
        path: str,
        body: bytes | Body = b"",
        content_type: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answered:
        """What is answered to a body. An answer without one is an empty object."""
        call = self._call(name)._replace(body=body, content_type=content_type, headers=tuple(headers))
        async with self._live.errand(attempt, call, "POST", path) as reply:
            told = await reply.read()
            return Answered(read_object(attempt, told) if told.strip() else {}, reply.headers)

    async def upload(self, attempt: Attempt, name: str, path: str, lines: Body) -> str:
        """Give the provider a file of the purpose "batch"; the id that it has there. `name` is what it is called."""
        form = Form([("purpose", "batch")], File("file", f"{name}.jsonl", LINES_TYPE, lines), f"otari-{name}")
        told = await self.post(attempt, name, path, form, form.content_type)
        return read_id(attempt, told.doc.get("id"))

    async def lines(self, attempt: Attempt, name: str, path: str) -> AsyncGenerator[Doc | None, None]:
        """The JSON objects of a file of lines, as they come; None for a line that can not be read.

        Raises OtariError(UPSTREAM | UPSTREAM_TIMEOUT) when it breaks off.
        """
        async with self._live.errand(attempt, self._call(name), "GET", path) as reply:
            async for line in whole_lines(attempt, reply.chunks()):
                yield parsed(line)

    def clean(self, attempt: Attempt, text: str) -> str:
        """The provider's own words: the beginning of `text`, without secrets."""
        return self._live.clean(attempt, text[:_WORDS_MAX])

    def _call(self, name: str) -> Call:
        return Call(name, "batches", self._dialect, b"", stream=False, takes=("",))


async def whole_lines(attempt: Attempt, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of what comes, without empty ones. One that is too long is b"": it was not kept.

    Raises OtariError(UPSTREAM) when too much of it is too long.
    """
    held, skipping, skipped = bytearray(), False, 0
    async for chunk in chunks:
        held += chunk
        if b"\n" in chunk:
            *ended, rest = held.split(b"\n")
            held = rest
            for line in ended:
                if skipping or line.strip():
                    yield b"" if skipping else bytes(line)
                skipping = False
        if skipping or len(held) > LINE_MAX_BYTES:
            skipping, skipped = True, skipped + len(held)
            held.clear()
            if skipped > UNREADABLE_MAX_BYTES:
                raise malformed(attempt, "a line of its results has no end")
    if skipping or held.strip():
        yield b"" if skipping else bytes(held)


def parsed(line: bytes) -> Doc | None:
    """The JSON object of a line, or None."""
    try:
        doc = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return doc if isinstance(doc, dict) else None


def read_object(attempt: Attempt, body: bytes) -> Doc:
    """The JSON object of an answer. Raises OtariError(UPSTREAM)."""
    doc = parsed(body)
    if doc is None:
        raise malformed(attempt, "it is not a JSON object")
    return doc


def read_id(attempt: Attempt, told: object) -> str:
    """What the provider calls something, when it can stand in an address. Raises OtariError(UPSTREAM)."""
    if not isinstance(told, str) or not _ID.fullmatch(told):
        raise malformed(attempt, "it names nothing that can be asked for")
    return told


def find_id(told: object) -> str:
    """The same for what may be absent: then ""."""
    return told if isinstance(told, str) and _ID.fullmatch(told) else ""


def in_path(name: str) -> str:
    """A name as a step of a path."""
    return quote(name, safe="")


def object_in(doc: Doc, key: str) -> Doc:
    """The object under `key`; an empty one where there is none."""
    told: Any = doc.get(key)
    return told if isinstance(told, dict) else {}


def objects_in(doc: Doc, key: str) -> list[Doc]:
    """The objects in the list under `key`, without what is none."""
    told: Any = doc.get(key)
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []


def is_marked(doc: Doc, batch_id: str) -> bool:
    """Whether a batch was made for this one of ours."""
    return object_in(doc, "metadata").get(MARK) == batch_id


def count(told: object) -> int:
    """A number of lines; some vendors write it as a text. 0 where there is none."""
    if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) < 10:
        return int(told)
    return told if type(told) is int and told >= 0 else 0


def unknown(attempt: Attempt) -> OtariError:
    """Nobody can tell whether a batch was handed in."""
    return OtariError(
        Kind.UPSTREAM,
        f"It is not known whether '{attempt.provider}' has taken the batch: the gateway was stopped while it was sent.",
        code="batch_unknown",
    )


def malformed(attempt: Attempt, why: str) -> OtariError:
    """An answer that is not what the vendor's interface promises."""
    return OtariError(
        Kind.UPSTREAM,
        f"LLM provider error ('{attempt.provider}' did not answer in the format of its API)",
        code="upstream_format",
        retryable=True,
        detail=f"{attempt.provider}, batches: {why}",
    )
