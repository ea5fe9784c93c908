"""How the built gateway ends and how it refuses to start: exit codes, one line for people, a ledger in order."""

import contextlib
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway import Gateway, stub
from tests.e2e.process import Process, bare_env, until
from tests.e2e.wire import Reply, chat, exchange, request

STREAM_S = 3.0
START_LIMIT_S = 20.0
AT_ONCE_S = 5.0
INTERRUPTED = 130

SCRIPT: dict[str, Any] = {
    "rules": [
        {"id": "short", "when": {"model": "short"}, "reply": "Done."},
        {
            "id": "slow",
            "when": {"model": "slow"},
            "reply": {"blocks": [{"say": "One "}, {"pause": f"{STREAM_S:g}s"}, {"say": "two."}]},
        },
        {"id": "endless", "when": {"model": "endless"}, "reply": {"blocks": [{"say": "One "}, {"cut": "hang"}]}},
    ]
}

PRICING = {f"stub:{m}": {"input_price_per_million": 1, "output_price_per_million": 2} for m in ("slow", "endless")}


@pytest.fixture
def gateway(pyz: Path, tmp_path: Path) -> Iterator[Gateway]:
    config = {"providers": stub(SCRIPT, tmp_path), "pricing": PRICING}
    with Gateway(pyz, tmp_path / "gateway", config) as gateway:
        yield gateway


class Stream:
    """A streamed answer that has begun, read on when its rest is asked for."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._received = b""
        while b"One" not in self._received:
            self._received += peer.recv(65536)

    def rest(self, timeout_s: float) -> Reply:
        """Read until the gateway closes the connection."""
        self._peer.settimeout(timeout_s)
        with contextlib.suppress(ConnectionResetError):
            while data := self._peer.recv(65536):
                self._received += data
        return Reply(self._received, 0.0)


@contextlib.contextmanager
def streaming(gateway: Gateway, model: str) -> Iterator[Stream]:
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        peer.sendall(chat(gateway.key, model, stream=True, max_tokens=50))
        yield Stream(peer)


def refuses_connections(gateway: Gateway) -> bool:
    try:
        socket.create_connection(("127.0.0.1", gateway.port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


# ---- ending ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_gateway_ends_at_once(gateway: Gateway, number: signal.Signals) -> None:
    gateway.send(number)
    assert gateway.wait(AT_ONCE_S) == 0
    gateway.ledger.assert_balanced()


def test_an_idle_connection_does_not_hold_up_the_end(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        peer.sendall(request("GET", "/health", {"Connection": "keep-alive"}))
        assert peer.recv(65536).startswith(b"HTTP/1.1 200")
        assert gateway.stop(AT_ONCE_S) == 0


def test_sigterm_lets_a_running_stream_end_and_takes_nothing_new(gateway: Gateway) -> None:
    with streaming(gateway, "stub:slow") as stream:
        gateway.send(signal.SIGTERM)
        until(lambda: refuses_connections(gateway), "new connections to be refused", STREAM_S / 2)
        assert gateway.alive
        reply = stream.rest(STREAM_S + 5)
    assert reply.events[-1] == b"[DONE]"
    assert b"two." in reply.body
    assert gateway.wait(AT_ONCE_S) == 0
    (row,) = gateway.ledger.usage()
    assert (row["state"], row["status"], row["flags"]) == ("settled", "success", "")
    gateway.ledger.assert_balanced()


def test_a_second_sigterm_stops_at_once(gateway: Gateway) -> None:
    with streaming(gateway, "stub:endless") as stream:
        gateway.send(signal.SIGTERM)
        until(lambda: refuses_connections(gateway), "new connections to be refused", AT_ONCE_S)
        gateway.send(signal.SIGTERM)
        assert gateway.wait(AT_ONCE_S) == 1
        assert b"[DONE]" not in stream.rest(AT_ONCE_S).raw
    assert_ended_in_order(gateway)


@pytest.mark.parametrize("limit_s", [0.5, 0])
def test_a_stream_that_outlives_the_drain_is_cut_and_charged(pyz: Path, tmp_path: Path, limit_s: float) -> None:
    config = {"providers": stub(SCRIPT, tmp_path), "pricing": PRICING, "shutdown_timeout_s": limit_s}
    with Gateway(pyz, tmp_path / "gateway", config) as gateway:
        with streaming(gateway, "stub:endless") as stream:
            assert gateway.stop(AT_ONCE_S) in (0, 1)
            assert b"[DONE]" not in stream.rest(AT_ONCE_S).raw
        assert_ended_in_order(gateway)


def assert_ended_in_order(gateway: Gateway) -> None:
    """After the next start the one request that was cut is charged, and nothing is open."""
    assert b"Traceback" not in gateway.err.read_bytes()
    gateway.restart()
    (row,) = gateway.ledger.usage()
    assert row["state"] in ("settled", "recovered")
    assert 0 < row["cost_nano"] <= row["hold_nano"]
    gateway.ledger.assert_balanced()


def test_a_restart_keeps_the_key_and_the_history(gateway: Gateway) -> None:
    sent = chat(gateway.key, "stub:short")
    assert exchange(gateway.port, sent).status == 200
    assert gateway.stop() == 0
    gateway.restart()
    assert exchange(gateway.port, sent).status == 200
    assert [row["state"] for row in gateway.wait_quiet().usage()] == ["settled"] * 2
    assert gateway.out.read_text().count("\ngw-") == 1, "the key is shown once"


@pytest.fixture
def heard() -> Iterator[None]:
    """Interrupts reach what is started here, also when these tests run in the background, where shells ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_an_interrupt_while_libraries_are_loaded_ends_the_start(pyz: Path, tmp_path: Path) -> None:
    """Nothing crashes, nobody gets a traceback, and the interrupt is not lost."""
    command = [sys.executable, str(pyz), "stub", "--port", "0"]
    for number in range(5):
        with Process(f"start-{number}", command, tmp_path, bare_env(tmp_path)) as start:
            until(lambda: loads_libraries(start.pid), "the first extension module of a library", START_LIMIT_S)
            start.send(signal.SIGINT)
            # 0: it was quicker than the signal, and served already.
            assert start.wait(AT_ONCE_S) in (-signal.SIGINT, INTERRUPTED, 0)
            assert start.err.read_bytes() == b""


def loads_libraries(pid: int) -> bool:
    """Whether a process has opened an extension module that is unpacked from the file."""
    return "/site-packages/" in Path(f"/proc/{pid}/maps").read_text()


# ---- refusing to start ----


def assert_refused(gateway: Gateway, code: int, *words: str) -> None:
    """It ends with this code and one line that says what is wrong, and prints nothing else."""
    gateway.launch()
    assert gateway.wait(START_LIMIT_S) == code, gateway.tail()
    err = gateway.err.read_text()
    assert err.startswith("otari: "), err
    assert err.count("\n") == 1, err
    assert all(word in err for word in words), err
    assert gateway.out.read_text() == ""


def refused(pyz: Path, folder: Path, script: dict[str, Any] = SCRIPT, **config: Any) -> Gateway:
    return Gateway(pyz, folder / "gateway", {"providers": stub(script, folder), **config})


def test_a_port_that_is_taken(pyz: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_refused(refused(pyz, tmp_path, port=port), 2, f"127.0.0.1:{port}", "in use")


def test_an_unknown_key(pyz: Path, tmp_path: Path) -> None:
    assert_refused(refused(pyz, tmp_path, prot=8000), 2, "prot", "port")


def test_a_value_of_the_wrong_type(pyz: Path, tmp_path: Path) -> None:
    assert_refused(refused(pyz, tmp_path, port="many"), 2, "port")


def test_a_file_that_is_no_yaml(pyz: Path, tmp_path: Path) -> None:
    gateway = refused(pyz, tmp_path)
    gateway.config_path.write_text("providers: {stub: [\n")
    assert_refused(gateway, 2, str(gateway.config_path))


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: (path.unlink(), path.mkdir())])
def test_a_configuration_that_can_not_be_read(pyz: Path, tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    gateway = refused(pyz, tmp_path)
    spoil(gateway.config_path)
    assert_refused(gateway, 2, str(gateway.config_path))


def test_a_stub_script_that_can_not_be_read(pyz: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.yaml")
    assert_refused(refused(pyz, tmp_path, providers={"stub": {"type": "stub", "script": missing}}), 2, missing)


def test_a_stub_script_with_a_mistake(pyz: Path, tmp_path: Path) -> None:
    script = {"rules": [{"id": "a", "wenn": {}, "reply": "x"}]}
    assert_refused(refused(pyz, tmp_path, script), 2, "wenn", "when")


def test_a_database_that_is_none(pyz: Path, tmp_path: Path) -> None:
    gateway = refused(pyz, tmp_path)
    gateway.database.write_text("not a database\n" * 1000)
    assert_refused(gateway, 4, str(gateway.database))
    assert gateway.database.read_text().startswith("not a database\n"), "somebody else's file stays as it is"


def test_a_database_of_somebody_else(pyz: Path, tmp_path: Path) -> None:
    gateway = refused(pyz, tmp_path)
    with contextlib.closing(sqlite3.connect(gateway.database)) as other, other:
        other.execute("CREATE TABLE theirs (x)")
    assert_refused(gateway, 4, str(gateway.database))


def test_a_second_gateway_on_the_same_ledger_names_the_first(pyz: Path, tmp_path: Path, gateway: Gateway) -> None:
    second = refused(pyz, tmp_path / "second", database_url=f"sqlite:///{gateway.database}")
    assert_refused(second, 3, str(gateway.pid))
    assert exchange(gateway.port, chat(gateway.key, "stub:short")).status == 200


def test_a_master_key_that_is_too_short(pyz: Path, tmp_path: Path) -> None:
    assert_refused(refused(pyz, tmp_path, master_key="abc"), 2, "master_key")


def test_other_machines_are_not_let_in_without_a_master_key(pyz: Path, tmp_path: Path) -> None:
    assert_refused(refused(pyz, tmp_path, host="0.0.0.0", master_key=None), 2, "master_key")
