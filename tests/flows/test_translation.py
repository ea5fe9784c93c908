"""Clients of one dialect over providers of another, through the whole house."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.dialects import sse
from otari.domain.chat import Citation, Doc, Finish, Opaque, Reply, Text, fold
from tests.cells.cell import CELLS, CHAT, CLIENTS, GEMINI, MESSAGES, RESPONSES, STILL, TRANSLATED, WORDS, Cell
from tests.cells.clients import BY_DIALECT
from tests.cells.losses import surviving, told_by
from tests.dialects.told import frames_of, read_all
from tests.flows.foreign import MODEL, REPLY, Foreign, foreign, request, streamed, whole
from tests.flows.house import MASTER, PROVIDER_KEY, chat, play
from tests.scripted import Given, ScriptedProvider

each_cell = pytest.mark.parametrize("cell", CELLS, ids=str)
each_translation = pytest.mark.parametrize("cell", TRANSLATED, ids=str)
PRICES = {f"{WORDS[server]}:{MODEL}": {"input_price_per_million": 1, "output_price_per_million": 2} for server in WORDS}
LOSSY: dict[str, Doc] = {
    CHAT: {"seed": 3},
    MESSAGES: {"top_k": 3, "container": "c_1"},
    RESPONSES: {"truncation": "auto"},
}


@each_cell
def test_a_stream(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider, pricing=PRICES) as house:
            provider.given[MODEL] = streamed(cell.server)
            answer = await house.ask(cell, request(cell, stream=True))
            assert (answer.status, answer.whole) == (200, True)
            client = BY_DIALECT[cell.client]
            client.check(answer.body)
            reply = fold(read_all(STILL[cell.client].reader(), answer.body))
            assert isinstance(reply, Reply)
            _same(cell, reply)
            (row,) = house.rows()
            assert (row["state"], row["status"], row["stream"]) == ("settled", "success", 1)
            assert (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"]) == (21, 9, 5)
            assert row["usage_source"] == "provider"
            assert row["cost_nano"] == 21 * 1000 + 9 * 2000
            assert house.balanced()

    play(scene())


@each_cell
def test_a_whole_answer(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider, pricing=PRICES) as house:
            provider.given[MODEL] = whole(cell.server)
            answer = await house.ask(cell, request(cell, stream=False))
            assert answer.status == 200
            BY_DIALECT[cell.client].asked(answer.body)
            _same(cell, STILL[cell.client].read_reply(answer.json))
            (row,) = house.rows()
            assert (row["state"], row["input_tokens"], row["output_tokens"]) == ("settled", 21, 9)
            assert row["cost_nano"] == 21 * 1000 + 9 * 2000
            assert house.balanced()

    play(scene())


def _same(cell: Cell, reply: Reply) -> None:
    told, expected = told_by(reply), surviving(cell, REPLY)
    assert (told.text, told.thinking, told.calls) == (expected.text, expected.thinking, expected.calls)
    assert (told.finish, told.usage, told.model) == (expected.finish, expected.usage, expected.model)


@each_translation
def test_a_provider_that_ignores_the_wish_for_a_stream(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(cell.server)
            answer = await house.ask(cell, request(cell, stream=True))
            BY_DIALECT[cell.client].check(answer.body)
            assert house.rows()[0]["output_tokens"] == 9

    play(scene())


@each_cell
def test_the_provider_is_asked_in_its_own_dialect(tmp_path: Path, cell: Cell) -> None:
    """Path, key and model are as the provider wants them, and only Anthropic's hear of Anthropic's headers."""

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = streamed(cell.server)
            headers = {"anthropic-version": "2024-01-01", "anthropic-beta": "one-2025-01-01,two-2025-02-02"}
            await house.ask(cell, request(cell, stream=True), **headers)
            (arrival,) = provider.requests
            assert (arrival.path, arrival.model) == (_PATHS[cell.server], MODEL)
            name, value = _AUTH[cell.server]
            assert arrival.headers[name] == value
            same = cell.client == cell.server == MESSAGES
            default = "2023-06-01" if cell.server == MESSAGES else None
            assert arrival.headers.get("anthropic-version") == ("2024-01-01" if same else default)
            assert arrival.headers.get("anthropic-beta") == (headers["anthropic-beta"] if same else None)

    play(scene())


_PATHS = {
    CHAT: "/v1/chat/completions",
    MESSAGES: "/v1/messages",
    RESPONSES: "/v1/responses",
    GEMINI: f"/v1beta/models/{MODEL}:streamGenerateContent",
}
_AUTH = {
    CHAT: ("Authorization", f"Bearer {PROVIDER_KEY}"),
    RESPONSES: ("Authorization", f"Bearer {PROVIDER_KEY}"),
    MESSAGES: ("x-api-key", PROVIDER_KEY),
    GEMINI: ("x-goog-api-key", PROVIDER_KEY),
}


# ---- what is lost --------------------------------------------------------------------------------------------------


@each_translation
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_what_is_lost_stands_in_a_header_and_in_the_row(tmp_path: Path, cell: Cell, stream: bool) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = streamed(cell.server) if stream else whole(cell.server)
            asked = request(cell, stream=stream, brand_new=1, **LOSSY[cell.client])
            answer = await house.ask(cell, asked)
            assert answer.status == 200
            names = answer.headers["X-Otari-Dropped"].split(", ")
            assert "brand_new" in names
            assert names == list(cell.exchange(asked).dropped)
            (row,) = house.rows()
            assert row["dropped"].split("\n") == names
            told = (await house.get(f"/v1/usage/{row['id']}", Authorization=f"Bearer {MASTER}")).json
            assert told["dropped"] == names

    play(scene())


@pytest.mark.parametrize("client", [CHAT, RESPONSES], ids=WORDS.get)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_what_an_answer_loses_stands_in_the_row(tmp_path: Path, client: str, stream: bool) -> None:
    """A header knows all of it only when the answer is whole: a stream may have begun by then."""
    searched = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}}
    reply = replace(REPLY, parts=(Opaque(MESSAGES, searched), Text("Found.")), finish=Finish.END)

    async def scene() -> None:
        cell = Cell(client, MESSAGES)
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = streamed(MESSAGES, reply) if stream else whole(MESSAGES, reply)
            plain = {key: value for key, value in request(cell, stream=stream).items() if key != "tools"}
            answer = await house.ask(cell, plain)
            assert stream or answer.headers["X-Otari-Dropped"] == "part server_tool_use"
            assert house.rows()[0]["dropped"] == "part server_tool_use"

    play(scene())


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("client", CLIENTS, ids=WORDS.get)
def test_where_a_text_is_taken_from_arrives_or_is_named(tmp_path: Path, client: str, stream: bool) -> None:
    cited = Citation("https://example.org", "Hello", 0, 5)
    reply = replace(REPLY, parts=(Text("Hello", citations=(cited,)),), finish=Finish.END)

    async def scene() -> None:
        cell = Cell(client, RESPONSES if client == CHAT else CHAT)
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = streamed(cell.server, reply) if stream else whole(cell.server, reply)
            plain = {key: value for key, value in request(cell, stream=stream).items() if key != "tools"}
            answer = await house.ask(cell, plain)
            reader = STILL[client].reader()
            told = fold(read_all(reader, answer.body)) if stream else STILL[client].read_reply(answer.json)
            assert isinstance(told, Reply)
            (text,) = (part for part in told.parts if isinstance(part, Text))
            assert text.citations == (() if client == MESSAGES else (cited,))
            assert house.rows()[0]["dropped"] == ("citations" if client == MESSAGES else "")

    play(scene())


@pytest.mark.parametrize("server", CLIENTS, ids=WORDS.get)
def test_what_a_whole_answer_loses_on_its_way_into_a_stream_is_named(tmp_path: Path, server: str) -> None:
    """Also where both speak the same dialect: then nothing else is ever lost."""

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            told = orjson.loads(b"".join(whole(server).pieces)) | {"brand_new": 1}
            provider.given[MODEL] = Given((orjson.dumps(told),), "application/json")
            answer = await house.ask(Cell(server, server), request(Cell(server, server), stream=True))
            assert answer.status == 200
            assert house.rows()[0]["dropped"] == "brand_new"

    play(scene())


@each_cell
def test_nothing_is_said_where_nothing_is_lost(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(cell.server)
            plain = {key: value for key, value in request(cell, stream=False).items() if key != "tools"}
            answer = await house.ask(cell, plain)
            assert answer.status == 200
            assert "X-Otari-Dropped" not in answer.headers
            assert house.rows()[0]["dropped"] == ""

    play(scene())


# ---- strict --------------------------------------------------------------------------------------------------------


@each_translation
@pytest.mark.parametrize("by", ["provider", "key"])
def test_strict_refuses_before_anything_is_sent(tmp_path: Path, cell: Cell, by: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            providers = foreign(provider, **({"translation": "strict"} if by == "provider" else {}))
            async with Foreign(tmp_path, provider, providers=providers, pricing=PRICES) as house:
                provider.given[MODEL] = whole(cell.server)
                headers = {} if by == "provider" else await _strict_key(house)
                plain = {key: value for key, value in request(cell, stream=False).items() if key != "tools"}
                answer = await house.ask(cell, plain | {"brand_new": 1}, **headers)
                assert answer.status == 400
                assert "brand_new" in answer.error["message"]
                assert "strict" in answer.error["message"]
                assert answer.error["type"] == "invalid_request_error"
                if cell.client != MESSAGES:
                    assert (answer.error["code"], answer.error["param"]) == ("translation_loss", "brand_new")
                assert provider.requests == []
                (row,) = house.rows()
                assert (row["state"], row["status"], row["cost_nano"]) == ("released", "error", 0)
                assert "brand_new" in row["error"]
                assert (await house.ask(cell, plain, **headers)).status == 200
                assert house.balanced()

    play(scene())


async def _strict_key(house: Foreign) -> dict[str, str]:
    """The headers of a new key whose requests must not lose anything."""
    body = {"key_name": "strict", "translation": "strict"}
    answer = await house.post(body, path="/v1/keys", headers={"Authorization": f"Bearer {MASTER}"})
    assert answer.status in (200, 201)
    return {"Authorization": f"Bearer {answer.json['key']}"}


def test_the_same_dialect_is_never_too_lossy(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            providers = foreign(provider, translation="strict")
            async with Foreign(tmp_path, provider, providers=providers) as house:
                provider.given[MODEL] = whole(CHAT)
                cell = Cell(CHAT, CHAT)
                assert (await house.ask(cell, request(cell, stream=False, brand_new=1))).status == 200
                assert provider.requests[0].doc["brand_new"] == 1

    play(scene())


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("keys", "served"), [({"seed": 5}, GEMINI), ({"n": 2}, CHAT)], ids=["lossy", "impossible"])
def test_what_one_provider_can_not_carry_the_next_one_gets(
    tmp_path: Path, keys: Doc, served: str, stream: bool
) -> None:
    """An attempt that would lose something, or can not be written at all, leads to the next one of an alias."""

    async def scene() -> None:
        async with ScriptedProvider() as provider:
            providers = foreign(provider)
            providers["messages"]["translation"] = "strict"
            aliases = {"any": [f"messages:{MODEL}", f"gemini:{MODEL}", f"responses:{MODEL}", f"chat:{MODEL}"]}
            async with Foreign(tmp_path, provider, providers=providers, aliases=aliases) as house:
                provider.given[MODEL] = streamed(served) if stream else whole(served)
                answer = await house.post(chat("any", stream=stream, **keys))
                assert answer.status == 200
                assert "X-Otari-Dropped" not in answer.headers
                assert len(provider.requests) == 1
                row, *absorbed = house.rows()
                assert (row["provider"], row["status"], row["dropped"]) == (WORDS[served], "success", "")
                assert {other["status"] for other in absorbed} == {"absorbed"}
                assert absorbed[0]["provider"] == "messages"
                assert house.balanced()

    play(scene())


# ---- what is kept --------------------------------------------------------------------------------------------------

KEPT: dict[str, Doc] = {
    "previous_response_id": {"previous_response_id": "resp_1"},
    "conversation": {"conversation": "conv_1"},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "store": {"store": True},
    "background": {"background": True},
}


@pytest.mark.parametrize("field", KEPT)
@pytest.mark.parametrize("server", [CHAT, MESSAGES, GEMINI], ids=WORDS.get)
def test_what_a_provider_would_have_to_keep_is_refused(tmp_path: Path, server: str, field: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            cell = Cell(RESPONSES, server)
            answer = await house.ask(cell, request(cell, stream=False) | KEPT[field])
            assert (answer.status, answer.error["param"]) == (400, field)
            assert field in answer.error["message"]
            assert WORDS[server] in answer.error["message"]
            assert provider.requests == []
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize("field", KEPT)
def test_who_keeps_it_gets_it(tmp_path: Path, field: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(RESPONSES)
            cell = Cell(RESPONSES, RESPONSES)
            answer = await house.ask(cell, request(cell, stream=False) | KEPT[field])
            assert answer.status == 200
            assert KEPT[field].items() <= provider.requests[0].doc.items()

    play(scene())


# ---- signs of life -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS, ids=WORDS.get)
@pytest.mark.parametrize("codex", [True, False])
def test_a_silent_provider_is_covered_by_signs_of_life(tmp_path: Path, client: str, codex: bool) -> None:
    """In the client's dialect: comments, pings, and for Codex, which does not count comments, an event."""

    async def scene() -> None:
        ready = asyncio.Event()
        server = MESSAGES if client == CHAT else CHAT
        cell = Cell(client, server)
        async with (
            ScriptedProvider() as provider,
            Foreign(tmp_path, provider, streaming_keepalive_interval_ms=20) as house,
        ):
            told = streamed(server)
            provider.given[MODEL] = Given(told.pieces, ready=ready)
            body = {**request(cell, stream=True), "model": f"{WORDS[server]}:{MODEL}"}
            headers = {"Authorization": f"Bearer {house.key}"} | ({"originator": "codex_exec"} if codex else {})
            path = house.base + {CHAT: "/v1/chat/completions", MESSAGES: "/v1/messages"}.get(client, "/v1/responses")
            async with house.client.post(path, json=body, headers=headers) as response:
                received = b""
                while received.count(b"\n\n") < 2:
                    received += await response.content.readany()
                for frame in frames_of(received):
                    assert _is_sign_of_life(frame, client, codex)
                ready.set()
                received += await response.content.read()
            frames = [frame for frame in frames_of(received) if not _is_sign_of_life(frame, client, codex)]
            assert fold(read_all(STILL[client].reader(), b"".join(frames)))

    play(scene())


def _is_sign_of_life(frame: bytes, client: str, codex: bool) -> bool:
    data = sse.data(frame)
    if client == MESSAGES:
        return sse.event(frame) == "ping"
    if client == RESPONSES and codex:
        doc: Any = orjson.loads(data) if data else {}
        return sse.event(frame) == "response.in_progress" and doc["response"]["output"] == []
    return not data
