"""Answers in every cell: valid for the vendor's types, the same whole and streamed, nothing lost in silence."""

import re
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.domain.chat import Citation, Doc, Failed, Finish, Reply, Text, Tool, ToolCall, Usage, fold, unfold
from tests.cells.answers import Answer, answers
from tests.cells.cell import CELLS, CHAT, MESSAGES, RESPONSES, STILL, TRANSLATED, Cell, answered, cut, streamed
from tests.cells.clients import BY_DIALECT
from tests.cells.losses import CREATED, Told, losses, surviving, told_by
from tests.dialects.told import read_all

places = st.lists(st.integers(0, 10**6), max_size=8)
each_cell = pytest.mark.parametrize("cell", CELLS, ids=str)


def stream_of(cell: Cell, answer: Answer) -> bytes:
    """The provider's stream."""
    exchange = cell.exchange(BY_DIALECT[cell.client].request(stream=True))
    sent: Doc = orjson.loads(exchange.body)
    writer = STILL[cell.server].writer(wants_usage=True, input_tokens=answer.reply.usage.input, request_doc=sent)
    return b"".join(map(writer.write, answer.events))


def body_of(cell: Cell, answer: Answer) -> bytes:
    """The provider's whole answer."""
    exchange = cell.exchange(BY_DIALECT[cell.client].request(stream=False))
    sent: Doc = orjson.loads(exchange.body)
    return orjson.dumps(STILL[cell.server].write_reply(answer.reply, request_doc=sent))


def client_stream(cell: Cell, answer: Answer, where: list[int]) -> bytes:
    """What the client gets, streamed."""
    exchange = cell.exchange(BY_DIALECT[cell.client].request(stream=True))
    return streamed(exchange, cut(stream_of(cell, answer), where))


def client_body(cell: Cell, answer: Answer) -> bytes:
    """What the client gets, whole."""
    exchange = cell.exchange(BY_DIALECT[cell.client].request(stream=False))
    return orjson.dumps(answered(exchange, body_of(cell, answer)))


def as_read(cell: Cell, reply: Reply) -> Told:
    """What the client's answer says, apart from what is not the provider's."""
    told = told_by(reply)
    return replace(told, created=None) if CREATED in losses(cell) else told


@each_cell
@given(st.data(), places)
@settings(max_examples=40, deadline=None)
def test_every_event_is_valid_and_in_its_place(cell: Cell, data: st.DataObject, where: list[int]) -> None:
    answer = data.draw(answers(cell.server))
    BY_DIALECT[cell.client].check(client_stream(cell, answer, where))


@each_cell
@given(st.data(), places)
@settings(max_examples=40, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_stream(cell: Cell, data: st.DataObject, where: list[int]) -> None:
    answer = data.draw(answers(cell.server))
    assert client_stream(cell, answer, where) == client_stream(cell, answer, [])


@each_cell
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_the_vendor_s_client_makes_the_same_of_both_forms(cell: Cell, data: st.DataObject) -> None:
    """Except of arguments that were cut off: Anthropic's stream helper makes an empty object of those. Helpers keep a
    service tier that the beginning told; providers of Responses tell it at the end.
    """
    answer = data.draw(answers(cell.server, ordered=cell.server == CHAT, cut_off=cell.client != MESSAGES))
    if cell.server == RESPONSES != cell.client:
        reply = replace(answer.reply, service_tier=None)
        answer = Answer(reply, tuple(unfold(reply)))
    client = BY_DIALECT[cell.client]
    assert client.gathered(client_stream(cell, answer, [])) == client.asked(client_body(cell, answer))


def _streamed(cell: Cell, answer: Answer) -> Reply:
    reply = fold(read_all(STILL[cell.client].reader(), client_stream(cell, answer, [])))
    assert isinstance(reply, Reply)
    return reply


def _whole(cell: Cell, answer: Answer) -> Reply:
    return STILL[cell.client].read_reply(orjson.loads(client_body(cell, answer)))


@each_cell
@pytest.mark.parametrize("read", [_streamed, _whole], ids=["streamed", "whole"])
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_what_the_model_said_arrives(cell: Cell, read: Callable[[Cell, Answer], Reply], data: st.DataObject) -> None:
    answer = data.draw(answers(cell.server))
    assert as_read(cell, read(cell, answer)) == surviving(cell, answer.reply)


@each_cell
@pytest.mark.parametrize("read", [_streamed, _whole], ids=["streamed", "whole"])
def test_a_page_that_is_named_twice_arrives_twice(cell: Cell, read: Callable[[Cell, Answer], Reply]) -> None:
    parts = (Text("Hi", citations=(Citation("https://example.org", "Hi", 0, 2),) * 2),)
    reply = Reply("answer", "model", parts, Finish.END, Usage(input=9, output=2), 1700000000)
    assert as_read(cell, read(cell, Answer(reply, tuple(unfold(reply))))) == surviving(cell, reply)


@each_cell
def test_every_declared_loss_is_one(cell: Cell) -> None:
    """An answer that has everything arrives without what is declared lost, so that the table holds nothing else."""
    parts = (Text("Hi", citations=(Citation("https://example.org", "Hi", 0, 2),)),)
    usage = Usage(input=9, output=2, cache_read=3, cache_write=4, reasoning=1)
    reply = Reply("answer", "model", parts, Finish.STOP_SEQUENCE, usage, 1700000000, "END", "priority")
    told = told_by(reply)
    arrived = told_by(_whole(cell, Answer(reply, ())))
    for loss in losses(cell):
        assert loss.without(told) != told, loss.name
        if loss is not CREATED:  # the wire demands one: the gateway's own clock tells it
            assert loss.without(arrived) == arrived, loss.name
    if CREATED in losses(cell):
        assert arrived.created != reply.created


# ---- names of tools ------------------------------------------------------------------------------------------------

ODD_NAMES = ("files.read", "mcp__" + "server_" * 12 + "tool", "9lives", "-x", "smörgås")


def offering(client: str, names: tuple[str, ...], *, stream: bool) -> Doc:
    """A request that offers tools of these names."""
    schema: Doc = {"type": "object", "properties": {}}
    shapes: dict[str, list[Doc]] = {
        CHAT: [{"type": "function", "function": {"name": name, "parameters": schema}} for name in names],
        MESSAGES: [{"name": name, "input_schema": schema} for name in names],
        RESPONSES: [{"type": "function", "name": name, "parameters": schema, "strict": False} for name in names],
    }
    return BY_DIALECT[client].request(stream=stream) | {"tools": shapes[client]}


@pytest.mark.parametrize("cell", TRANSLATED, ids=str)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_clients_see_their_own_names_of_tools(cell: Cell, stream: bool) -> None:
    exchange = cell.exchange(offering(cell.client, ODD_NAMES, stream=stream))
    sent: Doc = orjson.loads(exchange.body)
    server = STILL[cell.server]
    wire = [tool.name for tool in server.read_request({**sent, "model": "m"}).tools if isinstance(tool, Tool)]
    assert len(set(wire)) == len(ODD_NAMES)
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_-]{0,63}", name) for name in wire)
    calls = tuple(ToolCall(f"call_{number}", name, "{}") for number, name in enumerate(wire))
    reply = Reply("answer", "model", calls, Finish.TOOLS, Usage(1, 1), 1700000000)
    told: Reply | Failed
    if stream:
        writer = server.writer(wants_usage=True, request_doc=sent)
        out = streamed(exchange, [b"".join(map(writer.write, unfold(reply)))])
        told = fold(read_all(STILL[cell.client].reader(), out))
    else:
        told = STILL[cell.client].read_reply(answered(exchange, orjson.dumps(server.write_reply(reply))))
    assert isinstance(told, Reply)
    assert tuple(part.name for part in told.parts if isinstance(part, ToolCall)) == ODD_NAMES
