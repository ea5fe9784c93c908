"""What the batch APIs of all vendors have in common: files, jobs, keys, and ways to fail."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, ClassVar, NamedTuple

import orjson
from aiohttp import web

Doc = dict[str, Any]

CREATED = 1_767_225_600  # 2026-01-01, in seconds
_LARGEST_REQUEST = 512 * 1024 * 1024
_PIECE = 7_919  # bytes of a file at a time, so that lines are cut anywhere


class Seen(NamedTuple):
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Vendor(ABC):
    """Async context manager: listens on a free loopback port while it is entered.

    `jobs` and `files` are what clients made, by id. `refusal` answers everything until it is None again. A file is cut
    after `cut_at` bytes, when that is set. `page` is how many jobs a list shows.
    """

    flavour: ClassVar[str]
    root: ClassVar[str]  # what follows the origin in the address that a client is given
    key_header: ClassVar[str]
    running: ClassVar[str]  # the state of a new job
    done: ClassVar[str]  # and of one that has gone through

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, Doc] = {}
        self.asked: dict[str, dict[str, Doc]] = {}  # by job and name of the line: what is to be answered
        self.refusal: tuple[int, Doc] | None = None
        self.cut_at: int | None = None
        self.page = 100
        self.port = 0
        app = web.Application(client_max_size=_LARGEST_REQUEST, middlewares=[self._note])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.root}"

    async def __aenter__(self) -> "Vendor":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @abstractmethod
    def routes(self) -> list[web.RouteDef]: ...

    @abstractmethod
    def end(self, job: str, state: str, lines: Sequence[bytes], errors: Sequence[bytes] = (), words: str = "") -> None:
        """Let a job come to an end; `lines` are its results, `errors` those that the vendor keeps apart, if it does."""

    @abstractmethod
    def good(self, name: str, answer: Doc) -> bytes:
        """The line that answers a request."""

    @abstractmethod
    def bad(self, name: str, status: int, message: str) -> bytes:
        """The line of a request that was refused."""

    @abstractmethod
    def expired(self, name: str) -> bytes:
        """The line of a request for which there was no time."""

    @abstractmethod
    def cancelled(self, name: str) -> bytes:
        """The line of a request that was given up."""

    def state_of(self, job: str) -> str:
        """The word of a job's state, as the client was told it last."""
        return str(self.jobs[job]["status"])

    # ---- the way in and out ----

    @property
    def _note(self) -> Any:
        @web.middleware
        async def note(request: web.Request, handler: Any) -> web.StreamResponse:
            body = await request.read()
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.seen.append(Seen(request.method, request.path_qs, headers, body))
            if self.refusal is not None:
                return json(self.refusal[1], self.refusal[0])
            keyed = headers.get(self.key_header) or headers.get("authorization") or request.query.get("upload_id")
            if not keyed:
                return json({"error": {"message": "no key", "type": "authentication_error"}}, 401)
            answer: web.StreamResponse = await handler(request)
            return answer

        return note

    async def give(self, request: web.Request, name: str, content_type: str) -> web.StreamResponse:
        """A file, in pieces."""
        data = self.files.get(name)
        if data is None:
            return json({"error": {"message": f"No such file: {name}", "type": "invalid_request_error"}}, 404)
        response = web.StreamResponse(headers={"Content-Type": content_type, "Content-Length": str(len(data))})
        await response.prepare(request)
        cut_at = self.cut_at  # as it is now: an answer that was begun to be cut is cut
        async for piece in self._pieces(data[:cut_at]):
            await response.write(piece)
        if cut_at is not None:
            assert request.transport is not None
            request.transport.close()
        return response

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), _PIECE):
            yield data[at : at + _PIECE]
            await asyncio.sleep(0)


def json(doc: Doc, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(doc), status=status, content_type="application/json")


async def uploaded(request: web.Request) -> tuple[str, bytes]:
    """The name and bytes of a file that came in a form, with the purpose of batches."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + await request.read())
    parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
    purpose, data = parts["purpose"].get_payload(decode=True), parts["file"].get_payload(decode=True)
    assert isinstance(purpose, bytes)
    assert isinstance(data, bytes)
    assert purpose.strip() == b"batch"
    return parts["file"].get_filename() or "", data


def jsonl(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def docs(data: bytes) -> list[Doc]:
    return [orjson.loads(line) for line in data.splitlines()]
