"""The world outside this machine as a client sees it: a proxy that connects nobody and notes who was asked for."""

import socketserver
import threading
from types import TracebackType
from typing import Self

_HEAD_BYTES = 4096
_LOOK_S = 0.02  # how often it looks whether it shall end
_REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Outside:
    """A context manager that listens on loopback. Clients that run with `env()` go through it to every other host."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        reached = self.reached

        class Refusing(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                words = self.rfile.readline(_HEAD_BYTES).split()
                reached.append(words[1].decode(errors="replace") if len(words) > 1 else "(no request)")
                self.wfile.write(_REFUSAL)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK_S,), daemon=True)

    def env(self) -> dict[str, str]:
        """The variables that send a program through the proxy, in both spellings that are in use."""
        proxy = f"http://127.0.0.1:{self._server.server_address[1]}"
        told = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost"}
        return told | {name.lower(): value for name, value in told.items()}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
