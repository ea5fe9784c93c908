"""What a model said comes back to it: the answer that a client gathered, sent in its next request.

Models refuse, or forget what they thought, when the signatures of their thinking do not come back as they were.
"""

from collections.abc import Callable
from typing import NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.domain.chat import Doc, Finish, Part, Refusal, Reply, Text, Thinking, ToolCall, ToolResult, unfold
from tests.cells.answers import Answer, answers
from tests.cells.cell import CELLS, CHAT, MESSAGES, STILL, Cell
from tests.cells.clients import BY_DIALECT
from tests.cells.test_answers import client_body, client_stream

# What may be named as lost of a history that a model wrote itself: thinking that nobody signed is not wanted back, and
# neither are sources, by servers of which nobody knows whether they take them.
EXPECTED_LOSSES = {"empty text", "empty message", "white space at the end", "thinking of another model", "citations"}


class Said(NamedTuple):
    """What must come back. White space is no content: providers refuse texts of nothing else."""

    text: str
    calls: list[tuple[str, str, object]]
    secrets: list[tuple[str, str | None, str | None]]
    signatures: list[str | None]


def said(parts: list[Part]) -> Said:
    """What these parts of an answer say, as far as its model wants it back."""
    calls = [part for part in parts if isinstance(part, ToolCall)]
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    return Said(
        text="".join(_solid(part.text) for part in parts if isinstance(part, Text)),
        calls=[(part.id, part.name, orjson.loads(part.arguments or "{}")) for part in calls],
        secrets=[(part.text, part.signature, part.redacted) for part in thoughts if part.signature or part.redacted],
        signatures=[part.signature for part in calls],
    )


def _solid(text: str) -> str:
    return "".join(text.split())


def gathered(cell: Cell, answer: Answer) -> Doc:
    return BY_DIALECT[cell.client].gathered(client_stream(cell, answer, []))


def asked(cell: Cell, answer: Answer) -> Doc:
    return BY_DIALECT[cell.client].asked(client_body(cell, answer))


def as_the_provider_told_it(cell: Cell, answer: Answer) -> Reply:
    """The answer as the provider's own wire tells it: what that can not hold need not come back."""
    server = STILL[cell.server]
    return server.read_reply(orjson.loads(orjson.dumps(server.write_reply(answer.reply))))


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("get", [gathered, asked], ids=["streamed", "whole"])
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_what_a_model_said_comes_back_to_it(
    cell: Cell, get: Callable[[Cell, Answer], Doc], data: st.DataObject
) -> None:
    answer = data.draw(answers(cell.server, cut_off=False).filter(_is_plain))
    following = BY_DIALECT[cell.client].going_on(get(cell, answer), "ok")
    exchange = cell.exchange(following)
    before = cell.exchange(BY_DIALECT[cell.client].request(stream=True)).dropped
    assert set(exchange.dropped) <= EXPECTED_LOSSES | set(before)
    request = STILL[cell.server].read_request(orjson.loads(exchange.body))
    parts = [part for turn in request.turns for part in turn.parts]
    written = [part for turn in request.turns if turn.role == "assistant" for part in turn.parts]
    told = as_the_provider_told_it(cell, answer)
    assert said(written) == said(list(told.parts))
    results = [part.call_id for part in parts if isinstance(part, ToolResult)]
    assert results == [call_id for call_id, _, _ in said(written).calls]


def _is_plain(answer: Answer) -> bool:
    """Clients of Messages can not send back that a model declined: it stands beside the message."""
    return not any(isinstance(part, Refusal) for part in answer.reply.parts)


def test_messages_get_the_blocks_in_their_order() -> None:
    """Anthropic demands the very blocks, in their order."""
    parts: tuple[Part, ...] = (
        Thinking("First.", "sig-1", "anthropic"),
        Text("Look."),
        Thinking("", None, "anthropic", "hidden"),
        Thinking("Second.", "sig-2", "anthropic"),
        ToolCall("toolu_1", "look", "{}"),
    )
    for client in BY_DIALECT:
        cell = Cell(client, MESSAGES)
        reply = Reply("msg_1", "claude", parts, Finish.TOOLS)
        answer = Answer(reply, tuple(unfold(reply)))
        following = BY_DIALECT[client].going_on(gathered(cell, answer), "ok")
        request = STILL[MESSAGES].read_request(orjson.loads(cell.exchange(following).body))
        (turn,) = (turn for turn in request.turns if turn.role == "assistant")
        # Chat Completions has no order among thoughts and texts.
        assert turn.parts == (tuple(sorted(parts, key=_kind)) if client == CHAT else parts)


def _kind(part: Part) -> int:
    return [Thinking, Text, ToolCall].index(type(part))
