"""Bytes to a socket and bytes back: for requests that no HTTP library would send."""

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

_PIECE = 256 * 1024
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Reply:
    """Everything that came back until the peer closed. `took_s` is from the connect to that."""

    raw: bytes
    took_s: float

    @property
    def status(self) -> int:
        """The HTTP status; 0 when the peer closed without a word."""
        return int(self.raw.split(b" ", 2)[1]) if self.raw else 0

    @property
    def answers(self) -> int:
        """How many HTTP answers there are: more than one means that the peer saw more than one request."""
        return self.raw.count(b"HTTP/1.1 ") + self.raw.count(b"HTTP/1.0 ")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the (first) answer, names in lower case."""
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        """The body as it stood on the wire, chunk sizes taken out."""
        body = self.raw.partition(b"\r\n\r\n")[2]
        return b"".join(_chunks(body)) if self.headers.get("transfer-encoding") == "chunked" else body

    @property
    def events(self) -> list[bytes]:
        """The data of each server-sent event."""
        frames = self.body.replace(b"\r\n", b"\n").split(b"\n\n")
        return [frame.removeprefix(b"data: ") for frame in frames if frame.startswith(b"data: ")]


def _chunks(body: bytes) -> Iterator[bytes]:
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        yield body[:length]
        body = body[length + 2 :]


def exchange(port: int, sent: bytes, timeout_s: float = 15.0, drip: tuple[bytes, float] | None = None) -> Reply:
    """Send `sent`, read until the peer closes. With `drip`, go on sending those bytes, one piece every so many seconds.

    Fails when the peer has not closed after `timeout_s`. A connection that is reset counts as closed.
    """
    began = time.monotonic()
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout_s) as peer:
        peer.setblocking(False)
        next_drip = began
        left = memoryview(sent)
        with contextlib.suppress(ConnectionError):
            while True:
                now = time.monotonic()
                if now - began > timeout_s:
                    raise AssertionError(
                        f"the peer keeps the connection after {timeout_s:g} s: {bytes(received[:300])!r}"
                    )
                if drip is not None and not left and now >= next_drip:
                    left, next_drip = memoryview(drip[0]), now + drip[1]
                readable, writable, _ = select.select([peer], [peer] if left else [], [], 0.05)
                if readable:
                    data = peer.recv(_PIECE)
                    if not data:
                        break
                    received += data
                if writable:
                    left = left[peer.send(left[:_PIECE]) :]
    return Reply(bytes(received), time.monotonic() - began)


def request(method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
    """A well-formed request that asks for the connection to be closed. `headers` win over the usual ones."""
    usual = {"Host": "127.0.0.1", "Connection": "close"}
    if body is not None:
        usual |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (usual | headers).items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")


def chat(key: str, model: str, **more: object) -> bytes:
    """A well-formed chat request with one short message."""
    doc = {"model": model, "messages": [{"role": "user", "content": "x"}], **more}
    return chat_raw(key, orjson.dumps(doc))


def chat_raw(key: str, body: bytes, **headers: str) -> bytes:
    """A chat request with whatever body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request("POST", CHAT, {"Authorization": f"Bearer {key}", **named}, body)
