"""Requests that are not in memory as a whole, and answers that are not JSON."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, Body, Call
from otari.domain.redaction import Redactor
from otari.domain.secret import Secret
from otari.upstreams.live import LiveUpstream

PIECE = bytes(range(256)) * 256
REQUEST_S = 20


class Pieces:
    """A body of so many pieces; `given` counts those that were asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.size = count * len(PIECE)
        self.given = 0

    def pieces(self) -> Iterator[bytes]:
        for _ in range(self.count):
            self.given += 1
            yield PIECE


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Speaks HTTP by hand on loopback: `heads` are what came, `connections` how often somebody connected."""

    answer: Answering
    heads: list[bytes] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def connections(self) -> int:
        return len(self.tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await self.answer(reader, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**20)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks)
            await asyncio.sleep(0)  # aborted transports close in the next turn


@contextlib.asynccontextmanager
async def live(server: Server) -> AsyncIterator[tuple[LiveUpstream, Attempt]]:
    async with server.running() as base_url:
        upstream = LiveUpstream({"openai": lambda body: body.decode()}, Redactor(), "1")
        operations = {"transcriptions": "openai", "speech": "openai"}
        attempt = Attempt("acme", "m", "live", base_url, Secret("sk-canary-000111"), (), operations=operations)
        try:
            yield upstream, attempt
        finally:
            await upstream.close()


def call(
    body: bytes | Body, *, operation: str = "transcriptions", stream: bool = False, takes: tuple[str, ...] = ()
) -> Call:
    kind = "multipart/form-data; boundary=b" if operation == "transcriptions" else None
    return Call("req-1", operation, "openai", body, stream, content_type=kind, takes=takes)


def play(scene: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(REQUEST_S):
            await scene

    asyncio.run(bounded())


def whole(content: bytes, kind: str = "application/json", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


# ---- bodies in pieces ----


def test_a_body_in_pieces_arrives_whole_and_its_connection_serves_again() -> None:
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readexactly(40 * len(PIECE)))
        writer.write(whole(b"{}"))

    async def scene() -> None:
        server = Server(answer)
        async with live(server) as (upstream, attempt):
            for _ in range(2):
                async with upstream.send(attempt, call(Pieces(40))) as reply:
                    assert await reply.read() == b"{}"
        assert received == [PIECE * 40] * 2
        assert server.connections == 1
        head = server.heads[0].lower()
        assert head.startswith(b"post /v1/audio/transcriptions http/1.1\r\n")
        assert head.count(b"content-type: multipart/form-data; boundary=b\r\n") == head.count(b"content-type:") == 1
        assert f"content-length: {40 * len(PIECE)}\r\n".encode() in head
        assert b"accept: */*\r\n" in head

    play(scene())


def test_a_provider_that_does_not_read_is_not_sent_everything() -> None:
    body = Pieces(800)  # 50 MiB: more than all buffers between us

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def scene() -> None:
        async with live(Server(answer)) as (upstream, attempt):
            sending = asyncio.ensure_future(upstream.send(attempt, call(body)).__aenter__())
            quiet, before = 0, 0
            while quiet < 500:  # turns of the loop in which nothing more goes out
                quiet, before = (quiet + 1, before) if body.given == before > 0 else (0, body.given)
                await asyncio.sleep(0)
            assert 0 < body.given < body.count
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending

    play(scene())


@pytest.mark.parametrize(("status", "kind"), [("413 Too Large", Kind.TOO_LARGE), ("400 Bad", Kind.INVALID)])
def test_a_refusal_in_the_middle_of_the_body_is_heard(status: str, kind: Kind) -> None:
    body = Pieces(800)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PIECE))
        writer.write(whole(b"too much of it", "text/plain", status))
        await writer.drain()
        await asyncio.Event().wait()

    async def scene() -> None:
        server = Server(answer)
        async with live(server) as (upstream, attempt):
            with pytest.raises(OtariError, match="too much of it") as raised:
                async with upstream.send(attempt, call(body)):
                    pass
            assert raised.value.kind is kind
            assert body.given < body.count
            for _ in range(10):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() <= {asyncio.current_task(), *server.tasks}  # nobody sends any more

    play(scene())


def test_an_answer_may_begin_before_the_body_has_ended() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await reader.readexactly(100 * len(PIECE))
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    async def scene() -> None:
        server = Server(answer)
        async with live(server) as (upstream, attempt):
            for _ in range(2):
                async with upstream.send(attempt, call(Pieces(100), stream=True)) as reply:
                    assert b"".join([chunk async for chunk in reply.chunks()]) == b"data: 1\n\ndata: 2\n\n"
        assert server.connections == 1

    play(scene())


def test_a_connection_whose_answer_ended_before_the_body_is_not_used_again() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PIECE))
        writer.write(whole(b"{}"))
        await writer.drain()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readexactly(2**40)

    async def scene() -> None:
        server = Server(answer)
        async with live(server) as (upstream, attempt):
            for _ in range(2):
                async with upstream.send(attempt, call(Pieces(800))) as reply:
                    assert await reply.read() == b"{}"
        assert server.connections == 2

    play(scene())


def test_a_provider_that_breaks_the_connection_under_the_body_is_a_failure() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PIECE))
        writer.transport.abort()
        raise ConnectionError

    async def scene() -> None:
        async with live(Server(answer)) as (upstream, attempt):
            with pytest.raises(OtariError) as raised:
                async with upstream.send(attempt, call(Pieces(800))):
                    pass
            assert (raised.value.kind, raised.value.retryable) == (Kind.UPSTREAM, True)

    play(scene())


# ---- answers of other types ----


@pytest.mark.parametrize(
    ("kind", "takes", "good"),
    [
        ("audio/mpeg", ("audio/",), True),
        ("audio/mpeg", (), False),
        ("application/octet-stream", ("audio/", "application/octet-stream"), True),
        ("text/plain; charset=utf-8", ("text/",), True),
        ("text/vtt", ("text/",), True),
        ("text/html; charset=utf-8", ("text/",), False),
        ("text/event-stream", ("text/event-stream",), True),
        ("image/png", ("audio/",), False),
        ("application/json", (), True),
    ],
)
def test_an_answer_is_taken_only_in_the_types_of_its_operation(kind: str, takes: tuple[str, ...], good: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        writer.write(whole(b"content", kind))

    async def scene() -> None:
        async with live(Server(answer)) as (upstream, attempt):
            sending = upstream.send(attempt, call(b"{}", operation="speech", takes=takes))
            if not good:
                with pytest.raises(OtariError, match="did not answer in the format of its API"):
                    await sending.__aenter__()
                return
            async with sending as reply:
                assert await reply.read() == b"content"
                assert reply.content_type == kind.partition(";")[0]

    play(scene())
