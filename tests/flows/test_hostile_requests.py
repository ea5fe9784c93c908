"""Requests that nobody should send, translated: a clear error of the client's dialect, or what was meant."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.domain.chat import Doc, Image, Text, Thinking, Tool, ToolCall, ToolResult
from tests.cells.cell import CHAT, GEMINI, MESSAGES, RESPONSES, STILL, TRANSLATED, WORDS, Cell
from tests.flows.foreign import MODEL, PATHS, Foreign, whole
from tests.flows.hostile_requests import (
    HOLE,
    LARGE,
    LOOP,
    ODD_NAME,
    call,
    deep,
    forged,
    picture,
    said,
    shaped,
    tool,
    used,
    user,
)
from tests.flows.house import Answer, play
from tests.scripted import Arrival, ScriptedProvider

each_cell = pytest.mark.parametrize("cell", TRANSLATED, ids=str)
LOOK = {"type": "object", "properties": {"a": {"type": "integer"}}}


class Sent:
    """What the provider got, as its own dialect reads it."""

    def __init__(self, cell: Cell, arrival: Arrival) -> None:
        dialect = STILL[cell.server]
        doc = {**arrival.doc, "model": MODEL}
        dialect.read_envelope(doc, len(arrival.body))
        self.body = arrival.body
        self.request = dialect.read_request(doc)
        self.parts = [part for turn in self.request.turns for part in turn.parts]

    def all(self, kind: type[Any]) -> list[Any]:
        """The parts of one kind."""
        return [part for part in self.parts if isinstance(part, kind)]

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.all(Text))

    @property
    def names(self) -> list[str]:
        return [tool.name for tool in self.request.tools if isinstance(tool, Tool)]


def ask(tmp_path: Path, cell: Cell, body: Doc, check: Callable[[Answer, Sent], None]) -> None:
    """Ask, and look at what the client and the provider got."""

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(cell.server)
            answer = await house.ask(cell, body)
            assert answer.status == 200, answer.body
            (arrival,) = provider.requests
            check(answer, Sent(cell, arrival))
            assert house.rows()[0]["status"] == "success"
            assert house.balanced()

    play(scene())


def refused(tmp_path: Path, cell: Cell, body: Doc, hole: bytes = b"") -> str:
    """Ask for something that is refused before anything is sent; the words of the refusal. `hole` is for `HOLE`."""
    words: list[str] = []

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(cell.server)
            raw = orjson.dumps({**body, "model": f"{WORDS[cell.server]}:{MODEL}"})
            answer = await house.post(raw.replace(orjson.dumps(HOLE), hole), path=PATHS[cell.client])
            assert answer.status == 400
            assert answer.json["detail"] == answer.error["message"]
            assert answer.error["type"] == "invalid_request_error"
            assert (answer.json.get("type") == "error") == (cell.client == MESSAGES)
            assert provider.requests == []
            assert house.balanced()
            words.append(answer.error["message"])

    play(scene())
    return words[0]


# ---- tools ---------------------------------------------------------------------------------------------------------


@each_cell
def test_a_result_without_a_call(tmp_path: Path, cell: Cell) -> None:
    body = said(cell.client, user("Hi"), *used(cell.client, [], [("call_9", "rain")]))

    def check(answer: Answer, sent: Sent) -> None:
        assert "[tool result call_9] rain" in sent.text
        assert sent.all(ToolResult) == []
        assert "tool turns mended" in answer.headers["X-Otari-Dropped"]

    ask(tmp_path, cell, body, check)


@each_cell
def test_a_call_without_a_result(tmp_path: Path, cell: Cell) -> None:
    calls = [call(cell.client, "call_1"), call(cell.client, "call_2")]
    body = said(cell.client, user("Hi"), *used(cell.client, calls, [("call_2", "rain")]), user("Stop"))
    body["tools"] = [tool(cell.client, "look", LOOK)]

    def check(answer: Answer, sent: Sent) -> None:
        first, second = sent.all(ToolResult)
        assert "interrupted" in first.parts[0].text
        assert second.parts[0].text == "rain"
        assert "tool turns mended" in answer.headers["X-Otari-Dropped"]

    ask(tmp_path, cell, body, check)


@each_cell
def test_ids_that_come_twice(tmp_path: Path, cell: Cell) -> None:
    calls = [call(cell.client, "same"), call(cell.client, "same")]
    messages = used(cell.client, calls, [("same", "one"), ("same", "two")])
    body = said(cell.client, user("Hi"), *messages, user("And?"), *messages)
    body["tools"] = [tool(cell.client, "look", LOOK)]

    def check(answer: Answer, sent: Sent) -> None:
        made, results = sent.all(ToolCall), sent.all(ToolResult)
        assert len(made) == len(results) == 4
        if cell.server != GEMINI:  # which tells results by their order
            assert [part.call_id for part in results] == [part.id for part in made]
        if cell.server == MESSAGES:
            assert len({part.id for part in made}) == 4

    ask(tmp_path, cell, body, check)


@each_cell
@pytest.mark.parametrize("arguments", ["", "not json", '{"a":', "[1]", '"a"', "null"])
def test_arguments_that_are_none(tmp_path: Path, cell: Cell, arguments: str) -> None:
    made = call(cell.client, "call_1", arguments=arguments)
    if cell.client == MESSAGES:
        made["input"] = arguments
    body = said(cell.client, user("Hi"), *used(cell.client, [made], [("call_1", "rain")]))
    body["tools"] = [tool(cell.client, "look", LOOK)]

    def check(answer: Answer, sent: Sent) -> None:
        (part,) = sent.all(ToolCall)
        assert arguments.strip('"') in part.arguments

    ask(tmp_path, cell, body, check)


@each_cell
def test_a_thousand_tools(tmp_path: Path, cell: Cell) -> None:
    names = [f"tool_{number}" for number in range(1000)]
    body = said(cell.client, user("Hi")) | {"tools": [tool(cell.client, name, LOOK) for name in names]}
    ask(tmp_path, cell, body, lambda _, sent: _equal(sent.names, names))


def _equal(left: object, right: object) -> None:
    assert left == right


@each_cell
def test_names_that_no_wire_takes(tmp_path: Path, cell: Cell) -> None:
    """They come back as they were, and nothing of them gets into a header."""
    names = [ODD_NAME, "a" * 300, "b.c/d", "", "b_c_d"]
    names = [name for name in names if name]
    body = said(cell.client, user("Hi")) | {"tools": [tool(cell.client, name, LOOK) for name in names]}

    def check(answer: Answer, sent: Sent) -> None:
        assert len(set(sent.names)) == len(names)
        assert all(name.isascii() and len(name) <= 64 and "\n" not in name for name in sent.names)
        assert "X-Evil" not in answer.headers

    ask(tmp_path, cell, body, check)


@each_cell
def test_a_schema_that_refers_to_itself(tmp_path: Path, cell: Cell) -> None:
    body = said(cell.client, user("Hi")) | {"tools": [tool(cell.client, "look", LOOP)]}

    def check(answer: Answer, sent: Sent) -> None:
        (only,) = sent.request.tools
        assert isinstance(only, Tool)
        assert only.parameters == LOOP

    ask(tmp_path, cell, body, check)


@each_cell
@pytest.mark.parametrize("depth", [130, 490])
@pytest.mark.parametrize("strict", [True, False])
def test_a_schema_that_is_too_deep(tmp_path: Path, cell: Cell, depth: int, strict: bool) -> None:
    entry = tool(cell.client, "look", HOLE)
    (entry["function"] if cell.client == CHAT else entry)["strict"] = strict
    body = said(cell.client, user("Hi")) | {"tools": [entry]}
    assert "nested too deeply" in refused(tmp_path, cell, body, deep(depth))


@each_cell
@pytest.mark.parametrize("depth", [130, 490])
def test_a_form_of_the_answer_that_is_too_deep(tmp_path: Path, cell: Cell, depth: int) -> None:
    body = said(cell.client, user("Hi")) | shaped(cell.client, HOLE)
    assert "nested too deeply" in refused(tmp_path, cell, body, deep(depth))


# ---- content -------------------------------------------------------------------------------------------------------


@each_cell
def test_parts_of_unknown_kinds(tmp_path: Path, cell: Cell) -> None:
    text = {"type": "input_text" if cell.client == RESPONSES else "text", "text": "Hi"}
    body = said(cell.client, user([text, {"type": "hologram", "hologram": {"x": 1}}]))

    def check(answer: Answer, sent: Sent) -> None:
        assert sent.text == "Hi"
        assert b"hologram" not in sent.body
        assert answer.headers["X-Otari-Dropped"] == "part hologram"

    ask(tmp_path, cell, body, check)


@each_cell
def test_a_picture_of_two_megabytes(tmp_path: Path, cell: Cell) -> None:
    body = said(cell.client, user([picture(cell.client, LARGE)]))

    def check(answer: Answer, sent: Sent) -> None:
        (part,) = sent.all(Image)
        assert part.data == LARGE

    ask(tmp_path, cell, body, check)


@each_cell
@pytest.mark.parametrize("content", ["", [], None], ids=["text", "list", "null"])
def test_a_conversation_that_says_nothing(tmp_path: Path, cell: Cell, content: Any) -> None:
    """Anthropic and Google refuse such requests; so do we, before them. OpenAI takes an empty text."""
    if cell.client == MESSAGES and content is None:
        assert "content" in refused(tmp_path, cell, said(cell.client, user(content)))
    elif cell.server in (MESSAGES, GEMINI):
        assert "empty" in refused(tmp_path, cell, said(cell.client, user(content)))
    else:
        ask(tmp_path, cell, said(cell.client, user(content)), lambda _, sent: _equal(sent.text, ""))


@each_cell
def test_no_messages_at_all(tmp_path: Path, cell: Cell) -> None:
    assert "at least one" in refused(tmp_path, cell, said(cell.client))


@each_cell
@pytest.mark.parametrize("signature", ["bm8=", "otari1:", "otari1:!!!", "otari1:e30=", "x" * 100_000])
def test_signatures_that_nobody_made(tmp_path: Path, cell: Cell, signature: str) -> None:
    """None of them may stop the conversation here; a provider gets only what may be its own."""
    body = said(cell.client, user("Hi"), forged(cell.client, signature), user("Go on"))

    def check(answer: Answer, sent: Sent) -> None:
        assert "Go on" in sent.text
        assert b"otari1:" not in sent.body
        if cell != (CHAT, MESSAGES):  # the client says that Anthropic made it
            assert sent.all(Thinking) == []

    ask(tmp_path, cell, body, check)


@each_cell
@pytest.mark.parametrize("signature", [5, {}, None, []])
def test_signatures_that_are_no_text(tmp_path: Path, cell: Cell, signature: Any) -> None:
    body = said(cell.client, user("Hi"), forged(cell.client, signature), user("Go on"))
    ask(tmp_path, cell, body, lambda _, sent: _equal([p for p in sent.all(Thinking) if p.signature], []))


# ---- broken --------------------------------------------------------------------------------------------------------

BROKEN: dict[str, dict[str, Any]] = {
    "content": {CHAT: user(5), MESSAGES: user(5), RESPONSES: user(5)},
    "role": {
        CHAT: {"role": "king", "content": "a"},
        MESSAGES: {"role": "king", "content": "a"},
        RESPONSES: {"role": "king", "content": "a"},
    },
    "call_id": {
        CHAT: {"role": "tool", "content": "rain"},
        MESSAGES: user([{"type": "tool_result", "content": "rain"}]),
        RESPONSES: {"type": "function_call_output", "output": "rain"},
    },
}
WORDS_FOR = {"content": "content", "role": "role", "call_id": "id"}


@each_cell
@pytest.mark.parametrize("what", BROKEN)
def test_what_can_not_be_read_is_refused_by_name(tmp_path: Path, cell: Cell, what: str) -> None:
    body = said(cell.client, user("Hi"), BROKEN[what][cell.client])
    assert WORDS_FOR[what] in refused(tmp_path, cell, body)


@each_cell
def test_half_a_character(tmp_path: Path, cell: Cell) -> None:
    """JSON may hold half a surrogate pair; no text can."""

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            raw = orjson.dumps(said(cell.client, user("@@")) | {"model": f"gemini:{MODEL}"}).replace(b"@@", b"\\ud83d")
            answer = await house.post(raw, path=PATHS[cell.client])
            assert answer.status == 400
            assert "JSON" in answer.error["message"]
            assert provider.requests == []

    play(scene())
