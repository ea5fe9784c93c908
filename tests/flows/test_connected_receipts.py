"""What a request cost, told by the platform with its acknowledgement and shown to the client where usage stands.

That is the one exception to "same dialect, same bytes": two keys are inserted, and no other byte changes.
"""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.dialects import sse
from tests.flows.connected import CHAT, MESSAGES, RESPONSES, SURFACES, Connected, connected
from tests.flows.house import Answer, House, play
from tests.scripted import ScriptedProvider
from tests.scripted.platform import TAKEN, Said, ScriptedPlatform

COST, SOURCE = "0.00420000", "catalog"
RECEIPT = Said(200, {"cost_usd": COST, "pricing_source": SOURCE, "later": [1]})
INSERTED = b'"cost_usd":"0.00420000","pricing_source":"catalog",'

NO_COSTS: list[object] = [None, "", "much", "NaN", "Infinity", "-1", -1, True, [], "1e99", "9" * 60, '1","x":"']


async def over_stub(folder: Path, path: str, said: Said, *, stream: bool) -> Answer:
    """One answer of a provider that speaks all three dialects, whose report is answered with `said`.

    The provider is another gateway with a stub; a new one says the same bytes every time.
    """
    (folder / "front").mkdir(parents=True)
    async with (
        House(folder) as back,
        ScriptedPlatform(provider="otari", api_base=f"{back.base}/v1", api_key=back.key) as platform,
        Connected(folder / "front", platform) as house,
    ):
        platform.takes = lambda report: said
        return await house.ask(path, "some:stub:echo", stream=stream, **(asks(path) if stream else {}))


def usages(answer: Answer) -> list[dict[str, Any]]:
    """Every usage in an answer, with its costs, in the order in which they stand."""
    if not answer.headers["Content-Type"].startswith("text/event-stream"):
        return [answer.json["usage"]]
    payloads = [sse.data(frame) for frame in sse.split(answer.body)]
    docs = [orjson.loads(raw) for raw in payloads if raw.startswith(b"{")]
    found = [(doc.get("response") or doc.get("message") or doc).get("usage") for doc in docs]
    return [usage for usage in found if usage]


def asks(path: str) -> dict[str, object]:
    """What a client adds to be shown usage in a stream."""
    return {"stream_options": {"include_usage": True}} if path == CHAT else {}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
def test_the_cost_is_inserted_and_no_other_byte_changes(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        without = await over_stub(tmp_path / "without", path, TAKEN, stream=stream)
        answer = await over_stub(tmp_path / "with", path, RECEIPT, stream=stream)
        assert answer.body.count(INSERTED) == 1
        assert answer.body.replace(INSERTED, b"") == without.body
        *others, last = usages(answer)
        assert (last["cost_usd"], last["pricing_source"]) == (COST, SOURCE)
        assert not any("cost_usd" in usage for usage in others)

    play(scene())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
def test_the_cost_of_an_answer_that_is_translated(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.takes = lambda report: RECEIPT
            answer = await house.ask(path, "vendor:ok", stream=stream, **(asks(path) if stream else {}))
            *others, last = usages(answer)
            assert (last["cost_usd"], last["pricing_source"]) == (COST, SOURCE)
            assert not any("cost_usd" in usage for usage in others)

    play(scene())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        TAKEN,
        Said(202, {"cost_usd": COST}),
        Said(201, {"cost_usd": COST}),
        Said(200),
        Said(200, b"<html>"),
        Said(200, {"status": "ok"}),
        Said(200, [COST]),
        *(Said(200, {"cost_usd": told}) for told in NO_COSTS),
        Said(422, {"cost_usd": COST}),
        Said(500, {"cost_usd": COST}),
    ],
)
def test_without_a_cost_every_byte_passes(tmp_path: Path, said: Said, stream: bool) -> None:
    async def scene() -> None:
        expected = await over_stub(tmp_path / "expected", MESSAGES, TAKEN, stream=stream)
        assert (await over_stub(tmp_path / "found", MESSAGES, said, stream=stream)).body == expected.body

    play(scene())


@pytest.mark.parametrize(
    ("told", "shown"),
    [("0", "0"), (0, "0"), ("0.10", "0.10"), (0.1, "0.1"), (1e-7, "0.0000001"), ("2.5E-9", "0.0000000025"), (12, "12")],
)
def test_an_amount_is_exact_decimal_digits(tmp_path: Path, told: object, shown: str) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.takes = lambda report: Said(200, {"cost_usd": told})
            (usage,) = usages(await house.ask(CHAT, "vendor:ok"))
            assert usage["cost_usd"] == shown
            assert "pricing_source" not in usage

    play(scene())


def test_a_stream_without_usage_shows_no_cost_and_waits_for_none(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path, usage_inline_timeout_ms=20_000) as (house, platform, _):
            never = asyncio.Event()
            platform.takes = lambda report: Said(200, {"cost_usd": COST}, late=never)
            answer = await house.ask(CHAT, "vendor:ok", stream=True)
            assert answer.body.endswith(b"data: [DONE]\n\n")
            assert b"usage" not in answer.body
            never.set()
            await platform.reported(1)

    play(scene())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
def test_a_cost_that_comes_too_late_is_not_waited_for(tmp_path: Path, path: str, stream: bool) -> None:
    async def scene() -> None:
        async with connected(tmp_path, usage_inline_timeout_ms=30) as (house, platform, _):
            late = asyncio.Event()
            platform.takes = lambda report: Said(200, {"cost_usd": COST}, late=late)
            answer = await house.ask(path, "vendor:ok", stream=stream, **(asks(path) if stream else {}))
            assert (answer.status, answer.whole) == (200, True)
            assert b"cost_usd" not in answer.body
            assert [row["state"] for row in house.kept()] == ["due"]  # on disk before the client knew
            late.set()
            await platform.reported(1)
            await house.quiet()

    play(scene())


def test_no_time_for_costs_at_all(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path, usage_inline_timeout_ms=0) as (house, platform, _):
            platform.takes = lambda report: RECEIPT
            assert b"cost_usd" not in (await house.ask(CHAT, "vendor:ok")).body
            await platform.reported(1)

    play(scene())


def test_a_cost_within_its_time_is_waited_for(tmp_path: Path) -> None:
    """The end of the stream is held back, what came before it is not."""

    async def scene() -> None:
        async with connected(tmp_path, usage_inline_timeout_ms=20_000) as (house, platform, _):
            late = asyncio.Event()
            platform.takes = lambda report: Said(RECEIPT.status, RECEIPT.body, late=late)
            request = {
                "model": "vendor:ok-n2-i20",
                "stream": True,
                "max_tokens": 5,
                "messages": [{"role": "user", "content": "x"}],
            }
            sent = {"Authorization": f"Bearer {house.key}"}
            async with house.client.post(house.base + MESSAGES, json=request, headers=sent) as response:
                before = await response.content.readuntil(b"w1 ")
                assert b"message_delta" not in before
                late.set()
                rest = await response.content.read()
                assert rest.count(INSERTED.rstrip(b",")) == 1
                assert rest.endswith(b'data: {"type":"message_stop"}\n\n')

    play(scene())


def test_reports_of_failures_bring_no_cost(tmp_path: Path) -> None:
    async def scene() -> None:
        async with connected(tmp_path) as (house, platform, _):
            platform.takes = lambda report: RECEIPT
            answer = await house.ask(CHAT, "vendor:status-400")
            assert (answer.status, b"cost_usd" in answer.body) == (400, False)
            cut = await house.ask(CHAT, "vendor:error_event_in_200", stream=True, **asks(CHAT))
            assert b"cost_usd" not in cut.body

    play(scene())


@pytest.mark.parametrize("model", ["no_done", "crlf", "done_twice_and_tail", "ignores_stream"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
def test_the_cost_at_the_odd_ends_of_streams(tmp_path: Path, path: str, model: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, ScriptedPlatform(api_base=provider.base_url) as platform:
            platform.takes = lambda report: RECEIPT
            async with Connected(tmp_path, platform) as house:
                answer = await house.ask(path, f"vendor:{model}", stream=True, **asks(path))
                *_, last = usages(answer)
                assert (answer.status, last["cost_usd"]) == (200, COST)
                assert answer.body.count(b"cost_usd") == 1

    play(scene())
