"""Answers in every cell: valid for the vendor's types, the same whole and streamed, nothing lost in silence."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.domain.chat import Doc, Reply, fold
from tests.cells.answers import Answer, answers
from tests.cells.cell import CELLS, CHAT, MESSAGES, STILL, Cell, answered, cut, streamed
from tests.cells.clients import BY_DIALECT
from tests.cells.losses import Told, losses, surviving, told_by
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
    lost = {loss.name for loss in losses(cell)}
    told = told_by(reply)
    return replace(told, created=None) if "when it was made" in lost else told


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
    """Except of arguments that were cut off: Anthropic's stream helper makes an empty object of those."""
    answer = data.draw(answers(cell.server, ordered=cell.server == CHAT, cut_off=cell.client != MESSAGES))
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
