"""`wait-ready`: wait until a gateway answers, and say so with the exit code. The standard library is all it needs."""

import socket
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

USAGE = "usage: otari.pyz wait-ready [URL] [--port-file FILE] [--timeout SECONDS]\n"
EXIT_READY, EXIT_NOT_READY, EXIT_USAGE = 0, 1, 2
_DEFAULT_URL = "http://127.0.0.1:8000"
_PAUSE_S = 0.02
_REQUEST_S = 2.0


def wait_ready(words: Sequence[str]) -> int:
    """Wait until the gateway that `words` name answers its readiness; one line on standard error when it does not."""
    url, port_file, timeout_s = None, None, 10.0
    left = list(words)
    while left:
        word = left.pop(0)
        name, has_value, value = word.partition("=")
        if name in ("--port-file", "--timeout"):
            if not has_value and not left:
                return _wrong(f"{name} needs a value")
            value = value if has_value else left.pop(0)
            if name == "--port-file":
                port_file = value
            elif (seconds := _seconds(value)) is None:
                return _wrong(f"--timeout {value!r} is not a number of seconds")
            else:
                timeout_s = seconds
        elif word.startswith("-") or url is not None:
            return _wrong(f"{word!r} is not understood")
        else:
            url = word
    place = _place(url or _DEFAULT_URL)
    if place is None:
        return _wrong(f"{url!r} is not an address such as {_DEFAULT_URL}")
    return _wait(place, port_file, timeout_s)


def _wait(place: tuple[str, int], port_file: str | None, timeout_s: float) -> int:
    host, port = place
    deadline = time.monotonic() + timeout_s
    while True:
        found = port if port_file is None else _port_in(port_file)
        problem = f"{port_file} has no port yet" if found is None else _problem(host, found)
        if problem is None:
            return EXIT_READY
        if time.monotonic() >= deadline:
            sys.stderr.write(f"otari: not ready after {timeout_s:g} s: {problem}\n")
            return EXIT_NOT_READY
        time.sleep(_PAUSE_S)


def _problem(host: str, port: int) -> str | None:
    """Why the gateway is not ready; None when it is."""
    request = f"GET /health/readiness HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection((host, port), _REQUEST_S) as connection:
            connection.sendall(request)
            answer = b""
            while b"\r\n" not in answer and (piece := connection.recv(4096)):
                answer += piece
    except OSError as error:
        return f"{host}:{port}: {error.strerror or error}"
    line = answer.partition(b"\r\n")[0].decode("ascii", "replace")
    return None if line.startswith("HTTP/1.1 200") else f"{host}:{port} answers {line or 'nothing'}"


def _port_in(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _place(url: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        return None
    return (parts.hostname, port) if parts.scheme == "http" and parts.hostname else None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 86_400 else None


def _wrong(message: str) -> int:
    sys.stderr.write(f"otari: wait-ready: {message}\n{USAGE}")
    return EXIT_USAGE
