"""A gateway that answers what it is told, and remembers what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import orjson


class Asked(NamedTuple):
    """One request that came."""

    method: str
    target: str
    authorization: str
    body: bytes


class Scripted(NamedTuple):
    """Where it listens, and what came."""

    url: str
    asked: list[Asked]


@contextmanager
def scripted(*answers: tuple[int, object]) -> Iterator[Scripted]:
    """Answers `answers` in turn: a status and a document, or raw bytes."""
    asked: list[Asked] = []
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            authorization = self.headers.get("Authorization") or ""
            asked.append(Asked(self.command, self.path, authorization, self.rfile.read(length)))
            status, doc = waiting.pop(0)
            body = doc if isinstance(doc, bytes) else orjson.dumps(doc)
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Scripted(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
