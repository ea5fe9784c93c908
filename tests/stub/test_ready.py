"""`wait-ready`: an exit code that says whether a gateway answers."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from otari.ready import wait_ready


class Answering(BaseHTTPRequestHandler):
    statuses: ClassVar[list[int]] = []
    asked: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        self.asked.set()
        self.send_response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass

    protocol_version = "HTTP/1.1"


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_ready_is_0_at_once(server: ThreadingHTTPServer) -> None:
    Answering.statuses = [200]
    assert wait_ready([f"http://127.0.0.1:{server.server_port}"]) == 0


def test_it_waits_until_requests_are_admitted(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    Answering.statuses = [503, 503, 200]
    port_file = tmp_path / "port"
    port_file.write_text(f"{server.server_port}\n")
    assert wait_ready([f"--port-file={port_file}", "--timeout", "5"]) == 0
    assert Answering.statuses == [200]


def test_what_is_not_ready_is_1_and_one_line(
    server: ThreadingHTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Answering.statuses = [503]
    assert wait_ready([f"http://127.0.0.1:{server.server_port}", "--timeout=0"]) == 1
    assert capsys.readouterr().err.startswith("otari: not ready after 0 s: 127.0.0.1:")
    assert wait_ready(["--port-file", str(tmp_path / "none"), "--timeout", "0"]) == 1
    assert "has no port yet" in capsys.readouterr().err


def test_an_interrupt_ends_it_without_a_word(server: ThreadingHTTPServer) -> None:
    Answering.statuses, Answering.asked = [503], threading.Event()
    words = [sys.executable, "-m", "otari", "wait-ready", f"http://127.0.0.1:{server.server_port}", "--timeout", "60"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as waiting:
        assert Answering.asked.wait(30)
        waiting.send_signal(signal.SIGINT)
        assert waiting.communicate(timeout=30)[1] == ""
        assert waiting.returncode == 130


@pytest.mark.parametrize(
    "words", [["ftp://x"], ["--timeout"], ["--timeout", "x"], ["--nope"], ["http://a", "http://b"]]
)
def test_wrong_words_are_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert wait_ready(words) == 2
    assert "usage: " in capsys.readouterr().err


def test_it_loads_the_standard_library_alone() -> None:
    code = (
        "import sys; sys.argv[1:] = ['wait-ready', 'http://127.0.0.1:9', '--timeout', '0'];"
        " from otari.cli import main; main();"
        " print({'aiohttp', 'yaml', 'msgspec', 'orjson', 'argparse'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
