"""What running requests see when the gateway is told to stop."""

import asyncio
from pathlib import Path

import orjson

from tests.flows.house import House, chat, play
from tests.scripted import ScriptedProvider


async def opened(house: House, model: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A streamed request whose first frame has come."""
    raw = orjson.dumps(chat(model, stream=True))
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {house.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
        + raw
    )
    await reader.readuntil(b"data: ")
    return reader, writer


def test_a_stream_that_ends_in_time_ends_well(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            reader, writer = await opened(house, "live:ok-n5-i30")
            house.gateway.conversations.stopping = True
            await house.runner.cleanup()
            received = await reader.read()
            writer.close()
            assert b"data: [DONE]" in received
            assert received.endswith(b"0\r\n\r\n")
            (row,) = house.rows()
            assert (row["state"], row["status"]) == ("settled", "success")

    play(scene())


def test_a_stream_that_does_not_is_told_so_and_charged(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, House(tmp_path, provider) as house:
            reader, writer = await opened(house, "live:stall_after_2")
            house.gateway.conversations.stopping = True
            await house.runner.cleanup()
            received = await reader.read()
            writer.close()
            assert b'"error"' in received
            assert b"stopped" in received
            assert b"[DONE]" not in received
            assert not received.endswith(b"0\r\n\r\n")
            await house.eventually(house.balanced)
            (row,) = house.rows()
            assert (row["status"], row["http_status"], row["usage_source"]) == ("error", 503, "estimated")
            assert "stopped" in row["error"]

    play(scene())


def test_readiness_says_that_the_gateway_is_going(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            assert (await house.get("/health/readiness")).status == 200
            house.gateway.conversations.stopping = True
            answer = await house.get("/health/readiness")
            assert answer.status == 503
            assert answer.json["detail"]["status"] == "unhealthy"

    play(scene())
