"""Connections that do not come about, are stale, or are configured wrongly."""

import asyncio
import socket
from dataclasses import replace

import pytest

from otari.domain.errors import Kind, OtariError
from otari.domain.secret import Secret
from tests.upstreams.live_world import IMPATIENT, KEY, PATIENT, REACTION_S, World, call, play


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_provider_that_is_not_there_is_unreachable() -> None:
    async def scene(world: World) -> None:
        url = f"http://operator:{KEY}@127.0.0.1:{free_port()}/v1"
        error = await world.failure("ok", base_url=url, secret=None)
        assert (error.kind, error.code, error.retryable) == (Kind.UPSTREAM, "upstream_unreachable", True)
        assert error.message == "LLM provider error ('acme' could not be reached)"
        assert KEY not in f"{error.detail}"

    play(scene)


def test_a_name_that_nobody_knows_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def scene(world: World) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        error = await world.failure("ok", base_url="http://nowhere.invalid/v1")
        assert (error.kind, error.code) == (Kind.UPSTREAM, "upstream_unreachable")
        assert error.message == "LLM provider error ('acme' could not be reached: its host name was not found)"

    play(scene)


def test_a_provider_that_speaks_no_tls_is_unreachable() -> None:
    async def scene(world: World) -> None:
        error = await world.failure("ok", base_url=world.provider.base_url.replace("http://", "https://"))
        assert (error.kind, error.code) == (Kind.UPSTREAM, "upstream_unreachable")
        assert error.message == "LLM provider error ('acme' could not be reached: the TLS handshake failed)"
        assert error.detail is not None
        assert "SSL" in error.detail

    play(scene)


def test_a_connection_that_does_not_come_about_is_a_timeout() -> None:
    async def scene(world: World) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            waiting = [socket.socket() for _ in range(4)]  # more than the queue of the listener holds
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            error = await world.failure("ok", base_url=url, timeouts=replace(PATIENT, connect_s=0.05))
            for each in waiting:
                each.close()
        assert (error.kind, error.code) == (Kind.UPSTREAM_TIMEOUT, "upstream_unreachable")
        assert error.message == "LLM provider timeout ('acme' could not be reached within 0.05 s)"

    play(scene)


def test_a_provider_that_does_not_read_is_a_timeout() -> None:
    async def scene(world: World) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            endless = call("ok", content="x" * 16_000_000)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            attempt = replace(world.attempt, base_url=url, timeouts=IMPATIENT)
            with pytest.raises(OtariError) as raised:
                async with world.live.send(attempt, endless):
                    pass
        assert (raised.value.kind, raised.value.code) == (Kind.UPSTREAM_TIMEOUT, "upstream_timeout")

    play(scene)


def test_a_provider_that_took_the_request_and_broke_off_is_not_asked_again() -> None:
    async def scene(world: World) -> None:
        await world.ask("ok")
        error = await world.failure("reset_before_headers")
        assert (error.kind, error.code, error.retryable) == (Kind.UPSTREAM, "upstream_disconnected", True)
        assert error.message == "LLM provider error ('acme' closed the connection without an answer)"
        assert [arrival.model for arrival in world.provider.requests] == ["ok", "reset_before_headers"]
        assert len({arrival.peer_port for arrival in world.provider.requests}) == 1

    play(scene)


def test_an_idle_connection_that_the_provider_has_closed_is_not_used() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    async def scene(world: World) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(REACTION_S)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            asked = asyncio.create_task(world.ask("ok", base_url=url))
            first = await asyncio.to_thread(served, listener, answer)
            assert await asked == b"{}"
            # From here to the second request the loop does not run: it can not have noticed this.
            first.close()
            serving = asyncio.to_thread(served, listener, answer)
            both = asyncio.gather(world.ask("ok", base_url=url), serving)
            body, second = await both
            second.close()
        assert body == b"{}"

    play(scene)


def served(listener: socket.socket, answer: bytes) -> socket.socket:
    """Accept a connection and answer the first request on it."""
    accepted, _ = listener.accept()
    accepted.settimeout(REACTION_S)
    assert accepted.recv(65536)
    accepted.sendall(answer)
    return accepted


def test_what_is_configured_wrongly_is_told_to_the_operator_without_the_secret() -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({"secret": Secret(KEY + "\r\nX-Evil: 1")}, "line break"),
        ({"headers": (("X-A", Secret(KEY + "\n")),)}, "header 'X-A'"),
        ({"headers": (("X A", Secret(KEY)),)}, "name of one of its headers"),
        ({"auth": "magic"}, "auth 'magic'"),
        ({"base_url": "ftp://host/v1"}, "base_url must begin"),
        ({"base_url": "http://host:99999999/v1"}, "not a valid address"),
        ({"base_url": f"http://user:{KEY}@host/v1"}, "holds a user name"),
    ]

    async def scene(world: World) -> None:
        for changes, words in wrong:
            error = await world.failure("ok", **changes)
            assert error.message == "Provider 'acme' is misconfigured in the gateway"
            assert (error.kind, error.code) == (Kind.UPSTREAM, "upstream_unreachable")
            assert words in f"{error.detail}"
            assert KEY not in f"{error.detail}"
        assert world.provider.requests == []

    play(scene)


def test_nothing_is_sent_after_closing() -> None:
    async def scene(world: World) -> None:
        await world.ask("ok")
        await world.live.close()
        error = await world.failure("ok")
        assert error.kind is Kind.UNAVAILABLE
        assert len(world.provider.requests) == 1

    play(scene)
