"""Batches at the stub: when they are done, which lines fail, and what all other lines say."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from otari.domain.arrival import Arrival, note_arrival
from otari.domain.batches import BatchAnswer, BatchLine, BatchLines, BatchLook
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError
from otari.upstreams.stub import batches
from otari.upstreams.stub.batches import StubBatches
from otari.upstreams.stub.script import ScriptError
from otari.upstreams.stub.shadows import shadowed
from otari.upstreams.stub.stub import StubUpstream
from tests.upstreams.stub.rig import DIALECTS, Words, asks, attempt, script

SCRIPT = """
rules:
- {id: bat, when: {surface: batches}, batch: {polls: 2, fail: [3]}}
- {id: boom, when: {user: boom}, reply: {error: {status: 429, message: too fast}}}
- {id: turns, when: {user: turns}, replies: [first, second]}
- {id: slow, when: {user: slow}, reply: {blocks: [{pause: 60s}, {say: slow}]}}
- {id: hang, when: {user: hang}, reply: {blocks: [{cut: hang}]}}
- {id: hi, when: {user: hi}, reply: "hello ${user}"}
"""
ALL = replace(attempt(), operations={"embeddings": "openai"})


def stub(text: str = SCRIPT) -> StubUpstream:
    async def never(seconds: float) -> None:
        pytest.fail("a line of a batch waits")

    return StubUpstream(DIALECTS, Words(), script(text), sleep=never)


def batches_of(upstream: StubUpstream) -> StubBatches:
    assert upstream.batches is not None
    return upstream.batches


def lines_of(docs: Sequence[Doc]) -> BatchLines:
    async def lines() -> AsyncIterator[BatchLine]:
        for number, doc in enumerate(docs, 1):
            yield BatchLine(number, orjson.dumps(doc))

    return lines


async def made(upstream: StubUpstream, *docs: Doc, dialect: str = "openai-chat") -> BatchLook:
    return await batches_of(upstream).create(ALL, "batch_1", dialect, lines_of(docs))


async def results(upstream: StubUpstream, look: BatchLook) -> list[BatchAnswer]:
    return [answer async for answer in batches_of(upstream).results(ALL, look, look.total)]


def said(answer: BatchAnswer) -> Any:
    return orjson.loads(answer.body or b"null")["choices"][0]["message"]["content"]


def test_there_is_an_api_for_batches_where_the_script_has_a_rule_for_them() -> None:
    assert stub().batches is not None
    assert stub("rules: [{reply: hi}]").batches is None
    assert stub("rules: [{when: {surface: [chat, messages]}, reply: hi}]").batches is None


def test_a_batch_is_done_at_the_look_that_the_rule_says_and_its_lines_follow_the_script() -> None:
    async def scene() -> None:
        upstream = stub()
        look = await made(upstream, asks("hi"), asks("boom"), asks("hi"), asks("hi all"))
        assert (look.state, look.total, look.completed, look.failed) == ("in_progress", 4, 0, 0)
        look = await batches_of(upstream).look(ALL, look.remote_id)
        assert (look.state, look.completed) == ("in_progress", 0)
        assert await results(upstream, look) == []
        for _ in range(2):  # looking again changes nothing
            look = await batches_of(upstream).look(ALL, look.remote_id)
            assert (look.state, look.total, look.completed, look.failed) == ("completed", 4, 2, 2)
            first, boom, fails, last = await results(upstream, look)
            assert (said(first), said(last)) == ("hello hi", "hello hi all")
            assert (boom.status, boom.code, boom.body) == (429, "rate_limit_exceeded", None)
            assert (fails.number, fails.status, fails.code) == (3, 400, "invalid_request_error")
            assert fails.message == "Provider 'stub' says: The script says that this line fails."
        answered = upstream.sessions.answered
        assert (answered["bat"], answered["hi"], answered["boom"]) == (1, 2, 1)

    asyncio.run(scene())


def test_lines_count_in_the_session_that_handed_them_in_and_wait_for_nothing() -> None:
    async def scene() -> None:
        note_arrival(Arrival(session="s1", method="POST", path="/v1/batches"))
        upstream = stub()
        look = await made(upstream, asks("turns"), asks("slow"), asks("x"), asks("hang"), asks("turns"), asks("turns"))
        note_arrival(Arrival(session="other"))
        for _ in range(2):
            look = await batches_of(upstream).look(ALL, look.remote_id)
        first, slow, _, hang, second, third = await results(upstream, look)
        assert [said(answer) for answer in (first, slow, second)] == ["first", "slow", "second"]
        assert hang.status == 504
        assert (third.status, third.code) == (400, "stub_miss")
        assert [session.name for session in upstream.sessions] == ["s1"]
        session = upstream.sessions.find("s1")
        assert session is not None
        assert [(entry.surface, entry.rule) for entry in session.journal][:3] == [
            ("batches", "bat"),
            ("chat", "turns"),
            ("chat", "slow"),
        ]

    asyncio.run(scene())


def test_lines_of_other_calls_are_answered_too() -> None:
    async def scene() -> None:
        upstream = stub()
        look = await made(upstream, {"model": "m", "input": "x"}, dialect="embeddings")
        for _ in range(2):
            look = await batches_of(upstream).look(ALL, look.remote_id)
        (answer,) = await results(upstream, look)
        assert len(orjson.loads(answer.body or b"")["data"][0]["embedding"]) == 256

    asyncio.run(scene())


def test_a_batch_can_be_refused_and_cancelled_and_found() -> None:
    async def scene() -> None:
        refusing = stub("rules: [{when: {surface: batches}, reply: {error: 429}}]")
        with pytest.raises(OtariError) as raised:
            await made(refusing, asks("hi"))
        assert (raised.value.kind, refusing.sessions.answered["rules[0]"]) == (Kind.RATE_LIMITED, 1)
        with pytest.raises(OtariError) as raised:
            await made(stub("rules: [{when: {surface: batches, model: other}, batch: {}}]"), asks("hi"))
        assert raised.value.code == "stub_miss"

        upstream = stub()
        assert await batches_of(upstream).find(ALL, "batch_1") is None
        look = await made(upstream, asks("hi"))
        assert await batches_of(upstream).find(ALL, "batch_1") == look
        look = await batches_of(upstream).cancel(ALL, look.remote_id)
        assert (look.state, look.failed) == ("cancelled", 1)
        assert [answer.code for answer in await results(upstream, look)] == ["batch_cancelled"]
        assert (await batches_of(upstream).look(ALL, look.remote_id)).state == "cancelled"
        with pytest.raises(OtariError) as raised:
            await batches_of(upstream).look(ALL, "batch_2")
        assert raised.value.kind is Kind.NOT_FOUND

    asyncio.run(scene())


def test_what_the_stub_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BYTES_MAX", 300)
    monkeypatch.setattr(batches, "BATCHES_MAX", 1)

    async def scene() -> None:
        upstream = stub()
        with pytest.raises(OtariError) as raised:
            await made(upstream, *[asks("hi")] * 9)
        assert raised.value.kind is Kind.TOO_LARGE
        await made(upstream, asks("hi"))
        await batches_of(upstream).create(ALL, "batch_2", "openai-chat", lines_of([asks("hi")]))
        assert await batches_of(upstream).find(ALL, "batch_1") is None

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{batch: {}}", "rules[0].batch: belongs to a rule with when: {surface: batches}"),
        ("{when: {surface: [batches, chat]}, batch: {}}", "rules[0].batch: belongs to a rule with when:"),
        (
            "{when: {surface: batches}, reply: hi}",
            "says something, which batches can not carry; give batch, or an error",
        ),
        ("{when: {surface: batches}, batch: {pols: 2}}", "rules[0].batch.pols: unknown key; did you mean 'polls'?"),
        ("{when: {surface: batches}, batch: {polls: 0}}", "batch.polls: must be a whole number from 1 to 1000"),
        ("{when: {surface: batches}, batch: {fail: [1, 0]}}", "batch.fail[1]: must be the number of a line"),
        ("{when: {surface: batches}, batch: {fail: yes}}", "batch.fail: must be the number of a line"),
        ("{when: {surface: batches}, batch: {fail: []}}", "batch.fail: must not be an empty list"),
        ("{when: {surface: batches}, batch: 3}", "rules[0].batch: must be a map, not a number"),
        ("{when: {surface: batches}, batch: {}, reply: {error: 429}}", "needs exactly one of reply, replies and steps"),
    ],
)
def test_a_wrong_rule_is_told_with_its_place(rule: str, problem: str) -> None:
    with pytest.raises(ScriptError) as raised:
        script(f"rules: [{rule}]")
    assert problem in str(raised.value)


def test_a_rule_behind_another_that_fits_the_same_batches_is_told() -> None:
    told = script(
        """
        rules:
        - {id: all, when: {surface: batches}, batch: {}}
        - {id: late, when: {surface: batches, model: x}, batch: {polls: 3}}
        - {id: chat, when: {surface: chat}, reply: hi}
        """
    )
    assert list(shadowed(told)) == [("late", "all")]
