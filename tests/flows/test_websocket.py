"""`GET /v1/responses`: a client that asks for a websocket learns at once that it must POST."""

from pathlib import Path

import aiohttp
import pytest

from tests.flows.house import House, play

UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HEALTH = b"GET /health/liveness HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("path", [b"/v1/responses", b"/api/v1/responses", b"/v1/responses?x=1"])
@pytest.mark.parametrize("protocol", [b"websocket", b"WebSocket", b"h2c, websocket"])
def test_a_websocket_is_refused_with_the_protocol_that_will_do(tmp_path: Path, path: bytes, protocol: bytes) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            head, _, body = (await house.raw(UPGRADE % (path, protocol))).partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            assert lines[0] == b"HTTP/1.1 426 Upgrade Required"
            assert {b"Upgrade: HTTP/1.1", b"Connection: Upgrade"} <= set(lines)
            assert b"Content-Type: application/json" in lines
            assert b'"code":"websocket_not_supported"' in body
            assert b'"detail":' in body

    play(scene())


def test_the_connection_can_be_used_for_the_post_that_follows(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            received = await house.raw(UPGRADE % (b"/v1/responses", b"websocket") + HEALTH)
            assert received.startswith(b"HTTP/1.1 426 ")
            assert received.count(b"HTTP/1.1 ") in (1, 2)  # what came too early may be read or dropped, not misread
            reused: list[bool] = []
            for _ in range(2):
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await house.client.ws_connect(f"{house.base}/v1/responses")
                assert caught.value.status == 426
                reused.append(True)
            body = {"model": "stub:echo", "input": "Hello"}
            assert (await house.post(body, path="/v1/responses")).status == 200

    play(scene())


def test_without_an_upgrade_it_is_a_wrong_method(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.get("/v1/responses", Authorization=f"Bearer {house.key}")
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")
            assert answer.error["type"] == "method_not_allowed"
            assert "Upgrade" not in answer.headers

    play(scene())


def test_it_is_told_at_once_whoever_asks(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            keyed = UPGRADE.replace(b"Connection:", b"Authorization: Bearer gw-nobody\r\nConnection:")
            assert (await house.raw(keyed % (b"/v1/responses", b"websocket"))).startswith(b"HTTP/1.1 426 ")

    play(scene())
