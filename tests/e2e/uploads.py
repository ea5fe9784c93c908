"""Files as large as a test wants, over a plain socket: neither side keeps them in memory."""

import hashlib
import socket
import time
from dataclasses import dataclass
from itertools import chain

BLOCK = bytes(hashlib.sha256(b"%d" % n).digest()[0] for n in range(64 * 1024)) * 16  # 1 MiB that looks like nothing
MIB = len(BLOCK)
_PIECE = 256 * 1024
_BOUNDARY = "----of-the-tests"


@dataclass(frozen=True, slots=True)
class Sent:
    """What the gateway answered to an upload, and how long that took."""

    status: int
    body: bytes
    took_s: float


def begin(port: int, key: str, mebibytes: int, name: str = "large.bin") -> tuple[socket.socket, bytes]:
    """A connection on which an upload of so many MiB has begun, and the bytes that end it."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    end = f"\r\n--{_BOUNDARY}--\r\n".encode()
    length = len(head) + mebibytes * MIB + len(end)
    peer = socket.create_connection(("127.0.0.1", port), 60)
    peer.sendall(
        (
            f"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()
        + head
    )
    return peer, end


def upload(port: int, key: str, mebibytes: int, name: str = "large.bin") -> Sent:
    """Send a file of so many MiB; it is BLOCK, again and again."""
    began = time.monotonic()
    peer, end = begin(port, key, mebibytes, name)
    with peer:
        for _ in range(mebibytes):
            peer.sendall(BLOCK)
        peer.sendall(end)
        answer = b"".join(iter(lambda: peer.recv(_PIECE), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return Sent(int(head.split()[1]), body, time.monotonic() - began)


def download_digest(port: int, key: str, file_id: str) -> tuple[int, str]:
    """How many bytes a file has, and their SHA-256, read as they come."""
    digest, count = hashlib.sha256(), 0
    with socket.create_connection(("127.0.0.1", port), 60) as peer:
        peer.sendall(
            (
                f"GET /v1/files/{file_id}/content HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
                "Connection: close\r\n\r\n"
            ).encode()
        )
        received = b""
        while b"\r\n\r\n" not in received:
            received += peer.recv(_PIECE)
        pieces = chain([received.partition(b"\r\n\r\n")[2]], iter(lambda: peer.recv(_PIECE), b""))
        for piece in pieces:
            digest.update(piece)
            count += len(piece)
    return count, digest.hexdigest()


def digest_of(mebibytes: int) -> str:
    """The SHA-256 of a file of so many MiB."""
    digest = hashlib.sha256()
    for _ in range(mebibytes):
        digest.update(BLOCK)
    return digest.hexdigest()
